package process

import (
	"os"
	"testing"
	"time"
)

// TestBoot: the run of this machine has one ID, and began before now.
func TestBoot(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/uptime"); err != nil {
		t.Skip(err)
	}
	now := time.Now()
	id, at := Boot(now)
	if again, _ := Boot(now); id == "" || again != id || !at.Before(now) {
		t.Errorf("%q, then %q, since %v", id, again, at)
	}
}
