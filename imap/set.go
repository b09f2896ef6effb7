package imap

import (
	"slices"
	"strconv"
	"strings"
)

// Range is part of a set: from Low to High, both included; 0 is "*", the highest
// number there is.
type Range struct{ Low, High uint32 }

// Set is a sequence set, of sequence numbers or of UIDs (RFC 9051 §4.1.1), in the
// order in which it was written.
type Set struct {
	Ranges []Range
	Saved  bool // "$": the result of the last search (RFC 5182)
}

// Contains reports that n is in the set, where last is what "*" stands for.
func (s Set) Contains(n, last uint32) bool {
	return slices.ContainsFunc(s.Ranges, func(r Range) bool {
		low, high := r.bounds(last)
		return n >= low && n <= high
	})
}

func (r Range) bounds(last uint32) (low, high uint32) {
	low, high = r.Low, r.High
	if low == 0 {
		low = last
	}
	if high == 0 {
		high = last
	}
	return min(low, high), max(low, high)
}

// Resolve replaces "*", sorts the ranges and joins those that touch.
func (s Set) Resolve(last uint32) []Range {
	out := make([]Range, 0, len(s.Ranges))
	for _, r := range s.Ranges {
		low, high := r.bounds(last)
		if high > 0 {
			out = append(out, Range{max(low, 1), high})
		}
	}
	slices.SortFunc(out, func(a, b Range) int { return int(int64(a.Low) - int64(b.Low)) })
	n := 0
	for _, r := range out {
		if n > 0 && uint64(r.Low) <= uint64(out[n-1].High)+1 {
			out[n-1].High = max(out[n-1].High, r.High)
			continue
		}
		out[n] = r
		n++
	}
	return out[:n]
}

// String is the set as it is written.
func (s Set) String() string {
	if s.Saved {
		return "$"
	}
	return string(AppendRanges(nil, s.Ranges))
}

// AppendRanges writes ranges, "1:3,7,9:*".
func AppendRanges(b []byte, ranges []Range) []byte {
	one := func(n uint32) {
		if n == 0 {
			b = append(b, '*')
			return
		}
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	for i, r := range ranges {
		if i > 0 {
			b = append(b, ',')
		}
		one(r.Low)
		if r.High != r.Low {
			b = append(b, ':')
			one(r.High)
		}
	}
	return b
}

// Numbers are ranges of ascending numbers.
func Numbers(ns []uint32) []Range {
	var out []Range
	for _, n := range ns {
		if k := len(out); k > 0 && out[k-1].High+1 == n {
			out[k-1].High = n
			continue
		}
		out = append(out, Range{n, n})
	}
	return out
}

// ParseSet reads a sequence set.
func ParseSet(s string) (Set, error) {
	if s == "$" {
		return Set{Saved: true}, nil
	}
	var out Set
	for part := range strings.SplitSeq(s, ",") {
		low, high, isRange := strings.Cut(part, ":")
		if !isRange {
			high = low
		}
		a, ok1 := setNumber(low)
		b, ok2 := setNumber(high)
		if !ok1 || !ok2 {
			return Set{}, bad("%.40q is no sequence set", s)
		}
		out.Ranges = append(out.Ranges, Range{a, b})
	}
	return out, nil
}

func setNumber(s string) (uint32, bool) {
	if s == "*" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n > 0 && s[0] != '+'
}

func (l *lexer) set() (Set, error) {
	s, err := l.word("a sequence set", func(c byte) bool {
		return c >= '0' && c <= '9' || c == ':' || c == ',' || c == '*' || c == '$'
	})
	if err != nil {
		return Set{}, err
	}
	if strings.Count(s, ",") >= l.limits.Items {
		return Set{}, bad("more than %d parts in a sequence set", l.limits.Items)
	}
	return ParseSet(s)
}
