package imapserver

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"waxwing/imap"
	"waxwing/internal/imapserver/selection"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/views"
)

// selectBox is SELECT and EXAMINE (RFC 9051 §6.3.2, RFC 7162 §3.2.5).
func (s *session) selectBox(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Select)
	if a.QResync != nil && !s.on.qresync {
		return bad("QRESYNC is not enabled")
	}
	if s.box != nil {
		s.deselect()
		s.w.Status("*", "OK", "CLOSED", "the mailbox before is closed")
	}
	b, err := s.srv.Boxes.Box(ctx, s.account, s.mailboxName(a.Mailbox))
	if err != nil {
		return s.failed(err)
	}
	look, err := s.srv.Boxes.Look(ctx, b.ID)
	if err != nil {
		return s.failed(err)
	}
	s.box = &selection.Box{Look: look, ID: b.ID, Name: b.Name, ReadOnly: c.Name == "EXAMINE"}
	s.loadWords(ctx)
	if err := s.introduce(ctx); err != nil {
		s.deselect()
		return s.failed(err)
	}
	if a.CondStore && !s.disabled("CONDSTORE") {
		s.on.condstore = true
	}
	if a.QResync != nil {
		if err := s.resync(ctx, a.QResync); err != nil {
			s.deselect()
			return s.failed(err)
		}
	}
	if s.box.ReadOnly {
		return answer{"OK", "READ-ONLY", "selected, read-only"}
	}
	return answer{"OK", "READ-WRITE", "selected"}
}

// introduce tells of the mailbox that was selected.
func (s *session) introduce(ctx context.Context) error {
	b := s.box.Look.Box()
	s.writeFlagNames()
	s.w.Line("* ", strconv.Itoa(s.box.Look.Count()), " EXISTS")
	if !s.on.rev2 {
		s.w.Text("* 0 RECENT\r\n")
		if b.Unseen > 0 {
			first, err := s.box.Look.FirstUnseen(ctx)
			if err != nil {
				return err
			}
			if first > 0 {
				s.w.Status("*", "OK", "UNSEEN "+strconv.Itoa(first), "first unseen")
			}
		}
	}
	s.w.Status("*", "OK", "UIDVALIDITY "+strconv.FormatUint(uint64(b.UIDValidity), 10), "UIDs valid")
	s.w.Status("*", "OK", "UIDNEXT "+strconv.FormatUint(uint64(b.UIDNext), 10), "next UID")
	if !s.disabled("CONDSTORE") {
		s.w.Status("*", "OK", "HIGHESTMODSEQ "+strconv.FormatUint(b.ModSeq, 10), "highest")
	}
	if !s.disabled("OBJECTID") {
		s.w.Status("*", "OK", "MAILBOXID ("+mailboxID(b.ID)+")", "its id")
	}
	if s.on.rev2 {
		s.w.Text(`* LIST () "/" `)
		s.writeName(b.Name)
		s.w.Text("\r\n")
	}
	return nil
}

// writeFlagNames tells which flags messages can have.
func (s *session) writeFlagNames() {
	names := append(slices.Clone(mailbox.SystemFlags()), slices.DeleteFunc(slices.Clone(s.words.keywords), func(k string) bool { return k == "" })...)
	all := strings.Join(names, " ")
	s.w.Line("* FLAGS (", all, ")")
	switch {
	case s.box.ReadOnly:
		s.w.Status("*", "OK", "PERMANENTFLAGS ()", "read-only")
	default:
		s.w.Status("*", "OK", `PERMANENTFLAGS (`+all+` \*)`, "flags that stay")
	}
}

// deselect leaves the selected mailbox.
func (s *session) deselect() {
	if s.box != nil {
		s.box.Look.Close()
		s.box = nil
	}
}

// closeBox is CLOSE and UNSELECT.
func (s *session) closeBox(ctx context.Context, c *imap.Command) answer {
	if c.Name == "CLOSE" && !s.box.ReadOnly {
		if _, _, err := s.srv.Boxes.Expunge(ctx, s.box.ID, mailbox.All()); err != nil && !errors.Is(err, mailboxes.ErrNoSuchMailbox) {
			return s.failed(err)
		}
	}
	s.deselect()
	return done(c)
}

