package desk

import (
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/queue"
)

// TestCame: an action that changed nothing failed, but for a retry of what is being tried.
func TestCame(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a    Action
		sum  queue.Changed
		want string
		ok   bool
	}{
		{Action{Verb: Hold}, queue.Changed{Done: 1}, "1 recipient held", true},
		{Action{Verb: Drop}, queue.Changed{Done: 2, Busy: 1}, "2 recipients dropped; 1 recipient being tried just now and left alone: ask again in a moment", true},
		{Action{Verb: Fail}, queue.Changed{Busy: 1}, "0 recipients returned to their senders; 1 recipient being tried just now and left alone: ask again in a moment", false},
		{Action{Verb: Retry}, queue.Changed{Busy: 3}, "0 recipients to be tried now; 3 recipients being tried just now", true},
		{Action{Verb: Retry}, queue.Changed{}, `nothing in the queue matches that this could be done with; "waxwing queue list" shows what there is`, false},
		{Action{Verb: SetTLS, Need: delivery.TLSOptional}, queue.Changed{Done: 1}, "1 recipient set to tls-optional", true},
		{Action{Verb: SetTransport, Transport: "isp"}, queue.Changed{Done: 1}, `1 recipient given the transport "isp"`, true},
	} {
		if got, ok := tt.a.Came(tt.sum); got != tt.want || ok != tt.ok {
			t.Errorf("%+v %+v: %q, %v", tt.a, tt.sum, got, ok)
		}
	}
}
