// Package allowance bounds what an account sends in a day (INB-3), so that a
// stolen password is worth little.
//
// The count stands in the store and holds for all machines together and over
// restarts. No message costs a transaction of its own: a machine takes a block
// of the day's allowance from the store, spends it in memory and gives back what
// it did not need. What a crash leaves unspent counts as sent: the limit is never
// passed, and at most a block is lost. A day is a UTC day.
package allowance

import (
	"fmt"
	"time"
)

// Count is a number of messages and of recipients.
type Count struct{ Messages, Recipients int64 }

func (c Count) plus(d Count) Count {
	return Count{c.Messages + d.Messages, c.Recipients + d.Recipients}
}

func (c Count) minus(d Count) Count {
	return Count{c.Messages - d.Messages, c.Recipients - d.Recipients}
}

func (c Count) covers(d Count) bool { return c.Messages >= d.Messages && c.Recipients >= d.Recipients }

// What Exceeded is about.
const (
	Messages   = "messages"
	Recipients = "recipients"
)

// Exceeded says that a message would pass a limit.
type Exceeded struct {
	What  string // Messages or Recipients
	Used  int64  // today
	Limit int64
	Opens time.Time // when the next day begins
}

func (e *Exceeded) Error() string {
	did, may := "sent", "send"
	if e.What == Recipients {
		did, may = "written to", "write to"
	}
	return fmt.Sprintf("your account has %s %d %s today and may %s %d in a day; it can go on at %s",
		did, e.Used, e.What, may, e.Limit, e.Opens.UTC().Format("2006-01-02 15:04 UTC"))
}

// blocks is how many blocks a day's allowance is taken in.
const blocks = 50

// grant decides how much a machine takes: need, and a block where there is room
// for it; where little is left, a quarter of that, so that several machines
// share it. The word is the limit that need would pass; "" where it would not.
func grant(limit, used, need Count) (take Count, exceeded string) {
	var ok bool
	if take.Messages, ok = part(limit.Messages, used.Messages, need.Messages); !ok {
		return Count{}, Messages
	}
	if take.Recipients, ok = part(limit.Recipients, used.Recipients, need.Recipients); !ok {
		return Count{}, Recipients
	}
	return take, ""
}

// unlimited is the block where there is no limit, in messages or recipients.
const unlimited = 200

func part(limit, used, need int64) (take int64, ok bool) {
	switch left := limit - used; {
	case need <= 0: // there is enough: a block of each for the want of one would pile up
		return 0, true
	case limit <= 0:
		return max(need, unlimited), true
	case need > left:
		return 0, false
	default:
		return max(need, min(limit/blocks, left/4)), true
	}
}

const dayLength = 24 * time.Hour

func dayOf(t time.Time) int64 { return t.Unix() / int64(dayLength/time.Second) }

func startOf(day int64) time.Time { return time.Unix(day*int64(dayLength/time.Second), 0).UTC() }
