// Package disk knows how much room is left where the server keeps what it has
// accepted, and keeps a reserve of it: to settle what is under way, to notify senders,
// and for what the database needs for itself.
package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// ErrUnknown says that this system does not tell how much room a disk has.
var ErrUnknown = errors.New("this system does not tell how much room a disk has")

// ErrShort is wrapped by the errors of Room.
var ErrShort = errors.New("the disk is nearly full")

// fresh is how long an answer of the system serves: asking costs as much as a write.
const fresh = 100 * time.Millisecond

// noteEvery is how often the log may hear that room is short.
const noteEvery = time.Minute

// Reserve is the room that stays free on the disk of Dir. Set the fields before the
// first call; the methods may be called from any goroutine.
type Reserve struct {
	Dir    string
	Octets int64
	Log    *slog.Logger
	Now    func() time.Time                         // nil: time.Now
	Free   func(dir string) (free int64, err error) // in octets; nil: the system's

	mu    sync.Mutex
	short bool
	noted time.Time
	asked time.Time // when left was answered
	left  int64     // without what was granted since
}

// Room says whether size octets more may be taken: ErrShort if not. Where nobody knows how
// much room there is, they may.
func (r *Reserve) Room(size int64) error {
	free, short, err := r.grant(size)
	if err != nil {
		r.unknown(err)
		return nil
	}
	if short {
		return fmt.Errorf("%w: %s has %d MiB left, %d MiB of them are kept", ErrShort, r.Dir, free>>20, r.Octets>>20)
	}
	return nil
}

// Left is how many octets are free; ok is false where nobody knows.
func (r *Reserve) Left() (n int64, ok bool) {
	n, err := r.free()
	return n, err == nil
}

// grant takes size octets of what is free, if the reserve is not touched.
func (r *Reserve) grant(size int64) (free int64, short bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); r.short || now.Sub(r.asked) >= fresh || now.Before(r.asked) {
		if r.left, err = r.free(); err != nil {
			return 0, false, err
		}
		r.asked = now
	}
	free, short = r.left, r.left-size < r.Octets
	if !short {
		r.left -= size
	}
	r.note(short, size, free)
	return free, short, nil
}

func (r *Reserve) free() (int64, error) {
	if r.Free != nil {
		return r.Free(r.Dir)
	}
	return free(r.Dir)
}

func (r *Reserve) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// note tells the log when mail begins to be refused, and when it is taken again. r.mu is held.
func (r *Reserve) note(short bool, size, free int64) {
	was, now := r.short, r.now()
	if short {
		if !was || now.Sub(r.noted) >= noteEvery {
			r.noted = now
			r.Log.Error("the disk is nearly full: mail is answered 452 until there is more room", "dir", r.Dir, "free", free, "reserve", r.Octets, "wanted", size)
		}
		r.short = true
		return
	}
	if was && size == 0 { // a small message may pass where a large one did not
		r.short = false
		r.Log.Info("the disk has room again", "dir", r.Dir, "free", free)
	}
}

func (r *Reserve) unknown(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); now.Sub(r.noted) >= time.Hour {
		r.noted = now
		r.Log.Warn("nobody knows how much room the disk has: no reserve is kept", "dir", r.Dir, "error", err)
	}
}
