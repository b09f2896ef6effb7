package mailbox

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The ranges in which changes are looked for hold all that changed, in order and apart, and are few.
func TestJoined(t *testing.T) {
	t.Parallel()
	const most = 200
	for _, c := range []struct{ all, want []Range }{
		{nil, nil},
		{[]Range{{Low: 5, High: 5}, {Low: 6, High: 6}, {Low: 4, High: 4}}, []Range{{Low: 4, High: 6}}},
		{[]Range{{Low: 1, High: 9}, {Low: 3, High: 4}, {Low: 11, High: 12}}, []Range{{Low: 1, High: 9}, {Low: 11, High: 12}}},
		{[]Range{{Low: 7, High: 1<<32 - 1}, {Low: 1<<32 - 1, High: 1<<32 - 1}}, []Range{{Low: 7, High: 1<<32 - 1}}},
	} {
		if got := Joined(slices.Clone(c.all), most); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.all, got, c.want)
		}
	}
	for range 200 {
		var all []Range
		for range rand.IntN(600) {
			low := 1 + rand.Uint32N(5000)
			all = append(all, Range{Low: low, High: low + rand.Uint32N(3)})
		}
		got := Joined(slices.Clone(all), most)
		if len(got) > most {
			t.Fatalf("%d ranges", len(got))
		}
		for i := 1; i < len(got); i++ {
			if got[i].Low <= got[i-1].High+1 {
				t.Fatalf("%v touches %v", got[i-1], got[i])
			}
		}
		for _, g := range all {
			if !In(got, g.Low) || !In(got, g.High) {
				t.Fatalf("%v is in none of %v", g, got)
			}
		}
	}
}
