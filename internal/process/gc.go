package process

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// gcRoom is what may be allocated, in octets, between two garbage collections however
// little is in use. A mail server at work uses so little memory that with Go's
// own setting, twice what is in use, it would collect some ten times a second.
const gcRoom = 64 << 20

// gcPercent is the garbage collector's target (debug.SetGCPercent) where live octets
// are in use: never less often than Go's own, 100.
func gcPercent(live uint64) int {
	return int(max(100, gcRoom*100/max(live, gcRoom/16)))
}

// SpareGC keeps the collector at gcPercent from now on, unless the environment says
// how often to collect (GOGC). Near the memory limit it collects more often.
func SpareGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	now := 0
	var collected func(struct{})
	again := func() {
		// An object of its own that nobody holds: its cleanup runs after the next collection.
		runtime.AddCleanup(new([64]byte), collected, struct{}{})
	}
	collected = func(struct{}) {
		metrics.Read(live)
		if live[0].Value.Kind() != metrics.KindUint64 {
			return
		}
		if p := gcPercent(live[0].Value.Uint64()); p < now*9/10 || p > now*11/10 {
			now = p
			debug.SetGCPercent(p)
		}
		again()
	}
	collected(struct{}{})
}
