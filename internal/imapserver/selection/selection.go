// Package selection is the mailbox that an IMAP session has selected: which of its messages a
// command names, which a search finds (RFC 9051 §6.4.4, RFC 4731), in which order (RFC 5256),
// and what has become of results that a client wants to be kept up to date (RFC 5267).
package selection

import (
	"context"
	"slices"

	"waxwing/imap"
	"waxwing/internal/mailbox"
	"waxwing/internal/views"
)

// Box is the mailbox that is selected. It belongs to one session.
type Box struct {
	Look     *views.Look
	ID       int64
	Name     string
	ReadOnly bool
	// Saved is "$": the UIDs of the last search that was to be saved (RFC 5182).
	Saved []mailbox.Range
	// Contexts are the searches whose results are kept up to date.
	Contexts Contexts
}

// step is how many messages are looked at in one go: the view is locked meanwhile.
const step = 2000

// Span is sequence numbers from Low to High.
type Span struct{ Low, High int }

// Written and Stored change ranges of UIDs from one package's type to the other's.
func Written(ranges []mailbox.Range) []imap.Range {
	out := make([]imap.Range, len(ranges))
	for i, r := range ranges {
		out[i] = imap.Range(r)
	}
	return out
}

// Stored is the opposite of Written.
func Stored(ranges []imap.Range) []mailbox.Range {
	out := make([]mailbox.Range, len(ranges))
	for i, r := range ranges {
		out[i] = mailbox.Range(r)
	}
	return out
}

// NumberError is a sequence number that no message has.
type NumberError struct{}

func (NumberError) Error() string { return "there is no message with that number" }

// Resolve are the messages that a command names, by sequence numbers: those of UIDs that
// the client knows, or its sequence numbers, which must exist (RFC 9051 §6.4.9: UIDs need
// not). NumberError.
func (b *Box) Resolve(ctx context.Context, set imap.Set, uid bool) ([]Span, error) {
	switch {
	case set.Saved:
		return b.Spans(ctx, b.Saved)
	case uid:
		uids, err := b.UIDs(ctx, set, true)
		if err != nil {
			return nil, err
		}
		return b.Spans(ctx, uids)
	}
	var out []Span
	for _, r := range set.Resolve(uint32(b.Look.Count())) {
		if int64(r.High) > int64(b.Look.Count()) {
			return nil, NumberError{}
		}
		out = append(out, Span{int(r.Low), int(r.High)})
	}
	return out, nil
}

// last is what "*" is in a set of UIDs: that of the last message (RFC 9051 §6.4.9), and not one that has gone since.
func (b *Box) last(ctx context.Context, set imap.Set) (uint32, error) {
	if !slices.ContainsFunc(set.Ranges, func(r imap.Range) bool { return r.Low == 0 || r.High == 0 }) {
		return 0, nil
	}
	lines, err := b.Look.Lines(ctx, nil, max(b.Look.Count(), 1), b.Look.Count())
	if err != nil || len(lines) == 0 {
		return b.Look.Last(), err
	}
	return lines[0].UID, nil
}

// Spans are the sequence numbers of UIDs.
func (b *Box) Spans(ctx context.Context, uids []mailbox.Range) ([]Span, error) {
	var out []Span
	for _, g := range uids {
		low, high, err := b.Look.Seqs(ctx, g)
		if err != nil {
			return nil, err
		}
		if low > high {
			continue
		}
		if n := len(out); n > 0 && out[n-1].High+1 >= low {
			out[n-1].High = max(out[n-1].High, high)
			continue
		}
		out = append(out, Span{low, high})
	}
	return out, nil
}

// Each calls fn for the messages of spans, in ascending order, until it returns false.
// The messages are read some at a time.
func (b *Box) Each(ctx context.Context, spans []Span, fn func(l views.Line) bool) error {
	var lines []views.Line
	for _, p := range spans {
		for low := p.Low; low <= p.High; low += step {
			var err error
			if lines, err = b.Look.Lines(ctx, lines[:0], low, min(p.High, low+step-1)); err != nil {
				return err
			}
			for _, l := range lines {
				if !fn(l) {
					return nil
				}
			}
		}
	}
	return nil
}

// UIDs are the UIDs of the messages that a command names. NumberError.
func (b *Box) UIDs(ctx context.Context, set imap.Set, uid bool) ([]mailbox.Range, error) {
	switch {
	case set.Saved:
		return b.Saved, nil
	case uid:
		last, err := b.last(ctx, set)
		return Stored(set.Resolve(last)), err
	}
	spans, err := b.Resolve(ctx, set, false)
	if err != nil {
		return nil, err
	}
	return b.uidsOf(ctx, spans)
}

// uidsOf are ranges of UIDs with the messages of spans and no others that the client
// knows.
func (b *Box) uidsOf(ctx context.Context, spans []Span) ([]mailbox.Range, error) {
	var out []mailbox.Range
	var lines []views.Line
	for _, p := range spans {
		var err error
		if lines, err = b.Look.Lines(ctx, lines[:0], p.Low, p.Low); err == nil {
			lines, err = b.Look.Lines(ctx, lines, p.High, p.High)
		}
		if err != nil {
			return nil, err
		}
		if len(lines) == 2 {
			out = append(out, mailbox.Range{Low: lines[0].UID, High: lines[1].UID})
		}
	}
	return out, nil
}

// Cut is the part of a result that is wanted (RFC 9394 §3.3).
func Cut(spans []Span, p imap.Partial) []Span {
	total := int64(0)
	for _, q := range spans {
		total += int64(q.High - q.Low + 1)
	}
	from, to := window(total, p)
	var out []Span
	pos := int64(1)
	for _, q := range spans {
		n := int64(q.High - q.Low + 1)
		low, high := max(from, pos), min(to, pos+n-1)
		if low <= high {
			out = append(out, Span{q.Low + int(low-pos), q.Low + int(high-pos)})
		}
		pos += n
	}
	return out
}

// window is which of total results a range means, counted from 1.
func window(total int64, p imap.Partial) (from, to int64) {
	if p.From < 0 {
		return total + p.To + 1, total + p.From + 1
	}
	return p.From, p.To
}
