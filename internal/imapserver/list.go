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

// listFault says what is wrong with a LIST.
func (s *session) listFault(a *imap.List) string {
	if c := listing.Unserved(a, s.disabled); c != "" {
		return c + " is not served here"
	}
	if !s.knownStatus(a.Status) {
		return "STATUS knows no such item"
	}
	return listing.Fault(s.patterns(a), a.Select, a.Return)
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
	attrs := l.Attributes(a.Select, a.Return, a.Extended || s.on.rev2)
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
	if why := s.listFault(a); why != "" {
		return bad(why)
	}
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
