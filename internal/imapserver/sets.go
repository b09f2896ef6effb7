package imapserver

import (
	"context"

	"waxwing/imap"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
)

// span is sequence numbers from low to high.
type span struct{ low, high int }

// written and stored change ranges of UIDs from one package's type to the other's.
func written(ranges []mailbox.Range) []imap.Range {
	out := make([]imap.Range, len(ranges))
	for i, r := range ranges {
		out[i] = imap.Range(r)
	}
	return out
}

func stored(ranges []imap.Range) []mailbox.Range {
	out := make([]mailbox.Range, len(ranges))
	for i, r := range ranges {
		out[i] = mailbox.Range(r)
	}
	return out
}

// errNumber is a sequence number that no message has.
type errNumber struct{}

func (errNumber) Error() string { return "there is no message with that number" }

// resolve are the messages that a command names, by sequence numbers: those of UIDs that
// the client knows, or its sequence numbers, which must exist (RFC 9051 §6.4.9: UIDs need
// not).
func (s *session) resolve(ctx context.Context, set imap.Set, uid bool) ([]span, error) {
	look := s.box.look
	switch {
	case set.Saved:
		return s.spans(ctx, s.saved)
	case uid:
		return s.spans(ctx, stored(set.Resolve(look.Last())))
	}
	var out []span
	for _, r := range set.Resolve(uint32(look.Count())) {
		if int64(r.High) > int64(look.Count()) {
			return nil, errNumber{}
		}
		out = append(out, span{int(r.Low), int(r.High)})
	}
	return out, nil
}

// spans are the sequence numbers of UIDs.
func (s *session) spans(ctx context.Context, uids []mailbox.Range) ([]span, error) {
	var out []span
	for _, g := range uids {
		low, high, err := s.box.look.Seqs(ctx, g)
		if err != nil {
			return nil, err
		}
		if low > high {
			continue
		}
		if n := len(out); n > 0 && out[n-1].high+1 >= low {
			out[n-1].high = max(out[n-1].high, high)
			continue
		}
		out = append(out, span{low, high})
	}
	return out, nil
}

// each calls fn for the messages of spans, in ascending order, until it returns false.
// The messages are read some at a time.
func (s *session) each(ctx context.Context, spans []span, fn func(l mailboxes.Line) bool) error {
	var lines []mailboxes.Line
	for _, p := range spans {
		for low := p.low; low <= p.high; low += linesStep {
			var err error
			if lines, err = s.box.look.Lines(ctx, lines[:0], low, min(p.high, low+linesStep-1)); err != nil {
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

// uids are the UIDs of the messages that a command names.
func (s *session) uids(ctx context.Context, set imap.Set, uid bool) ([]mailbox.Range, error) {
	switch {
	case set.Saved:
		return s.saved, nil
	case uid:
		return stored(set.Resolve(s.box.look.Last())), nil
	}
	spans, err := s.resolve(ctx, set, false)
	if err != nil {
		return nil, err
	}
	return s.uidsOf(ctx, spans)
}

// uidsOf are ranges of UIDs with the messages of spans and no others that the client
// knows.
func (s *session) uidsOf(ctx context.Context, spans []span) ([]mailbox.Range, error) {
	var out []mailbox.Range
	var lines []mailboxes.Line
	for _, p := range spans {
		var err error
		if lines, err = s.box.look.Lines(ctx, lines[:0], p.low, p.low); err == nil {
			lines, err = s.box.look.Lines(ctx, lines, p.high, p.high)
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
