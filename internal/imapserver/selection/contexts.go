package selection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"waxwing/imap"
	"waxwing/internal/criteria"
	"waxwing/internal/mailbox"
	"waxwing/internal/views"
	"waxwing/structure"
)

// Bounds on the results that are kept up to date for one session.
const (
	maxContexts = 10
	maxResults  = 200_000 // messages of all of them
)

// Standing is a search, or a SORT, whose result is kept up to date (RFC 5267 §4.3).
type Standing struct {
	Tag string // of the command
	UID bool
	Key imap.Key
	By  []imap.SortKey // of SORT; nil: the result is in the order of the mailbox

	uids []uint32 // the result as the client knows it, in its order
}

// Contexts are those of a session.
type Contexts []*Standing

// Find is the one that a tag names; -1: there is none.
func (cs Contexts) Find(tag string) int {
	return slices.IndexFunc(cs, func(st *Standing) bool { return st.Tag == tag })
}

// Add keeps a result up to date from now on. Else it says why not, and the client is to be
// told NOUPDATE.
func (cs *Contexts) Add(st *Standing, hits []Hit) (whyNot string) {
	total := len(hits)
	for _, other := range *cs {
		total += len(other.uids)
	}
	switch {
	case len(*cs) >= maxContexts:
		return fmt.Sprintf("%d results are kept up to date already", maxContexts)
	case total > maxResults:
		return fmt.Sprintf("the results that are kept up to date can have %d messages", maxResults)
	case varies(st.Key):
		return "what this search finds depends on more than the messages"
	}
	st.uids = Numbers(hits, true)
	*cs = append(*cs, st)
	return ""
}

// varies reports a search whose result changes without a message that changes.
func varies(k imap.Key) bool {
	switch k.Name {
	case "SEQ", "OLDER", "YOUNGER":
		return true
	case "UID":
		return k.Set.Saved || slices.ContainsFunc(k.Set.Ranges, func(r imap.Range) bool { return r.Low == 0 || r.High == 0 })
	}
	return slices.ContainsFunc(k.Keys, varies)
}

// Cancel ends one.
func (cs *Contexts) Cancel(i int) { *cs = slices.Delete(*cs, i, i+1) }

// Gone tells of messages that go, before the client is told that they do: their sequence
// numbers still hold (RFC 5267 §4.3.2).
func (cs Contexts) Gone(w *imap.Writer, gone []views.Line) {
	if len(cs) == 0 || len(gone) == 0 {
		return
	}
	lines := make([]views.Line, len(gone))
	for i, l := range gone { // a line's number counts those before it as gone
		lines[i] = views.Line{UID: l.UID, Seq: l.Seq + i}
	}
	for _, st := range cs {
		var u update
		st.drop(&u, lines)
		u.write(w, st, " REMOVEFROM (")
	}
}

// Changed looks at messages that have other flags, and at those from a sequence number on, which are new:
// what has become of the results, it tells. The client knows their numbers by then.
func (f *Finder) Changed(ctx context.Context, w *imap.Writer, changed []views.Line, added int) {
	count := f.Box.Look.Count()
	for _, st := range slices.Clone(f.Box.Contexts) {
		if err := f.update(ctx, w, st, changed, count-added+1); err != nil {
			f.Box.Contexts.Cancel(f.Box.Contexts.Find(st.Tag))
			NoUpdate(w, st.Tag, "the result could not be brought up to date")
		}
	}
}

// NoUpdate tells the client that a result is not kept up to date (RFC 5267 §4.3.5).
func NoUpdate(w *imap.Writer, tag, why string) {
	w.Status("*", "NO", "NOUPDATE "+string(imap.AppendString(nil, tag, false)), why)
}

// update brings one result up to date.
func (f *Finder) update(ctx context.Context, w *imap.Writer, st *Standing, changed []views.Line, first int) error {
	uids := make([]uint32, 0, len(changed))
	for _, l := range changed {
		uids = append(uids, l.UID)
	}
	slices.Sort(uids)
	spans, err := f.Box.Spans(ctx, mailbox.Ranges(uids))
	if err != nil {
		return err
	}
	if count := f.Box.Look.Count(); first <= count {
		spans = join(spans, Span{first, count})
	}
	if len(spans) == 0 {
		return nil
	}
	hits, err := f.findIn(ctx, st.Key, spans)
	if err != nil {
		return err
	}
	var out, in update
	var away []views.Line
	err = f.Box.Each(ctx, spans, func(l views.Line) bool {
		if _, is := slices.BinarySearchFunc(hits, l.UID, func(h Hit, u uint32) int { return cmp.Compare(h.UID, u) }); !is && !l.Gone {
			away = append(away, l)
		}
		return true
	})
	if err != nil {
		return err
	}
	st.drop(&out, away)
	if err := f.put(ctx, st, &in, hits); err != nil {
		return err
	}
	if len(st.uids) > maxResults {
		return errTooMany
	}
	out.write(w, st, " REMOVEFROM (")
	in.write(w, st, " ADDTO (")
	return nil
}

