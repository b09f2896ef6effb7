package selection

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"waxwing/imap"
	"waxwing/internal/criteria"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/threads"
	"waxwing/internal/views"
	"waxwing/structure"
)

// Hit is a message that a search has found.
type Hit struct {
	Seq    int
	UID    uint32
	ModSeq uint64
}

// Finder carries searches out in a mailbox that is selected.
type Finder struct {
	Box   *Box
	Boxes *mailboxes.Store
	// Known is what the searches know of the account and its messages. What is of the
	// selected mailbox, Find fills in.
	Known criteria.Known
	// Progress hears how many of how many messages have been looked at; nil: nobody.
	Progress func(done, all int)
}

// mailsStep is how many messages are taken up at one time.
const mailsStep = 500

// Find returns the messages of the whole mailbox that match. The hits ascend.
func (f *Finder) Find(ctx context.Context, key imap.Key) ([]Hit, error) {
	return f.findIn(ctx, key, []Span{{1, f.Box.Look.Count()}})
}

// findIn finds what matches in spans: first by what the view knows, then, of what is left, by what is
// kept of the mails and by their text.
func (f *Finder) findIn(ctx context.Context, key imap.Key, spans []Span) (hits []Hit, err error) {
	known := f.Known
	last, err := f.Box.last(ctx, imap.Set{Ranges: []imap.Range{{}}})
	if err != nil {
		return nil, err
	}
	known.Count, known.Last, known.Saved = uint32(f.Box.Look.Count()), last, Written(f.Box.Saved)
	p := criteria.Compile(key, known)
	open := []int{} // places in hits that are not decided
	m := &criteria.Message{}
	err = f.Box.Each(ctx, spans, func(l views.Line) bool {
		if l.Gone {
			return true
		}
		m.Seq, m.UID, m.Flags, m.ModSeq = l.Seq, l.UID, l.Flags, l.ModSeq
		switch p.Eval(m) {
		case criteria.Unknown:
			open = append(open, len(hits))
			fallthrough
		case criteria.Yes:
			hits = append(hits, Hit{l.Seq, l.UID, l.ModSeq})
		}
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil || len(open) == 0 {
		return hits, err
	}
	return f.decide(ctx, p, hits, open)
}

// decide looks closer at the hits of open, and returns those that are left of all.
func (f *Finder) decide(ctx context.Context, p *criteria.Program, hits []Hit, open []int) ([]Hit, error) {
	drop := make([]bool, len(hits))
	for _, i := range open {
		drop[i] = true // unless it is found to match
	}
	for done := 0; done < len(open); done += mailsStep {
		some := open[done:min(done+mailsStep, len(open))]
		uids := make([]uint32, len(some))
		for i, at := range some {
			uids[i] = hits[at].UID
		}
		at := 0
		err := f.Boxes.Mails(ctx, f.Box.ID, mailbox.Ranges(uids), func(m *mailbox.Message) error {
			for at < len(some) && hits[some[at]].UID < m.Entry.UID {
				at++
			}
			if at == len(some) || hits[some[at]].UID != m.Entry.UID {
				return nil
			}
			h := hits[some[at]]
			x := &criteria.Message{Seq: h.Seq, UID: h.UID, Flags: m.Entry.Flags, ModSeq: h.ModSeq, Mail: m}
			drop[some[at]] = p.Eval(x) != criteria.Yes
			if x.Err != nil && !errors.Is(x.Err, mailboxes.ErrNoSuchMessage) {
				return x.Err
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
		if f.Progress != nil {
			f.Progress(done, len(open))
		}
	}
	kept := hits[:0]
	for i, h := range hits {
		if !drop[i] {
			kept = append(kept, h)
		}
	}
	return kept, nil
}

// Sort has hits, which ascend, in another order (RFC 5256 §3).
func (f *Finder) Sort(ctx context.Context, hits []Hit, by []imap.SortKey) ([]Hit, error) {
	type sortable struct {
		Hit
		criteria.Sortable
	}
	all := make([]sortable, 0, len(hits))
	err := f.described(ctx, hits, func(h Hit, m *mailbox.Message, built *structure.Message) {
		all = append(all, sortable{h, criteria.NewSortable(m, built, by)})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b sortable) int {
		return cmp.Or(a.Compare(&b.Sortable, by), cmp.Compare(a.Seq, b.Seq))
	})
	out := make([]Hit, len(all))
	for i := range all {
		out[i] = all[i].Hit
	}
	return out, nil
}

// Threads are hits, which ascend, as threads can be made of them (RFC 5256 §3); with uid,
// their numbers are UIDs.
func (f *Finder) Threads(ctx context.Context, hits []Hit, uid bool) (all []threads.Message, err error) {
	err = f.described(ctx, hits, func(h Hit, m *mailbox.Message, built *structure.Message) {
		one := threads.Message{Number: uint32(h.Seq), Order: h.Seq}
		if uid {
			one.Number = h.UID
		}
		one.ID, one.References = built.Thread()
		one.Subject, one.Reply = structure.BaseSubject(built.Envelope.Subject)
		var ok bool
		if one.Sent, ok = built.Envelope.Sent(); !ok {
			one.Sent = m.Received
		}
		all = append(all, one)
	})
	return all, err
}

// described calls fn for the hits that are still there, with how they are built.
func (f *Finder) described(ctx context.Context, hits []Hit, fn func(h Hit, m *mailbox.Message, built *structure.Message)) error {
	at := 0
	return f.Boxes.Mails(ctx, f.Box.ID, mailbox.Ranges(Numbers(hits, true)), func(m *mailbox.Message) error {
		for at < len(hits) && hits[at].UID < m.Entry.UID {
			at++
		}
		if at == len(hits) || hits[at].UID != m.Entry.UID {
			return nil
		}
		built, err := f.Known.Structure(&m.Mail)
		if err != nil {
			return err
		}
		fn(hits[at], m, built)
		return ctx.Err()
	})
}
