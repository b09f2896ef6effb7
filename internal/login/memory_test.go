package login

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"waxwing/internal/turns"
	"waxwing/sasl"
)

// INB-2: fifty clients that guess as fast as they can make the server use little
// memory, however large argon2id's is: what is at work at one time is bounded, and the
// garbage with it. Not parallel: it measures the process.
func TestGuessersUseLittleMemory(t *testing.T) {
	c := &Checker{Accounts: newPeople(), Limits: Limits{Delay: -1}}
	c.prepare()
	runtime.GC()
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		var peak uint64
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				most <- peak
				return
			case <-tick.C:
				metrics.Read(heap)
				peak = max(peak, heap[0].Value.Uint64())
			}
		}
	}()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for k := range 3 {
				_, err := c.Password(t.Context(), "joe", fmt.Sprint("guess ", i, k))
				if !errors.Is(err, sasl.ErrFailed) && !errors.Is(err, turns.ErrBusy) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	if peak := <-most; peak > 128<<20 {
		t.Errorf("%d MiB at the most, want 128", peak>>20)
	} else {
		t.Logf("%d MiB at the most", peak>>20)
	}
}
