package imapserver

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"waxwing/imap"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
)

// uses are the special uses that a client may give a mailbox (RFC 6154 §3).
var uses = []string{mailbox.UseArchive, mailbox.UseDrafts, mailbox.UseJunk, mailbox.UseSent, mailbox.UseTrash}

func (s *session) create(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Create)
	use := ""
	if len(a.Use) > 0 {
		i := slices.IndexFunc(uses, func(u string) bool { return strings.EqualFold(u, a.Use[0]) })
		if len(a.Use) > 1 || i < 0 || s.disabled("CREATE-SPECIAL-USE") {
			return no("USEATTR", "a mailbox has one special use, of "+strings.Join(uses, ", "))
		}
		use = uses[i]
	}
	b, err := s.srv.Boxes.Create(ctx, s.account, s.mailboxName(a.Mailbox), use)
	if err != nil {
		if use != "" && errors.Is(err, mailboxes.ErrMailboxExists) {
			if _, err := s.srv.Boxes.Box(ctx, s.account, s.mailboxName(a.Mailbox)); err != nil {
				return no("USEATTR", "another mailbox has that special use")
			}
		}
		return s.failed(err)
	}
	return answer{"OK", "MAILBOXID (" + mailboxID(b.ID) + ")", "created"}
}

func (s *session) delete(ctx context.Context, c *imap.Command) answer {
	name := s.mailboxName(c.Args.(*imap.Mailbox).Name)
	b, err := s.srv.Boxes.Box(ctx, s.account, name)
	if err == nil {
		err = s.srv.Boxes.Delete(ctx, s.account, name)
	}
	if err != nil {
		return s.failed(err)
	}
	if s.box != nil && s.box.ID == b.ID {
		s.deselect()
		s.w.Status("*", "OK", "CLOSED", "the mailbox is deleted")
	}
	return done(c)
}

func (s *session) rename(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Rename)
	if err := s.srv.Boxes.Rename(ctx, s.account, s.mailboxName(a.From), s.mailboxName(a.To)); err != nil {
		return s.failed(err)
	}
	return done(c)
}

// subscribe is SUBSCRIBE and UNSUBSCRIBE, of names that no mailbox has, too.
func (s *session) subscribe(ctx context.Context, c *imap.Command) answer {
	if err := s.srv.Boxes.Subscribe(ctx, s.account, s.mailboxName(c.Args.(*imap.Mailbox).Name), c.Name == "SUBSCRIBE"); err != nil {
		return s.failed(err)
	}
	return done(c)
}

// mailboxID is MAILBOXID (RFC 8474 §4.1).
func mailboxID(id int64) string { return objectID('M', id) }

// objectID writes an id in letters and digits (RFC 8474 §7: neither starts with a digit).
func objectID(kind byte, id int64) string {
	return string(kind) + strconv.FormatUint(uint64(id), 36)
}

// statusItems are what STATUS can be asked, with the capability that each needs.
var statusItems = map[string]string{
	"MESSAGES": "", "UIDNEXT": "", "UIDVALIDITY": "", "UNSEEN": "", "DELETED": "", "RECENT": "", "SIZE": "STATUS=SIZE",
	"HIGHESTMODSEQ": "CONDSTORE", "MAILBOXID": "OBJECTID", "APPENDLIMIT": "", "DELETED-STORAGE": "QUOTA",
}

// knownStatus reports that all items can be served.
func (s *session) knownStatus(items []string) bool {
	return !slices.ContainsFunc(items, func(i string) bool {
		needs, ok := statusItems[i]
		return !ok || needs != "" && s.disabled(needs)
	})
}

// status is STATUS (RFC 9051 §6.3.11). All but DELETED-STORAGE stands in the mailbox's row.
func (s *session) status(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Status)
	if !s.knownStatus(a.Items) {
		return bad("STATUS knows no such item")
	}
	b, err := s.srv.Boxes.Box(ctx, s.account, s.mailboxName(a.Mailbox))
	if err != nil {
		return s.failed(err)
	}
	s.writeStatus(ctx, b, a.Items)
	return done(c)
}

func (s *session) writeStatus(ctx context.Context, b mailbox.Box, items []string) {
	if slices.Contains(items, "HIGHESTMODSEQ") { // RFC 7162 §3.1.1: a condstore enabling command
		s.useCondStore(ctx)
	}
	s.w.Text("* STATUS ")
	s.writeName(b.Name)
	s.w.Text(" (")
	for i, item := range items {
		if i > 0 {
			s.w.Text(" ")
		}
		s.w.Text(item + " ")
		if item == "MAILBOXID" {
			s.w.Text("(" + mailboxID(b.ID) + ")")
			continue
		}
		s.w.Number(s.statusNumber(ctx, b, item))
	}
	s.w.Text(")\r\n")
}

func (s *session) statusNumber(ctx context.Context, b mailbox.Box, item string) uint64 {
	switch item {
	case "MESSAGES":
		return uint64(b.Messages)
	case "UIDNEXT":
		return uint64(b.UIDNext)
	case "UIDVALIDITY":
		return uint64(b.UIDValidity)
	case "UNSEEN":
		return uint64(b.Unseen)
	case "DELETED":
		return uint64(b.Deleted)
	case "SIZE":
		return uint64(b.Octets)
	case "HIGHESTMODSEQ":
		return b.ModSeq
	case "DELETED-STORAGE":
		n, err := s.srv.Boxes.DeletedOctets(ctx, b)
		if err != nil {
			s.failed(err)
		}
		return uint64(n)
	case "APPENDLIMIT":
		return uint64(s.srv.appendLimit())
	}
	return 0 // RECENT (RFC 9051 has no such thing)
}
