package control

import (
	"context"
	"strings"
	"testing"

	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/spool"
)

// OPS-9: a command over which the server panics is told so; the next one is answered.
func TestPanicFailsOneCommand(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	c, err := Dial(t.Context(), serveGuarded(t, &fragile{}, &watch.Guard))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Show(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "internal error") {
			t.Errorf("the command was told: %v", err)
		}
		if n, err := c.Count(t.Context()); err != nil || len(n) == 0 {
			t.Errorf("the next one: %v, %v", n, err)
		}
	}
	if !watch.Saw(guard.Control, 2) {
		t.Errorf("counted: %v", watch.Seen())
	}
}

type fragile struct{ scripted }

func (*fragile) Show(context.Context, int64) (spool.Shown, error) { panic("show") }
