package session

import (
	"testing"
	"time"

	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
)

// OPS-9: kept connections are ended on a goroutine that no delivery waits for.
func TestPanicInExpire(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	p := &Pool{Guard: &watch.Guard, Idle: time.Millisecond}
	p.put(&pooledConn{}) // without a connection
	if !watch.Saw(guard.Pool, 1) {
		t.Fatalf("counted: %v", watch.Seen())
	}
	if n := p.Len(); n != 0 { // and does not wait for the lock
		t.Errorf("%d connections are kept", n)
	}
}
