package dns

import (
	"testing"
	"time"

	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
)

// OPS-9: sockets are swept on a goroutine that no question waits for.
func TestPanicInSweep(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	s := &sockets{idle: map[string][]idleSocket{"127.0.0.1:53": {{conn: nil, since: time.Unix(0, 0)}}}}
	s.sweepIn(&watch.Guard, 0)
	if !watch.Saw(guard.Resolver, 1) {
		t.Fatalf("counted: %v", watch.Seen())
	}
	if !s.mu.TryLock() {
		t.Error("the lock is still held")
	}
}