// report tells what has happened in the selected mailbox; without expunges, of the
// messages that have gone nothing is said, so that sequence numbers stay.
func (s *session) report(ctx context.Context, expunges bool) {
	news, err := s.box.Look.Sync(ctx, expunges)
	if err != nil {
		s.vanished(err)
		return
	}
	s.tell(ctx, news, nil)
}

// vanished ends a session whose mailbox cannot be looked at any more.
func (s *session) vanished(err error) {
	if errors.Is(err, mailboxes.ErrNoSuchMailbox) {
		s.bye("deleted", "", "the selected mailbox was deleted")
		return
	}
	s.failed(err)
	s.bye("failed", "UNAVAILABLE", "the selected mailbox cannot be read, try again later")
}

// tell writes news. untold are messages of which nothing is said, or only the modseq.
func (s *session) tell(ctx context.Context, n views.News, untold func(uid uint32) bool) {
	s.box.Contexts.Gone(s.w, n.Gone)
	s.tellGone(n.Gone)
	if n.New {
		s.w.Line("* ", strconv.Itoa(n.Exists), " EXISTS")
	}
	known := len(s.words.keywords)
	for _, l := range n.Changed {
		if l.Flags&^s.words.known != 0 {
			s.loadWords(ctx)
		}
		if len(s.words.keywords) != known {
			known = len(s.words.keywords)
			s.writeFlagNames()
		}
		silent := untold != nil && untold(l.UID)
		if silent && !s.on.condstore {
			continue
		}
		s.writeChanged(ctx, l, silent)
	}
	if len(s.box.Contexts) > 0 && (n.New || len(n.Changed) > 0) {
		ctx, cancel := context.WithTimeout(ctx, s.srv.searchTime())
		defer cancel()
		s.finder(ctx, "").Changed(ctx, s.w, n.Changed, n.Added)
	}
	s.tellModSeq(n)
}

// tellModSeq tells that the client knows all up to a modseq now. What it has been told of messages that
// have come or gone says none, and it would be told again the next time that it resynchronises.
func (s *session) tellModSeq(n views.News) {
	if s.on.condstore && n.All && (n.New || len(n.Gone) > 0) {
		s.w.Status("*", "OK", "HIGHESTMODSEQ "+strconv.FormatUint(n.ModSeq, 10), "highest")
	}
}

// tellGone tells which messages have gone.
func (s *session) tellGone(gone []views.Line) {
	if len(gone) == 0 {
		return
	}
	if s.on.qresync || s.on.uidonly {
		uids := make([]uint32, len(gone))
		for i, l := range gone {
			uids[i] = l.UID
		}
		slices.Sort(uids)
		s.writeVanished("* VANISHED ", mailbox.Ranges(uids))
	} else {
		for _, l := range gone {
			s.w.Line("* ", strconv.Itoa(l.Seq), " EXPUNGE")
		}
	}
}

// writeVanished writes UIDs in lines of a bounded length.
func (s *session) writeVanished(begin string, ranges []mailbox.Range) {
	for len(ranges) > 0 {
		n := min(len(ranges), 1000)
		s.w.Text(begin)
		s.w.Raw(imap.AppendRanges(nil, selection.Written(ranges[:n])))
		s.w.Text("\r\n")
		ranges = ranges[n:]
	}
}

// writeChanged writes the flags of a message that has others now; silent: only that
// there is a change (RFC 7162 §3.1.3).
func (s *session) writeChanged(ctx context.Context, l views.Line, silent bool) {
	s.beginFetch(l.Seq, l.UID)
	space := ""
	if !s.on.uidonly && (s.byUID || s.on.condstore || s.on.rev2) {
		s.w.Text("UID ")
		s.w.Number(uint64(l.UID))
		space = " "
	}
	if !silent {
		s.w.Text(space)
		s.w.Text("FLAGS ")
		s.w.Text(s.flagText(ctx, l.Flags))
		space = " "
	}
	if s.on.condstore {
		s.w.Text(space + "MODSEQ (")
		s.w.Number(l.ModSeq)
		s.w.Text(")")
	}
	s.w.Text(")\r\n")
}

