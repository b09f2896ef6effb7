package peers

import "runtime"

// Lane keeps TLS handshakes to a part of the processors. Hundreds may be under way,
// and each computes for a millisecond now and then; were all to do so at the same
// time, nothing else would get a turn for long.
type Lane chan struct{}

// NewLane has room for half of the processors, and for one at least.
func NewLane() Lane { return make(Lane, max(1, runtime.GOMAXPROCS(0)/2)) }

// Enter waits for room, before something is computed.
func (l Lane) Enter() { l <- struct{}{} }

// Leave gives it back, before something is waited for.
func (l Lane) Leave() { <-l }
