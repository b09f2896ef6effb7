package login

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// Standing is what somebody was let in by: a Grant, or the session of a browser.
type Standing interface {
	// Holds reports that they would be let in now as they were then; true, too, where that cannot be found out.
	Holds(ctx context.Context) (bool, error)
}

// Lookout ends what lasts longer than a login as soon as a login like it would be refused (IMP-5, WEB-3): the connections of mail
// programs, of JMAP's event source and of its WebSockets. Its fields are set before its first use; its methods may be called at the same time.
type Lookout struct {
	// Changed grows with all that says who may log in, and which sessions there are.
	Changed func(ctx context.Context) (int64, error)
	Every   time.Duration // how often it is looked whether something has changed; 0: a second

	mu   sync.Mutex
	kept map[*watched]struct{}
}

// watched is one thing that lasts.
type watched struct {
	by   Standing
	end  func()
	seen bool // looked at once: what changed between the login and Keep has been seen
}

// lookAlways is how often all are looked at though nothing has changed: app passwords and sessions end with time.
const lookAlways = time.Minute

// Keep has end called, once at most and soon, when what somebody was let in by holds no more. leave ends the watch. end is
// called while all others wait, and so does not.
func (l *Lookout) Keep(by Standing, end func()) (leave func()) {
	w := &watched{by: by, end: end}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == nil {
		l.kept = map[*watched]struct{}{}
	}
	l.kept[w] = struct{}{}
	return func() { l.drop(w) }
}

// drop forgets one; false: it was forgotten before.
func (l *Lookout) drop(w *watched) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, there := l.kept[w]
	delete(l.kept, w)
	return there
}

// Run looks until ctx ends.
func (l *Lookout) Run(ctx context.Context) error {
	tick := time.NewTicker(cmp.Or(l.Every, time.Second))
	defer tick.Stop()
	var seen int64
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := l.Changed(ctx)
		if err != nil {
			continue // it is the store's, which others tell of
		}
		everything := now != seen || time.Since(last) >= lookAlways
		if l.look(ctx, everything) && everything {
			seen, last = now, time.Now()
		}
	}
}

// look looks at all, or at those that nobody has looked at yet; false: it could not look at some.
func (l *Lookout) look(ctx context.Context, everything bool) (whole bool) {
	whole = true
	for _, w := range l.those(everything) {
		holds, err := w.by.Holds(ctx)
		if err != nil {
			whole = false
		}
		w.seen = err == nil
		if !holds && l.drop(w) {
			w.end()
		}
	}
	return whole
}

func (l *Lookout) those(everything bool) []*watched {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*watched
	for w := range l.kept {
		if everything || !w.seen {
			out = append(out, w)
		}
	}
	return out
}