// beginFetch writes what a FETCH response begins with (RFC 9586 §3.3 has its own).
func (s *session) beginFetch(seq int, uid uint32) {
	s.w.Text("* ")
	if s.on.uidonly {
		s.w.Number(uint64(uid))
		s.w.Text(" UIDFETCH (")
		return
	}
	s.w.Number(uint64(seq))
	s.w.Text(" FETCH (")
}

// resync tells what has happened since the client looked last (RFC 7162 §3.2.5).
func (s *session) resync(ctx context.Context, q *imap.QResync) error {
	b := s.box.Look.Box()
	if q.UIDValidity != b.UIDValidity || q.ModSeq == 0 {
		return nil
	}
	known := []mailbox.Range{{Low: 1, High: max(b.UIDNext, 2) - 1}}
	if q.Known != nil {
		known = selection.Stored(q.Known.Resolve(s.box.Look.Last()))
	}
	if err := s.writeGone(ctx, q.ModSeq, known); err != nil {
		return err
	}
	spans, err := s.box.Spans(ctx, known)
	if err != nil {
		return err
	}
	return s.box.Each(ctx, spans, func(l views.Line) bool {
		if l.ModSeq > q.ModSeq && !l.Gone {
			s.writeSynced(ctx, l)
		}
		return true
	})
}

// writeSynced writes a message as QRESYNC wants it.
func (s *session) writeSynced(ctx context.Context, l views.Line) {
	s.beginFetch(l.Seq, l.UID)
	if !s.on.uidonly {
		s.w.Text("UID ")
		s.w.Number(uint64(l.UID))
		s.w.Text(" ")
	}
	s.w.Text("FLAGS " + s.flagText(ctx, l.Flags) + " MODSEQ (")
	s.w.Number(l.ModSeq)
	s.w.Text("))\r\n")
}

// writeGone tells which UIDs of known have gone since a modseq: where that is not all
// remembered, all of them that are not there (RFC 7162 §3.2.5.2).
func (s *session) writeGone(ctx context.Context, since uint64, known []mailbox.Range) error {
	gone, complete, err := s.srv.Boxes.Gone(ctx, s.box.ID, since)
	if err != nil {
		return err
	}
	if complete {
		s.writeVanished("* VANISHED (EARLIER) ", mailbox.Intersect(gone, known))
		return nil
	}
	spans, err := s.box.Spans(ctx, known)
	if err != nil {
		return err
	}
	var there []mailbox.Range
	err = s.box.Each(ctx, spans, func(l views.Line) bool {
		if l.Gone {
			return true
		}
		if n := len(there); n > 0 && there[n-1].High+1 == l.UID {
			there[n-1].High = l.UID
		} else {
			there = append(there, mailbox.Range{Low: l.UID, High: l.UID})
		}
		return true
	})
	if err == nil {
		s.writeVanished("* VANISHED (EARLIER) ", mailbox.Without(known, there))
	}
	return err
}

// expunge is EXPUNGE and UID EXPUNGE (RFC 4315).
func (s *session) expunge(ctx context.Context, c *imap.Command) answer {
	if s.box.ReadOnly {
		return no("CANNOT", "the mailbox is selected read-only")
	}
	uids := mailbox.All()
	if c.UID {
		if s.disabled("UIDPLUS") {
			return bad("UID EXPUNGE is not served here")
		}
		var err error
		if uids, err = s.box.UIDs(ctx, c.Args.(*imap.Expunge).Set, true); err != nil {
			return s.failed(err)
		}
	}
	_, modseq, err := s.srv.Boxes.Expunge(ctx, s.box.ID, uids)
	if err != nil {
		return s.failed(err)
	}
	a := done(c)
	s.report(ctx, true)
	if s.on.qresync { // not less than it has just been told of others' changes
		a.code = "HIGHESTMODSEQ " + strconv.FormatUint(max(modseq, s.box.Look.Box().ModSeq), 10)
	}
	return a
}
