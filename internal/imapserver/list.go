package imapserver

import (
	"context"
	"slices"
	"strings"

	"waxwing/imap"
	"waxwing/internal/imapserver/listing"
)

// list is LIST (RFC 9051 §6.3.9, RFC 5258).
func (s *session) list(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.List)
	if why := s.listFault(a); why != "" {
		return bad(why)
	}
	if len(a.Patterns) == 1 && a.Patterns[0] == "" && !a.Extended {
		s.w.Text(`* LIST (\Noselect) "/" ""` + "\r\n") // RFC 9051 §6.3.9: the hierarchy delimiter
		return done(c)
	}
	all, err := s.listable(ctx, slices.Contains(a.Select, "SUBSCRIBED"))
	if err != nil {
		return s.failed(err)
	}
	for _, l := range listing.List(all, s.patterns(a), a.Select) {
		s.writeListed(l, a)
		if l.Box != nil && len(a.Status) > 0 {
			s.writeStatus(ctx, *l.Box, a.Status)
		}
	}
	return done(c)
}

// listable are the mailboxes of the account, with names that it is subscribed to and that are no mailboxes.
func (s *session) listable(ctx context.Context, subscribed bool) (all listing.Account, err error) {
	if all.Boxes, err = s.srv.Boxes.Boxes(ctx, s.account); err == nil && subscribed {
		all.Subscribed, err = s.srv.Boxes.Subscriptions(ctx, s.account)
	}
	return all, err
}

// listFault says what is wrong with the options of a LIST.
func (s *session) listFault(a *imap.List) string {
	for _, o := range a.Select {
		if !slices.Contains([]string{"SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE"}, o) {
			return "LIST selects by no " + o
		}
	}
	if slices.Contains(a.Select, "RECURSIVEMATCH") && !slices.Contains(a.Select, "SUBSCRIBED") && !slices.Contains(a.Select, "SPECIAL-USE") {
		return "RECURSIVEMATCH needs something to select by"
	}
	for _, o := range a.Return {
		if !slices.Contains([]string{"SUBSCRIBED", "CHILDREN", "SPECIAL-USE"}, o) {
			return "LIST returns no " + o
		}
	}
	if !s.knownStatus(a.Status) {
		return "STATUS knows no such item"
	}
	return ""
}

// patterns are those of a LIST or LSUB, below its reference.
func (s *session) patterns(a *imap.List) []string {
	var out []string
	for _, p := range a.Patterns {
		out = append(out, s.mailboxName(a.Reference+p))
	}
	return out
}

// writeListed writes one line of LIST.
func (s *session) writeListed(l listing.Name, a *imap.List) {
	var attrs []string
	subscribed := slices.Contains(a.Select, "SUBSCRIBED") || slices.Contains(a.Return, "SUBSCRIBED")
	switch {
	case l.Box == nil && (a.Extended || s.on.rev2):
		attrs = append(attrs, `\NonExistent`)
	case l.Box == nil:
		attrs = append(attrs, `\Noselect`)
	}
	if subscribed && l.Subscribed {
		attrs = append(attrs, `\Subscribed`)
	}
	if l.Below {
		attrs = append(attrs, `\HasChildren`)
	} else {
		attrs = append(attrs, `\HasNoChildren`)
	}
	if l.Box != nil && l.Box.Use != "" {
		attrs = append(attrs, l.Box.Use)
	}
	s.w.Text("* LIST (" + strings.Join(attrs, " ") + `) "/" `)
	s.writeName(l.Name)
	if l.Child {
		s.w.Text(` ("CHILDINFO" ("` + strings.Join(listing.ChildInfo(a.Select), `" "`) + `"))`)
	}
	s.w.Text("\r\n")
}

// lsub is LSUB (RFC 3501 §6.3.9): of a subscribed mailbox below what "%" matches, the
// name that matches is shown as \Noselect.
func (s *session) lsub(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.List)
	all, err := s.listable(ctx, true)
	if err != nil {
		return s.failed(err)
	}
	for _, l := range listing.Subscribed(all, s.patterns(a)) {
		attrs := ""
		if l.Box == nil {
			attrs = `\Noselect`
		}
		s.w.Text("* LSUB (" + attrs + `) "/" `)
		s.writeName(l.Name)
		s.w.Text("\r\n")
	}
	return done(c)
}
