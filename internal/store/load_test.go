package store

import (
	"testing"
	"testing/synctest"
	"time"
)

// What overlaps counts once, and what is still under way counts, too.
func TestLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l load
		want := func(d time.Duration) {
			t.Helper()
			if got := l.total(); got != d {
				t.Errorf("%v, wanted %v", got, d)
			}
		}
		time.Sleep(time.Second)
		want(0)
		l.begin()
		time.Sleep(time.Second)
		l.begin()
		want(time.Second)
		time.Sleep(time.Second)
		l.end()
		time.Sleep(time.Second)
		l.end()
		want(3 * time.Second)
		time.Sleep(time.Second)
		want(3 * time.Second)
	})
}
