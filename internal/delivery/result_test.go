package delivery_test

import (
	"testing"

	"waxwing/internal/delivery"
)

// INB-14: of a message whose mailbox here cannot be written, those recipients are not tried again
// for whom another program has taken it.
func TestByOthers(t *testing.T) {
	t.Parallel()
	r := delivery.Result{Copies: []delivery.Copy{{Recipient: 1}}, Forwards: []delivery.Forward{{Recipient: 2}}}
	is := r.ByOthers()
	for id, want := range map[int64]bool{1: false, 2: false, 3: true} {
		if is(id) != want {
			t.Errorf("%d: %v", id, is(id))
		}
	}
}
