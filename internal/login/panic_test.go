package login

import (
	"testing"

	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
)

// OPS-9: a password check that panics, on a goroutine that all who try it share, is an
// error of the server for each of them, and no login.
func TestPanicInCheck(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	c := &Checker{Accounts: newPeople(), Guard: &watch.Guard}
	first := c.flight("key", func() (bool, error) {
		panic("verify")
	})
	second := c.flight("other", func() (bool, error) { return true, nil })
	if r := <-first; !guard.Contained(r.Err) || r.Val == true {
		t.Errorf("%v, %v", r.Val, r.Err)
	}
	if r := <-second; r.Err != nil || r.Val != true {
		t.Errorf("the next one: %v, %v", r.Val, r.Err)
	}
	if !watch.Saw(guard.Login, 1) {
		t.Errorf("counted: %v", watch.Seen())
	}
}
