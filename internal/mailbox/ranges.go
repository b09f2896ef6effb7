package mailbox

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
