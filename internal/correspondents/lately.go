package correspondents

import (
	"sync"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

const (
	// lately is for how long a process knows without a look into the store to whom an account has
	// written: what another process makes of a correspondent meanwhile (a mark, a row that goes) is
	// passed over for no longer.
	lately = time.Minute
	// latelyMost bounds what is known so, of all accounts.
	latelyMost = 4096
)

// Lately is Wrote for a process that accepts many messages: what it noted a moment ago costs
// nothing again. The zero value is ready for use; it is safe for concurrent use.
type Lately struct {
	mu    sync.Mutex
	noted map[written]time.Time
}

type written struct {
	account, to string
	reply       bool
}

// Wrote is Wrote, but for what is known to stand in the store.
func (l *Lately) Wrote(tx *store.Tx, account string, w delivery.Wrote, now time.Time) error {
	w.To = l.news(account, w, now)
	if len(w.To) == 0 {
		return nil
	}
	if err := Wrote(tx, account, w, now); err != nil {
		return err
	}
	tx.After(func() { l.note(account, w, now) })
	return nil
}

// news are the addresses of w that were not noted lately.
func (l *Lately) news(account string, w delivery.Wrote, now time.Time) (to []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range w.To {
		at, known := l.noted[written{account, a, w.Reply}]
		if !known || now.Before(at) || now.Sub(at) >= lately {
			to = append(to, a)
		}
	}
	return to
}

func (l *Lately) note(account string, w delivery.Wrote, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range w.To {
		if l.noted == nil || len(l.noted) >= latelyMost {
			l.noted = map[written]time.Time{}
		}
		l.noted[written{account, a, w.Reply}] = now
	}
}
