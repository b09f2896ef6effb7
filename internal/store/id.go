package store

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// The bits of an identifier: 41 of milliseconds since epoch (until 2094), 16 of a
// number that the process drew at random, 6 of a counter. More than 64 in one
// millisecond borrow from the next.
const (
	idNodeBits  = 16
	idCountBits = 6
	idEpoch     = 1735689600000 // 2025-01-01T00:00:00Z in milliseconds
)

// lastID is the last slot given: unique numbers are by nature the process's.
var lastID atomic.Int64

// node is the process's number, drawn once.
var node = sync.OnceValue(func() int64 {
	var b [2]byte
	rand.Read(b[:])
	return int64(binary.BigEndian.Uint16(b[:]))
})

// NewID returns a number above 0 that no other call returns, in this process
// or (but for a chance of 1 in 65,536 for two processes at work at the same
// time) in another on the same database. Later calls of a process return larger
// numbers; between machines the order is that of their clocks, to the
// millisecond.
func NewID() int64 {
	slot := (time.Now().UnixMilli() - idEpoch) << idCountBits
	for {
		last := lastID.Load()
		next := max(slot, last+1)
		if lastID.CompareAndSwap(last, next) {
			return next>>idCountBits<<(idNodeBits+idCountBits) | node()<<idCountBits | next&(1<<idCountBits-1)
		}
	}
}

// Blob is b for a column that is never NULL.
func Blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Time is how a time is stored: nanoseconds since 1970 UTC, 0 for the zero time. What lies before 1678 or
// after 2261, as dates that others write may, is the first or the last that can be.
func Time(t time.Time) int64 {
	switch year := t.UTC().Year(); {
	case t.IsZero():
		return 0
	case year < 1678:
		return math.MinInt64
	case year > 2261:
		return math.MaxInt64
	}
	return cmp.Or(t.UnixNano(), 1) // 1970 begins
}

// FromTime is the inverse of Time, in UTC.
func FromTime(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