var errTooMany = errors.New("too much has changed for the result to be kept up to date")

// join adds a span behind others, which ascend, where it is not among them.
func join(spans []Span, p Span) []Span {
	for len(spans) > 0 && spans[len(spans)-1].High >= p.Low-1 {
		p.Low = min(p.Low, spans[len(spans)-1].Low)
		p.High = max(p.High, spans[len(spans)-1].High)
		spans = spans[:len(spans)-1]
	}
	return append(spans, p)
}

// update is what has changed of a result.
type update struct {
	positions []int // of SORT: where in the result, one after the other
	numbers   []uint32
}

func (u *update) add(st *Standing, position int, uid uint32, seq int) {
	n := uint32(seq)
	if st.UID {
		n = uid
	}
	u.positions, u.numbers = append(u.positions, position), append(u.numbers, n)
}

// write tells of it. The position 0 leaves it to the client to put messages in the order of the mailbox.
func (u *update) write(w *imap.Writer, st *Standing, word string) {
	if len(u.numbers) == 0 {
		return
	}
	begin(w, st.Tag, st.UID)
	w.Text(word)
	if st.By == nil {
		w.Text("0 ")
		w.Raw(imap.AppendRanges(nil, imap.Numbers(u.numbers)))
	} else {
		for i, n := range u.numbers {
			if i > 0 {
				w.Text(" ")
			}
			w.Number(uint64(u.positions[i]))
			w.Text(" ")
			w.Number(uint64(n))
		}
	}
	w.Text(")\r\n")
}

// drop takes messages, which ascend, out of the result, as far as they are in it: from its end, so that the positions of
// the others still hold when the client is told of each.
func (st *Standing) drop(u *update, lines []views.Line) {
	if len(lines) == 0 {
		return
	}
	left := len(st.uids) // uids[left:] stay
	for i := len(st.uids) - 1; i >= 0; i-- {
		uid := st.uids[i]
		k, is := slices.BinarySearchFunc(lines, uid, func(l views.Line, uid uint32) int { return cmp.Compare(l.UID, uid) })
		if is {
			u.add(st, i+1, uid, lines[k].Seq)
			continue
		}
		left--
		st.uids[left] = uid
	}
	st.uids = append(st.uids[:0], st.uids[left:]...)
	if st.By == nil {
		slices.Sort(u.numbers)
	}
}

// maxPlaced is how many messages are put into a sorted result at one time: to find the place of each, others are read.
const maxPlaced = 500

// put puts messages, which ascend, into the result, as far as they are not in it.
func (f *Finder) put(ctx context.Context, st *Standing, u *update, hits []Hit) error {
	has := st.uids
	if st.By != nil {
		has = slices.Sorted(slices.Values(st.uids))
	}
	hits = slices.DeleteFunc(hits, func(h Hit) bool {
		_, is := slices.BinarySearch(has, h.UID)
		return is
	})
	if st.By == nil {
		for _, h := range hits {
			u.add(st, 0, h.UID, h.Seq)
			st.uids = append(st.uids, h.UID)
		}
		slices.Sort(st.uids)
		return nil
	}
	if len(hits) > maxPlaced {
		return errTooMany
	}
	for _, h := range hits {
		i, there, err := f.place(ctx, st, h)
		if err != nil {
			return err
		}
		if there {
			st.uids = slices.Insert(st.uids, i, h.UID)
			u.add(st, i+1, h.UID, h.Seq)
		}
	}
	return nil
}

// place finds where in a sorted result a message belongs; not there: it has gone meanwhile.
func (f *Finder) place(ctx context.Context, st *Standing, h Hit) (at int, there bool, err error) {
	new, there, err := f.sortable(ctx, st, h.UID)
	if err != nil || !there {
		return 0, false, err
	}
	low, high := 0, len(st.uids)
	for low < high {
		mid := (low + high) / 2
		at := mid
		var old criteria.Sortable
		for there = false; at < high && !there; at++ { // one that has gone says nothing of the order
			if old, there, err = f.sortable(ctx, st, st.uids[at]); err != nil {
				return 0, false, err
			}
		}
		if c := new.Compare(&old, st.By); !there || c < 0 || c == 0 && h.UID < st.uids[at-1] {
			high = mid
		} else {
			low = at
		}
	}
	return low, true, nil
}

// sortable is a message as SORT compares it.
func (f *Finder) sortable(ctx context.Context, st *Standing, uid uint32) (out criteria.Sortable, there bool, err error) {
	err = f.described(ctx, []Hit{{UID: uid}}, func(_ Hit, m *mailbox.Message, built *structure.Message) {
		out, there = criteria.NewSortable(m, built, st.By), true
	})
	return out, there, err
}
