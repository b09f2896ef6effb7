package mailboxes

import (
	"math/rand/v2"
	"slices"
	"testing"

	"waxwing/internal/mailbox"
)

// The ranges in which changes are looked for hold all that changed, in order and apart, and are few.
func TestJoined(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ all, want []mailbox.Range }{
		{nil, nil},
		{[]mailbox.Range{{Low: 5, High: 5}, {Low: 6, High: 6}, {Low: 4, High: 4}}, []mailbox.Range{{Low: 4, High: 6}}},
		{[]mailbox.Range{{Low: 1, High: 9}, {Low: 3, High: 4}, {Low: 11, High: 12}}, []mailbox.Range{{Low: 1, High: 9}, {Low: 11, High: 12}}},
		{[]mailbox.Range{{Low: 7, High: 1<<32 - 1}, {Low: 1<<32 - 1, High: 1<<32 - 1}}, []mailbox.Range{{Low: 7, High: 1<<32 - 1}}},
	} {
		if got := joined(slices.Clone(c.all)); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.all, got, c.want)
		}
	}
	for range 200 {
		var all []mailbox.Range
		for range rand.IntN(600) {
			low := 1 + rand.Uint32N(5000)
			all = append(all, mailbox.Range{Low: low, High: low + rand.Uint32N(3)})
		}
		got := joined(slices.Clone(all))
		if len(got) > maxRanges {
			t.Fatalf("%d ranges", len(got))
		}
		for i := 1; i < len(got); i++ {
			if got[i].Low <= got[i-1].High+1 {
				t.Fatalf("%v touches %v", got[i-1], got[i])
			}
		}
		for _, g := range all {
			if !mailbox.In(got, g.Low) || !mailbox.In(got, g.High) {
				t.Fatalf("%v is in none of %v", g, got)
			}
		}
	}
}
