package mtasts

import (
	"context"
	"net"
	"testing"

	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/reason"
)

// OPS-9: net/http dials on a goroutine of its own.
func TestPanicInDial(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	f := &Fetcher{AllowPrivate: true, Guard: &watch.Guard, Resolver: resolver(t, "192.88.99.7"),
		Dial: func(context.Context, string, string) (net.Conn, error) { panic("dial") }}
	if _, _, err := f.Fetch(t.Context(), domain); err == nil || err.Word != reason.STSFetch {
		t.Errorf("the fetch: %v", err)
	}
	if !watch.Saw(guard.Fetch, 1) {
		t.Errorf("counted: %v", watch.Seen())
	}
}
