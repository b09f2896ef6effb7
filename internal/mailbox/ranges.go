package mailbox

import "slices"

// Joined are ascending ranges that do not touch, and hold what all hold: as many as most, and otherwise one, which may
// hold more. all is put in order.
func Joined(all []Range, most int) []Range {
	slices.SortFunc(all, func(a, b Range) int { return int(int64(a.Low) - int64(b.Low)) })
	var out []Range
	for _, g := range all {
		if n := len(out); n > 0 && uint64(g.Low) <= uint64(out[n-1].High)+1 {
			out[n-1].High = max(out[n-1].High, g.High)
			continue
		}
		out = append(out, g)
	}
	if n := len(out); n > most {
		return []Range{{Low: out[0].Low, High: out[n-1].High}}
	}
	return out
}

// Intersect are the numbers in both of two ascending lists of ranges.
func Intersect(a, b []Range) []Range {
	var out []Range
	for len(a) > 0 && len(b) > 0 {
		low, high := max(a[0].Low, b[0].Low), min(a[0].High, b[0].High)
		if low <= high {
			out = append(out, Range{Low: low, High: high})
		}
		if a[0].High < b[0].High {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// Without are the numbers of a that are not in b; both are ascending.
func Without(a, b []Range) []Range {
	var out []Range
	for _, r := range a {
		low := uint64(r.Low)
		for len(b) > 0 && uint64(b[0].High) < low {
			b = b[1:]
		}
		for _, o := range b {
			if o.Low > r.High {
				break
			}
			if uint64(o.Low) > low {
				out = append(out, Range{Low: uint32(low), High: o.Low - 1})
			}
			low = uint64(o.High) + 1
		}
		if low <= uint64(r.High) {
			out = append(out, Range{Low: uint32(low), High: r.High})
		}
	}
	return out
}
