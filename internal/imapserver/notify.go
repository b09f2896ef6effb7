package imapserver

import (
	"context"
	"slices"
	"strings"

	"waxwing/imap"
	"waxwing/internal/imapserver/interest"
	"waxwing/internal/imapserver/selection"
	"waxwing/internal/mailbox"
)

// notify is what the client wants to be told at any time (RFC 5465).
type notify struct {
	interest.Groups
	known map[int64]mailbox.Box // as the client was told last
}

// setNotify is NOTIFY (RFC 5465 §3).
func (s *session) setNotify(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Notify)
	if a.Groups == nil {
		s.notify = nil
		s.silence()
		return done(c)
	}
	if unknown, why := interest.Fault(a.Groups); why != "" {
		return bad(why)
	} else if unknown {
		return no("BADEVENT ("+strings.Join(interest.Events(), " ")+")", "of these events is told")
	}
	for i := range a.Groups {
		for j, name := range a.Groups[i].Mailboxes {
			a.Groups[i].Mailboxes[j] = s.mailboxName(name)
		}
	}
	boxes, err := s.srv.Boxes.Boxes(ctx, s.account)
	if err != nil {
		return s.failed(err)
	}
	n := &notify{Groups: a.Groups, known: map[int64]mailbox.Box{}}
	for _, b := range boxes {
		n.known[b.ID] = b
		if ev := n.Events(b); a.Status && !s.isSelected(b) && slices.Contains(ev, "MessageNew") {
			s.writeStatus(ctx, b, interest.Status(ev))
		}
	}
	s.notify = n
	s.listen()
	return done(c)
}

func (s *session) isSelected(b mailbox.Box) bool { return s.box != nil && s.box.ID == b.ID }

// notified tells what has happened in the account.
func (s *session) notified(ctx context.Context) {
	if s.box != nil {
		s.notifiedOfSelected(ctx)
	}
	if s.over != "" {
		return
	}
	boxes, err := s.srv.Boxes.Boxes(ctx, s.account)
	if err != nil {
		s.failed(err)
		return
	}
	there := map[int64]bool{}
	for _, b := range boxes {
		there[b.ID] = true
		s.notifiedOf(ctx, b)
	}
	for id, b := range s.notify.known {
		if there[id] {
			continue
		}
		delete(s.notify.known, id)
		if slices.Contains(s.notify.Events(b), "MailboxName") {
			s.w.Text(`* LIST (\NonExistent) "/" `)
			s.writeName(b.Name)
			s.w.Text("\r\n")
		}
	}
}

// notifiedOf tells of one mailbox what has changed of it.
func (s *session) notifiedOf(ctx context.Context, b mailbox.Box) {
	n := s.notify
	was, known := n.known[b.ID]
	n.known[b.ID] = b
	ev := n.Events(b)
	wants := func(e string) bool { return slices.Contains(ev, e) }
	switch {
	case !known && wants("MailboxName"):
		s.writeNamed(b, "")
	case known && was.Name != b.Name && (wants("MailboxName") || slices.Contains(n.Events(was), "MailboxName")):
		s.writeNamed(b, was.Name)
	case known && was.Subscribed != b.Subscribed && wants("SubscriptionChange"):
		s.writeNamed(b, "")
	}
	if s.isSelected(b) || !known || was.ModSeq == b.ModSeq {
		return
	}
	moved := was.Messages != b.Messages || was.UIDNext != b.UIDNext
	if moved && wants("MessageNew") || wants("FlagChange") {
		s.writeStatus(ctx, b, interest.Status(ev))
	}
}

// writeNamed writes that a mailbox has come, or has another name (RFC 5465 §5.4).
func (s *session) writeNamed(b mailbox.Box, old string) {
	attrs := ""
	if b.Subscribed {
		attrs = `\Subscribed`
	}
	s.w.Text("* LIST (" + attrs + `) "/" `)
	s.writeName(b.Name)
	if old != "" {
		s.w.Text(` ("OLDNAME" (`)
		s.writeName(old)
		s.w.Text("))")
	}
	s.w.Text("\r\n")
}

// notifiedOfSelected tells of the selected mailbox, with what the client wants to have of
// new messages.
func (s *session) notifiedOfSelected(ctx context.Context) {
	g := s.notify.Selected()
	if g == nil || len(g.Events) == 0 {
		return
	}
	before := s.box.Look.Count()
	news, err := s.box.Look.Sync(ctx, g.Filter == "SELECTED")
	if err != nil {
		s.vanished(err)
		return
	}
	s.tell(ctx, news, func(uint32) bool { return !slices.Contains(g.Events, "FlagChange") })
	if !news.New || len(g.Fetch) == 0 {
		return
	}
	f := &fetcher{session: s, ctx: ctx, items: s.fetchItems(ctx, &imap.Fetch{Items: g.Fetch}, true), mails: true}
	if err := f.withMails([]selection.Span{{Low: before - len(news.Gone) + 1, High: s.box.Look.Count()}}); err != nil {
		s.failed(err)
	}
}
