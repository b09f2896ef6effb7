package catalog

import (
	"slices"
	"strings"

	"waxwing/internal/jmapserver/finding"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// Mail is a mail that lies somewhere; nil: there is none.
func (v *View) Mail(id int64) *finding.Email {
	if e := v.Mails[id]; e != nil && e.Lies() {
		return e
	}
	return nil
}

// Box is a mailbox that is there; nil: there is none.
func (v *View) Box(id int64) *Box {
	if b := v.Boxes[id]; b != nil && !b.Removed {
		return b
	}
	return nil
}

// Sorted are all mails, the newest first.
func (v *View) Sorted() []*finding.Email {
	if v.sorted == nil {
		v.sorted = make([]*finding.Email, 0, len(v.Mails))
		for _, e := range v.Mails {
			v.sorted = append(v.sorted, e)
		}
		slices.SortFunc(v.sorted, finding.Newer)
	}
	return v.sorted
}

// Thread are the mails of a thread, in ascending order of when they came (RFC 8621 §3); none: there is no such.
func (v *View) Thread(id int64) []*finding.Email {
	if v.of == nil {
		v.of = map[int64][]*finding.Email{}
		all := v.Sorted()
		for i := len(all) - 1; i >= 0; i-- {
			if e := all[i]; e.Lies() {
				v.of[e.Thread] = append(v.of[e.Thread], e)
			}
		}
	}
	return v.of[id]
}

// Threads is what the mails of each thread have in common.
func (v *View) Threads() map[int64]*finding.Thread {
	if v.thread != nil {
		return v.thread
	}
	v.thread = map[int64]*finding.Thread{}
	for _, e := range v.Mails {
		if !e.Lies() {
			continue
		}
		f, t := e.Flags(), v.thread[e.Thread]
		if t == nil {
			v.thread[e.Thread] = &finding.Thread{All: f, Some: f}
			continue
		}
		t.All, t.Some = t.All&f, t.Some|f
	}
	return v.thread
}

// Counts are those of a mailbox (RFC 8621 §2).
type Counts struct{ Emails, UnreadEmails, Threads, UnreadThreads int64 }

// Count is what a mailbox has.
func (v *View) Count(box int64) Counts {
	if v.counts == nil {
		v.count()
	}
	return v.counts[box]
}

// count counts all mailboxes. A thread is unread in a mailbox if any of its mails is unread; only for Trash, those in it
// count, and elsewhere those that are not in Trash alone (RFC 8621 §2).
func (v *View) count() {
	v.counts = map[int64]Counts{}
	var trash int64
	for _, b := range v.Boxes {
		if b.Use == mailbox.UseTrash && !b.Removed {
			trash = b.ID
		}
	}
	unread := map[int64][2]bool{} // of a thread: in Trash, and elsewhere
	for _, e := range v.Mails {
		if !e.Lies() || !e.Unread() {
			continue
		}
		u := unread[e.Thread]
		for _, p := range e.Places {
			if p.Flags&mailbox.Deleted == 0 {
				u[0], u[1] = u[0] || p.Box == trash, u[1] || p.Box != trash
			}
		}
		unread[e.Thread] = u
	}
	type in struct{ thread, box int64 }
	seen := map[in]bool{}
	for _, e := range v.Mails {
		for i, p := range e.Places {
			if p.Flags&mailbox.Deleted != 0 || slices.ContainsFunc(e.Places[:i], func(o finding.Place) bool { return o.Box == p.Box && o.Flags&mailbox.Deleted == 0 }) {
				continue
			}
			c := v.counts[p.Box]
			c.Emails++
			if e.Unread() {
				c.UnreadEmails++
			}
			if at := (in{e.Thread, p.Box}); !seen[at] {
				seen[at] = true
				c.Threads++
				if u := unread[e.Thread]; p.Box == trash && u[0] || p.Box != trash && u[1] {
					c.UnreadThreads++
				}
			}
			v.counts[p.Box] = c
		}
	}
}

// Changed is what has changed of an account since a state.
type Changed struct{ Emails, Threads, Boxes []finding.Change }

// left is a mail that has left a mailbox.
type left struct {
	modseq, created uint64
	mail, thread    int64
}

// Since finds what has changed. complete is false where that is not all known any more.
func (v *View) Since(tx *store.Tx, account string, since finding.State) (c Changed, complete bool, err error) {
	from := since.ModSeq
	if since.Of != finding.At(0).Of && from > 0 {
		from-- // half of the changes with it are still to be told
	}
	if since.ModSeq > v.ModSeq || int64(from) < v.pruned {
		return c, false, nil
	}
	lefts, err := store.Collect(tx, func(r store.Row) (l left, err error) {
		return l, r.Scan(&l.modseq, &l.mail, &l.thread, &l.created)
	}, `SELECT g.modseq, g.mail, coalesce(m.thread, 0), coalesce(m.created, 0) FROM mailbox_gone g JOIN mailboxes b ON b.id = g.mailbox
		LEFT JOIN mails m ON m.id = g.mail WHERE b.account = ? AND g.modseq > ?`, account, int64(from))
	if err != nil {
		return c, false, err
	}
	mails := map[int64]*finding.Change{}
	threadOf := map[int64]int64{}
	for _, l := range lefts {
		if l.mail == 0 {
			return c, false, nil
		}
		o := mails[l.mail]
		if o == nil {
			o = &finding.Change{ID: l.mail, Created: l.created, Gone: true}
			mails[l.mail] = o
		}
		o.ModSeq, threadOf[l.mail] = max(o.ModSeq, l.modseq), l.thread
	}
	for id, e := range v.Mails {
		o := mails[id]
		if o == nil && e.Changed <= from && e.Created <= from {
			continue
		}
		if o == nil {
			o = &finding.Change{ID: id}
			mails[id] = o
		}
		o.ModSeq, o.Created, o.Gone, threadOf[id] = max(o.ModSeq, e.Changed, e.Created), e.Created, !e.Lies(), e.Thread
	}
	for _, m := range mails {
		c.Emails = append(c.Emails, *m)
	}
	c.Threads = v.changedThreads(mails, threadOf, from)
	c.Boxes = v.changedBoxes(threadOf, mails, from)
	return c, true, nil
}

// changedThreads are the threads that have other mails than before.
func (v *View) changedThreads(mails map[int64]*finding.Change, threadOf map[int64]int64, from uint64) (out []finding.Change) {
	byThread := map[int64]*finding.Change{}
	for id, m := range mails {
		came := m.Created > from
		if !came && !m.Gone {
			continue // other flags, or other mailboxes
		}
		t := byThread[threadOf[id]]
		if t == nil {
			t = &finding.Change{ID: threadOf[id], Gone: true, Created: 1<<63 - 1}
			byThread[t.ID] = t
		}
		at := m.ModSeq
		if came && !m.Gone {
			at = m.Created
		}
		t.ModSeq, t.Created = max(t.ModSeq, at), min(t.Created, m.Created)
	}
	for id, t := range byThread {
		for _, e := range v.Thread(id) {
			t.Gone, t.Created = false, min(t.Created, e.Created)
		}
		out = append(out, *t)
	}
	return out
}

// changedBoxes are the mailboxes that have changed, or of whose threads a mail has.
func (v *View) changedBoxes(threadOf map[int64]int64, mails map[int64]*finding.Change, from uint64) (out []finding.Change) {
	changed := map[int64]uint64{}
	for id, b := range v.Boxes {
		if b.ModSeq > from {
			changed[id] = b.ModSeq
		}
	}
	for mail, thread := range threadOf {
		for _, e := range v.Thread(thread) {
			for _, p := range e.Places {
				changed[p.Box] = max(changed[p.Box], mails[mail].ModSeq)
			}
		}
	}
	for id, modseq := range changed {
		if b := v.Boxes[id]; b != nil {
			out = append(out, finding.Change{ModSeq: modseq, Created: b.Made, ID: id, Gone: b.Removed})
		}
	}
	return out
}

// Structures are how mails are built, as package structure keeps it; it is empty where that is not known yet.
func Structures(tx *store.Tx, mails []*finding.Email) (map[int64][]byte, error) {
	out := map[int64][]byte{}
	for some := range slices.Chunk(mails, 500) {
		args := make([]any, len(some))
		for i, e := range some {
			args[i] = e.ID
		}
		err := tx.Each(func(r store.Row) error {
			var id int64
			var b []byte
			err := r.Scan(&id, &b)
			out[id] = b
			return err
		}, `SELECT id, structure FROM mails WHERE id IN (?`+strings.Repeat(", ?", len(some)-1)+`)`, args...)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
