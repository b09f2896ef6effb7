package imapserver

import (
	"context"
	"errors"
	"strings"

	"waxwing/imap"
	"waxwing/internal/imapserver/selection"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/views"
)

// store is STORE and UID STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).
func (s *session) store(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Store)
	if why := storeFault(a); why != "" {
		return bad(why)
	}
	if s.box.ReadOnly {
		s.report(ctx, c.UID || s.on.uidonly)
		return no("CANNOT", "the mailbox is selected read-only")
	}
	if a.UnchangedSince != nil {
		if s.disabled("CONDSTORE") {
			return bad("UNCHANGEDSINCE is not served here")
		}
		s.useCondStore(ctx)
	}
	if a.Silent { // what others have changed, it is to hear all the same (RFC 9051 §6.4.6)
		if s.report(ctx, false); s.over != "" {
			return answer{}
		}
	}
	uids, err := s.box.UIDs(ctx, a.Set, c.UID)
	if errors.As(err, new(selection.NumberError)) {
		return bad(err.Error())
	}
	var r mailboxes.FlagResult
	if err == nil && len(uids) > 0 {
		r, err = s.srv.Boxes.SetFlags(ctx, s.box.ID, uids, mailboxes.FlagChange{Mode: a.Mode, Flags: a.Flags, UnchangedSince: a.UnchangedSince})
	}
	if err != nil {
		return s.failed(err)
	}
	if err := s.stored(ctx, a, uids, r, c.UID); err != nil {
		s.vanished(err)
		return answer{}
	}
	if len(r.Modified) == 0 {
		return done(c)
	}
	return s.modified(ctx, c, r.Modified)
}

// storeFault says what is wrong with a STORE.
func storeFault(a *imap.Store) string {
	for _, f := range a.Flags {
		if _, known := mailbox.SystemFlag(f); strings.HasPrefix(f, `\`) && !known {
			return f + " cannot be set"
		}
	}
	return ""
}

// stored tells what has become of flags: of all messages that the client has named,
// though with .SILENT only what others have changed.
func (s *session) stored(ctx context.Context, a *imap.Store, uids []mailbox.Range, r mailboxes.FlagResult, uid bool) error {
	news, err := s.box.Look.Sync(ctx, uid || s.on.uidonly)
	if err != nil {
		return err
	}
	ours := func(l uint32) bool { return mailbox.In(uids, l) && !mailbox.In(r.Modified, l) }
	if a.Silent {
		s.tell(ctx, news, ours)
		return nil
	}
	s.tell(ctx, news, nil)
	spans, err := s.box.Spans(ctx, uids)
	if err != nil {
		return err
	}
	told := news.Changed // those that were not looked at yet: they ascend, as all do
	return s.box.Each(ctx, spans, func(l views.Line) bool {
		for len(told) > 0 && told[0].UID < l.UID {
			told = told[1:]
		}
		if (len(told) == 0 || told[0].UID != l.UID) && !l.Gone {
			s.writeChanged(ctx, l, false)
		}
		return true
	})
}

// modified is the answer to a STORE that left messages alone, since they had changed.
func (s *session) modified(ctx context.Context, c *imap.Command, modified []mailbox.Range) answer {
	if !c.UID {
		spans, err := s.box.Spans(ctx, modified)
		if err != nil {
			return s.failed(err)
		}
		modified = nil
		for _, p := range spans {
			modified = append(modified, mailbox.Range{Low: uint32(p.Low), High: uint32(p.High)})
		}
	}
	a := done(c)
	a.code, a.text = "MODIFIED "+string(imap.AppendRanges(nil, selection.Written(modified))), "some have changed meanwhile"
	return a
}

// copy is COPY, MOVE (RFC 6851) and the same with UIDs.
func (s *session) copy(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Copy)
	move := c.Name == "MOVE"
	if move && s.box.ReadOnly {
		return no("CANNOT", "the mailbox is selected read-only")
	}
	uids, err := s.box.UIDs(ctx, a.Set, c.UID)
	if errors.As(err, new(selection.NumberError)) {
		return bad(err.Error())
	}
	if err != nil {
		return s.failed(err)
	}
	to := s.mailboxName(a.Mailbox)
	var copied mailboxes.Copied
	if move {
		copied, err = s.srv.Boxes.Move(ctx, s.box.ID, uids, to)
	} else {
		copied, err = s.srv.Boxes.Copy(ctx, s.box.ID, uids, to)
	}
	if err != nil {
		return s.notThere(err)
	}
	code := ""
	if len(copied.From) > 0 && !s.disabled("UIDPLUS") {
		code = "COPYUID " + string(selection.AppendCopied(nil, copied))
	}
	if !move {
		out := done(c)
		out.code = code
		return out
	}
	if code != "" { // RFC 6851 §4.3: before the messages go
		s.w.Status("*", "OK", code, "moved")
	}
	return done(c)
}

// notThere is failed for a mailbox that messages are to go into (RFC 9051 §6.3.12).
func (s *session) notThere(err error) answer {
	a := s.failed(err)
	if errors.Is(err, mailboxes.ErrNoSuchMailbox) {
		a.code = "TRYCREATE"
	}
	return a
}
