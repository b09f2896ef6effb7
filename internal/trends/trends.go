// Package trends remembers how the server has done, hour by hour, so that people see it drawn (ADM-3): sessions by
// how they were verified, what TLS failed by, how long mail took, how much waits and how long, and the disk.
package trends

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/store"
)

// Kind is what is remembered.
type Kind string

// The kinds. The first three are sums of an hour, the others are as they were at its end.
const (
	Sessions Kind = "sessions" // by verification
	Failures Kind = "failures" // of TLS, by the type of RFC 8460
	Latency  Kind = "latency"  // recipients by how long their mail took to be delivered
	Queue    Kind = "queue"    // recipients, by state
	Age      Kind = "age"      // seconds, of the oldest that waits
	Disk     Kind = "disk"     // octets, free and used
)

// IsSum reports whether hours add up; of the others the most counts.
func (k Kind) IsSum() bool { return k == Sessions || k == Failures || k == Latency }

// Measure is one number of a kind.
type Measure struct {
	Kind Kind
	Name string
	N    int64
}

// Point is one of an hour.
type Point struct {
	Hour time.Time
	Measure
}

const (
	keepFor    = 31 * 24 * time.Hour
	flushEvery = time.Minute
	maxNames   = 200 // counted in one minute; what is beyond is left out
)

// Recorder counts, and writes once a minute. A crash costs a minute's counts.
type Recorder struct {
	DB   *store.Store
	Now  func() time.Time
	Look func(context.Context) ([]Measure, error) // how things are now
	Log  *slog.Logger

	mu     sync.Mutex
	counts map[Point]int64 // with N 0
}

// Attempted counts what one attempt has brought.
func (r *Recorder) Attempted(job *delivery.Job, res *delivery.Result) {
	hour := r.Now().UTC().Truncate(time.Hour)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[Point]int64{}
	}
	for _, m := range Of(job, res) {
		n := m.N
		m.N = 0
		if p := (Point{hour, m}); len(r.counts) < maxNames || r.counts[p] > 0 {
			r.counts[p] += n
		}
	}
}

// Of is what an attempt counts. It is pure.
func Of(job *delivery.Job, res *delivery.Result) (out []Measure) {
	for i := range res.Visits {
		for k := range res.Visits[i].Sessions {
			s := &res.Visits[i].Sessions[k]
			if !s.Greeted || s.Again || s.Repeat {
				continue
			}
			out = append(out, Measure{Sessions, Verified(s), 1})
			if s.TLSFailure != nil {
				out = append(out, Measure{Failures, string(s.TLSFailure.Type), 1})
			}
		}
	}
	for _, rr := range res.Recipients {
		if rr.Outcome == delivery.Delivered {
			out = append(out, Measure{Latency, Within(res.Ended.Sub(job.Accepted)), 1})
		}
	}
	return out
}

// The words for how a session was verified, the best first.
const (
	both       = "dane+pkix"
	byDANE     = "dane"
	byPKIX     = "pkix"
	unverified = "unverified"
	none       = "none"
	failed     = "failed"
)

// Verifications are all words of Verified, the best first.
func Verifications() []string { return []string{both, byDANE, byPKIX, unverified, none, failed} }

// Verified is how far the host of a session was known.
func Verified(s *delivery.Session) string {
	passed := func(v *delivery.Verification) bool { return v != nil && v.Failure == nil }
	switch {
	case s.TLSFailure != nil:
		return failed
	case s.TLS == nil:
		return none
	case passed(s.DANE) && passed(s.PKIX):
		return both
	case passed(s.DANE):
		return byDANE
	case passed(s.PKIX):
		return byPKIX
	}
	return unverified
}

var spans = []struct {
	most time.Duration
	says string
}{{10 * time.Second, "10 seconds"}, {time.Minute, "a minute"}, {10 * time.Minute, "10 minutes"}, {time.Hour, "an hour"}, {24 * time.Hour, "a day"}}

const longer = "longer"

// Spans are all words of Within, the shortest first.
func Spans() (out []string) {
	for _, s := range spans {
		out = append(out, s.says)
	}
	return append(out, longer)
}

