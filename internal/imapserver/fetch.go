package imapserver

import (
	"context"
	"errors"
	"slices"

	"waxwing/imap"
	"waxwing/internal/imapserver/item"
	"waxwing/internal/imapserver/selection"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/views"
)

// fetchNeeds are the capabilities that items belong to.
var fetchNeeds = map[string]string{
	"MODSEQ": "CONDSTORE", "SAVEDATE": "SAVEDATE", "EMAILID": "OBJECTID", "THREADID": "OBJECTID", "PREVIEW": "PREVIEW",
	"BINARY": "BINARY", "BINARY.SIZE": "BINARY",
}

// fromView are the items for which the mailbox's view is enough.
var fromView = []string{"FLAGS", "UID", "MODSEQ"}

// fetcher carries out one FETCH.
type fetcher struct {
	*session
	ctx     context.Context
	items   []imap.FetchItem
	since   uint64 // only what changed after it
	mails   bool   // the mails' rows are wanted
	missing bool   // some messages have gone meanwhile
	item    item.Item
	trouble string // the code of what could not be sent; "": nothing
}

// fetch is FETCH and UID FETCH (RFC 9051 §6.4.5).
func (s *session) fetch(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Fetch)
	if why := s.fetchFault(a, c.UID); why != "" {
		return bad(why)
	}
	f := &fetcher{session: s, ctx: ctx, items: s.fetchItems(ctx, a, c.UID)}
	f.mails = slices.ContainsFunc(f.items, func(i imap.FetchItem) bool { return !slices.Contains(fromView, i.Name) })
	spans, err := s.box.Resolve(ctx, a.Set, c.UID)
	if errors.As(err, new(selection.NumberError)) {
		return bad(err.Error())
	}
	if err == nil {
		err = f.run(a, spans)
	}
	switch {
	case err != nil:
		return s.failed(err)
	case f.trouble != "":
		return no(f.trouble, "a part has a transfer encoding that is not known")
	case f.missing && !c.UID && !s.on.uidonly:
		return no("EXPUNGEISSUED", "some of the messages have gone")
	}
	return done(c)
}

// fetchFault says what is wrong with a FETCH.
func (s *session) fetchFault(a *imap.Fetch, uid bool) string {
	for _, i := range a.Items {
		if needs := fetchNeeds[i.Name]; needs != "" && s.disabled(needs) {
			return i.Name + " is not served here"
		}
	}
	switch {
	case a.Vanished && (!uid || a.ChangedSince == nil || !s.on.qresync):
		return "VANISHED is for UID FETCH with CHANGEDSINCE, once QRESYNC is enabled"
	case a.Partial != nil && (!uid || s.disabled("PARTIAL")):
		return "PARTIAL is for UID FETCH"
	case a.ChangedSince != nil && s.disabled("CONDSTORE"):
		return "CHANGEDSINCE is not served here"
	}
	return ""
}

// fetchItems are what is written of each message: what the client wants, and what goes
// with it.
func (s *session) fetchItems(ctx context.Context, a *imap.Fetch, uid bool) []imap.FetchItem {
	has := func(name string) bool {
		return slices.ContainsFunc(a.Items, func(i imap.FetchItem) bool { return i.Name == name })
	}
	items := a.Items
	if uid && !has("UID") && !s.on.uidonly {
		items = append([]imap.FetchItem{{Name: "UID"}}, items...)
	}
	if a.ChangedSince != nil && !has("MODSEQ") { // RFC 7162 §3.1.4.1
		items = append(slices.Clone(items), imap.FetchItem{Name: "MODSEQ"})
	}
	if a.ChangedSince != nil || has("MODSEQ") {
		s.useCondStore(ctx)
	}
	return items
}

func (f *fetcher) run(a *imap.Fetch, spans []selection.Span) error {
	if a.Partial != nil {
		spans = selection.Cut(spans, *a.Partial)
	}
	if a.ChangedSince != nil {
		f.since = *a.ChangedSince
		if a.Vanished {
			known := f.box.Saved
			if !a.Set.Saved {
				known = selection.Stored(a.Set.Resolve(f.box.Look.Last()))
			}
			if err := f.writeGone(f.ctx, f.since, known); err != nil {
				return err
			}
		}
	}
	if slices.ContainsFunc(a.Items, marksSeen) && !f.box.ReadOnly {
		if err := f.markSeen(spans); err != nil {
			return err
		}
	}
	if f.mails {
		return f.withMails(spans)
	}
	return f.box.Each(f.ctx, spans, func(l views.Line) bool {
		if l.ModSeq > f.since || f.since == 0 {
			f.write(l, nil)
		}
		return f.w.Err() == nil
	})
}

