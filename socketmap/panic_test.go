package socketmap

import (
	"context"
	"testing"

	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
)

// OPS-9: a lookup that panics fails for now, and the connection goes on: Postfix keeps
// the mail and asks again.
func TestPanicFailsOneLookup(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	s := &Server{Guard: &watch.Guard, Lookup: func(ctx context.Context, r Request) Reply {
		if r.Key == "boom" {
			panic("lookup")
		}
		return echo(ctx, r)
	}}
	c := dial(t, serve(t, s, "tcp", "127.0.0.1:0"))
	for _, tt := range []struct{ key, want string }{{"boom", "TEMP internal error"}, {"a", "OK m/a"}, {"boom", "TEMP internal error"}} {
		got, err := Ask(c, Request{"m", tt.key})
		if err != nil || got.String() != tt.want {
			t.Errorf("%s: %v, %v; want %s", tt.key, got, err, tt.want)
		}
	}
	if !watch.Saw(guard.Socketmap, 2) {
		t.Errorf("counted: %v", watch.Seen())
	}
}
