package text

import (
	"fmt"
	"strings"
	"time"
)

// Day is the UTC day of a time.
func Day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// OrNever is a time for a table, or "never" where there is none.
func OrNever(t time.Time) any {
	if t.IsZero() {
		return "never"
	}
	return t
}

// Instant is a time in full.
func Instant(t time.Time) string { return Moment(t, time.Time{}) }

// Count counts things in words: "1 fault", "3 faults".
func Count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// Words joins those that are there.
func Words(all ...string) string {
	return strings.Join(strings.Fields(strings.Join(all, " ")), " ")
}

// Columns are those of the heads, whose texts may take several lines. The columns named
// in giveWay are left out of a narrow terminal, the first of them first.
func Columns(heads string, giveWay ...string) (out []Column) {
	const narrowest = 12
	for h := range strings.SplitSeq(heads, "|") {
		c := Column{Head: h, Wrap: narrowest}
		for i, g := range giveWay {
			if g == h {
				c.Rank = len(giveWay) - i
			}
		}
		out = append(out, c)
	}
	return out
}

// Octets is a number of octets, with a blank between thousands.
func Octets(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