// marksSeen reports an item that sets \Seen.
func marksSeen(i imap.FetchItem) bool {
	switch i.Name {
	case "RFC822", "RFC822.TEXT":
		return true
	case "BODY", "BINARY":
		return i.Section != nil && !i.Peek
	}
	return false
}

// markSeen sets \Seen; that it is so, is told when the command has ended.
func (f *fetcher) markSeen(spans []selection.Span) error {
	var unseen []uint32
	err := f.box.Each(f.ctx, spans, func(l views.Line) bool {
		if l.Flags&mailbox.Seen == 0 && !l.Gone && (l.ModSeq > f.since || f.since == 0) {
			unseen = append(unseen, l.UID)
		}
		return true
	})
	if err != nil || len(unseen) == 0 {
		return err
	}
	_, err = f.srv.Boxes.SetFlags(f.ctx, f.box.ID, mailbox.Ranges(unseen), mailboxes.FlagChange{Mode: '+', Flags: []string{`\Seen`}})
	return err
}

// mailsStep is how many messages are taken up at one time.
const mailsStep = 500

// withMails writes messages with what is kept of them. Nothing is locked while the client
// takes them.
func (f *fetcher) withMails(spans []selection.Span) error {
	var lines []views.Line
	flush := func() error {
		some := lines
		lines = lines[:0]
		return f.writeMails(some)
	}
	var failed error
	err := f.box.Each(f.ctx, spans, func(l views.Line) bool {
		if l.ModSeq > f.since || f.since == 0 {
			lines = append(lines, l)
		}
		if len(lines) == mailsStep {
			failed = flush()
		}
		return failed == nil && f.w.Err() == nil
	})
	if err = errors.Join(err, failed); err != nil || f.w.Err() != nil {
		return err
	}
	return flush()
}

// writeMails writes lines, which ascend.
func (f *fetcher) writeMails(lines []views.Line) error {
	uids := make([]uint32, 0, len(lines))
	for _, l := range lines {
		uids = append(uids, l.UID)
	}
	at, found := 0, 0
	err := f.srv.Boxes.Mails(f.ctx, f.box.ID, mailbox.Ranges(uids), func(m *mailbox.Message) error {
		for at < len(lines) && lines[at].UID < m.Entry.UID {
			at++
		}
		if at < len(lines) && lines[at].UID == m.Entry.UID {
			found++
			f.write(lines[at], m)
		}
		return f.w.Err()
	})
	if found < len(lines) {
		f.missing = true
	}
	if f.w.Err() != nil {
		f.over = "lost"
		return nil
	}
	return err
}

// write writes one message; m is nil where the view is enough.
func (f *fetcher) write(l views.Line, m *mailbox.Message) {
	x := &f.item
	*x = item.Item{W: f.w, UID: l.UID, Flags: f.flagText(f.ctx, l.Flags), ModSeq: l.ModSeq, Mail: m}
	if err := f.prepare(x); err != nil {
		f.missing = true
		if !errors.Is(err, mailboxes.ErrNoSuchMessage) {
			f.conn.Log().Error("a message cannot be read", "account", f.account, "error", err)
		}
		return
	}
	f.beginFetch(l.Seq, l.UID)
	for i := range f.items {
		if i > 0 {
			f.w.Text(" ")
		}
		x.Write(&f.items[i])
	}
	f.w.Text(")\r\n")
	if x.UnknownEncoding {
		f.trouble = "UNKNOWN-CTE"
	}
	if x.Err != nil {
		f.conn.Log().Error("a message cannot be read to its end", "account", f.account, "error", x.Err)
	}
}

// prepare reads what can fail before anything is written.
func (f *fetcher) prepare(x *item.Item) (err error) {
	if x.Mail == nil {
		return nil
	}
	x.EmailID, x.ThreadID = objectID('E', x.Mail.ID), objectID('T', x.Mail.Thread)
	if slices.ContainsFunc(f.items, item.NeedsContent) {
		if x.Content, _, err = f.srv.Boxes.Open(f.ctx, x.Mail.ID); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(f.items, item.NeedsStructure) {
		x.Built, err = f.srv.structure(f.ctx, &x.Mail.Mail, x.Content)
	}
	return err
}