// Within is the span in which something took so long.
func Within(d time.Duration) string {
	for _, s := range spans {
		if d <= s.most {
			return s.says
		}
	}
	return longer
}

// Run writes what was counted, and how things are, once a minute until ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	for {
		if err := r.Flush(ctx); err != nil && ctx.Err() == nil {
			r.Log.Warn("how the server does is not noted", "error", err)
		}
		select {
		case <-ctx.Done():
			last, end := context.WithTimeout(context.WithoutCancel(ctx), flushEvery/6)
			defer end()
			return r.write(last, nil)
		case <-time.After(flushEvery):
		}
	}
}

// Flush notes what was counted, and how things are.
func (r *Recorder) Flush(ctx context.Context) error {
	now, err := r.Look(ctx)
	if err != nil {
		return err
	}
	return r.write(ctx, now)
}

// take gives out what was counted.
func (r *Recorder) take() []Point {
	out := r.counted()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range out { // what was counted meanwhile stays
		key := p
		key.N = 0
		if r.counts[key] -= p.N; r.counts[key] == 0 {
			delete(r.counts, key)
		}
	}
	return out
}

// putBack keeps what could not be written for the next time.
func (r *Recorder) putBack(all []Point) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range all {
		n := p.N
		p.N = 0
		r.counts[p] += n
	}
}

func (r *Recorder) write(ctx context.Context, now []Measure) error {
	counted := r.take()
	hour := r.Now().UTC().Truncate(time.Hour)
	all := slices.Clone(counted)
	for _, m := range now {
		all = append(all, Point{hour, m})
	}
	slices.SortFunc(all, order)
	err := r.DB.WriteSoon(ctx, func(tx *store.Tx) error {
		for _, p := range all {
			then := `excluded.n`
			if p.Kind.IsSum() {
				then = `trends.n + excluded.n`
			}
			_, err := tx.Exec(`INSERT INTO trends (hour, kind, name, n) VALUES (?, ?, ?, ?) ON CONFLICT (hour, kind, name) DO UPDATE SET n = `+then,
				store.Time(p.Hour), string(p.Kind), foreign.Clip(foreign.Line(p.Name), 60), p.N)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.putBack(counted)
		return fmt.Errorf("note how the server does: %w", err)
	}
	return nil
}

// Points are all since a time, in their order: what was counted until now, and how things were when they were looked at last, which is
// once a minute. It writes nothing, and what it costs does not depend on how much waits.
func (r *Recorder) Points(ctx context.Context, since time.Time) ([]Point, error) {
	kept, err := store.List(ctx, r.DB, func(row store.Row) (p Point, err error) {
		var hour int64
		err = row.Scan(&hour, &p.Kind, &p.Name, &p.N)
		p.Hour = store.FromTime(hour)
		return p, err
	}, `SELECT hour, kind, name, n FROM trends WHERE hour >= ?`, store.Time(since.UTC().Truncate(time.Hour)))
	if err != nil {
		return nil, fmt.Errorf("read how the server has done: %w", err)
	}
	return together(kept, r.counted()), nil
}

// counted is what was counted and is not written yet.
func (r *Recorder) counted() (out []Point) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, n := range r.counts {
		p.N = n
		out = append(out, p)
	}
	return out
}

// together adds up what is of the same hour, kind and name, in order. It is pure.
func together(lists ...[]Point) []Point {
	all := slices.Concat(lists...)
	slices.SortFunc(all, order)
	out := all[:0]
	for _, p := range all {
		if last := len(out) - 1; last >= 0 && order(out[last], p) == 0 {
			out[last].N += p.N
			continue
		}
		out = append(out, p)
	}
	return out
}

// order is by hour, kind and name: one order, so that two machines that write do not wait for each other.
func order(a, b Point) int {
	return cmp.Or(a.Hour.Compare(b.Hour), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// Tidy forgets what is old.
func (r *Recorder) Tidy(ctx context.Context) error {
	return r.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM trends WHERE hour < ?`, store.Time(r.Now().Add(-keepFor)))
		return err
	})
}
