package posture

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// Bounds of the recorder.
const (
	maxPending = 1000      // facts that wait to be written; more are dropped
	maxKnown   = 10000     // what is remembered of the last writes
	again      = time.Hour // unchanged facts are written as often as this
	keep       = 180 * 24 * time.Hour
	maxRows    = 200 // read of one domain
)

// Recorder writes facts behind the deliveries' backs. Note costs a delivery
// no more than a look into a map; Run writes. Safe for concurrent use.
type Recorder struct {
	Store *store.Store
	Pause time.Duration    // between two writes; 0: one second
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: discard

	mu      sync.Mutex
	pending map[key]Facts
	known   map[key]Facts
	dropped int
	wake    chan struct{}
}

type key struct{ domain, account string }

// Note takes what an attempt showed. It never blocks and never fails: what
// cannot be kept is dropped, and counted in the log. It may be called more than
// once for one attempt.
func (r *Recorder) Note(job *delivery.Job, res *delivery.Result) {
	f := Observe(res)
	if !f.Known() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := key{job.Domain.String(), job.Account}
	merged := r.pending[k].Merge(f)
	if old, ok := r.known[k]; ok {
		merged = old.Merge(merged)
		if merged.same(old) && merged.Seen().Sub(old.Seen()) < again {
			return
		}
	}
	if _, there := r.pending[k]; !there && len(r.pending) >= maxPending {
		r.dropped++
		return
	}
	if r.pending == nil {
		r.pending = map[key]Facts{}
	}
	r.pending[k] = merged
	select {
	case r.waker() <- struct{}{}:
	default:
	}
}

// waker is made once; the mutex is held.
func (r *Recorder) waker() chan struct{} {
	if r.wake == nil {
		r.wake = make(chan struct{}, 1)
	}
	return r.wake
}

// Run writes what was noted until ctx ends, and then what is left. It never
// fails: what cannot be written is logged and forgotten.
func (r *Recorder) Run(ctx context.Context) error {
	r.mu.Lock()
	wake := r.waker()
	r.mu.Unlock()
	sweep := time.NewTicker(24 * time.Hour)
	defer sweep.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-sweep.C:
			if err := r.Sweep(ctx); err != nil && ctx.Err() == nil {
				r.log().Warn("old facts about recipient domains not removed, will try tomorrow", "error", err)
			}
		case <-wake:
			r.logged(ctx)
			wait(ctx, r.pause())
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	r.logged(last)
	return nil
}

func (r *Recorder) logged(ctx context.Context) {
	if err := r.Flush(ctx); err != nil && ctx.Err() == nil {
		r.log().Warn("facts about recipient domains not written", "error", err)
	}
}

// Flush writes all that was noted, in one transaction. On an error it is lost:
// the next deliveries will show it again.
func (r *Recorder) Flush(ctx context.Context) error {
	r.mu.Lock()
	batch, dropped := r.pending, r.dropped
	r.pending, r.dropped = nil, 0
	r.mu.Unlock()
	if dropped > 0 {
		r.log().Warn("facts about recipient domains dropped: too many at once", "count", dropped)
	}
	if len(batch) == 0 {
		return nil
	}
	wrote := map[key]Facts{}
	err := r.Store.Write(ctx, func(tx *store.Tx) error {
		clear(wrote)
		for _, k := range order(batch) { // the same on every machine, so that no two wait for each other
			g, err := save(tx, k, batch[k])
			if err != nil {
				return fmt.Errorf("%s: %w", k.domain, err)
			}
			wrote[k] = g
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known)+len(wrote) > maxKnown {
		r.known = map[key]Facts{} // costs a few writes too many, now and then
	}
	for k, f := range wrote {
		r.known[k] = f
	}
	return nil
}

func order(batch map[key]Facts) []key {
	return slices.SortedFunc(maps.Keys(batch), func(a, b key) int {
		return cmp.Or(strings.Compare(a.domain, b.domain), strings.Compare(a.account, b.account))
	})
}

const columns = `starttls, starttls_at, mta_sts, mta_sts_at, dnssec, dnssec_at, dane, dane_at, requiretls, requiretls_at`

// save merges f into the row, another machine's newer facts staying.
func save(tx *store.Tx, k key, f Facts) (Facts, error) {
	var old Facts
	err := scan(tx.Row(`SELECT `+columns+` FROM posture WHERE domain = ? AND account = ?`+tx.Wait(), k.domain, k.account).Scan, &old)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return f, err
	}
	f = old.Merge(f)
	args := []any{k.domain, k.account}
	for _, x := range f.fields() {
		args = append(args, string(x.Word), store.Time(x.At))
	}
	_, err = tx.Exec(`INSERT INTO posture (domain, account, `+columns+`, seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (domain, account) DO UPDATE SET starttls = excluded.starttls, starttls_at = excluded.starttls_at,
		mta_sts = excluded.mta_sts, mta_sts_at = excluded.mta_sts_at, dnssec = excluded.dnssec, dnssec_at = excluded.dnssec_at,
		dane = excluded.dane, dane_at = excluded.dane_at, requiretls = excluded.requiretls,
		requiretls_at = excluded.requiretls_at, seen = excluded.seen`, append(args, store.Time(f.Seen()))...)
	return f, err
}

func scan(row func(...any) error, f *Facts, more ...any) error {
	var at [5]int64
	var to []any
	for i, x := range f.fields() {
		to = append(to, &x.Word, &at[i])
	}
	if err := row(append(to, more...)...); err != nil {
		return err
	}
	for i, x := range f.fields() {
		x.At = store.FromTime(at[i])
	}
	return nil
}

// Domain is what is known of a domain, from all accounts' mail together.
func (r *Recorder) Domain(ctx context.Context, domain dns.Name) (Facts, error) {
	return r.read(ctx, `SELECT `+columns+` FROM posture WHERE domain = ? ORDER BY seen DESC LIMIT ?`, domain.ASCII(), int64(maxRows))
}

// Account is what one account's mail has shown of a domain.
func (r *Recorder) Account(ctx context.Context, domain dns.Name, account string) (Facts, error) {
	return r.read(ctx, `SELECT `+columns+` FROM posture WHERE domain = ? AND account = ?`, domain.ASCII(), account)
}

func (r *Recorder) read(ctx context.Context, query string, args ...any) (Facts, error) {
	var f Facts
	err := r.Store.Read(ctx, func(tx *store.Tx) error {
		f = Facts{}
		rows, err := tx.Query(query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var g Facts
			if err := scan(rows.Scan, &g); err != nil {
				return err
			}
			f = f.Merge(g)
		}
		return rows.Err()
	})
	if err != nil {
		return f, fmt.Errorf("read what is known of the domain: %w", err)
	}
	return f, nil
}

// Sweep removes what was last seen half a year ago.
func (r *Recorder) Sweep(ctx context.Context) error {
	return r.Store.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM posture WHERE seen < ?`, store.Time(r.now().Add(-keep)))
		return err
	})
}

func (r *Recorder) pause() time.Duration {
	if r.Pause > 0 {
		return r.Pause
	}
	return time.Second
}

func (r *Recorder) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r *Recorder) log() *slog.Logger {
	if r.Log != nil {
		return r.Log
	}
	return slog.New(slog.DiscardHandler)
}

// wait sleeps, or not once ctx has ended.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
