package posture

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
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
	maxPending = 50000     // facts that wait to be written; more are dropped
	maxKnown   = 50000     // what is remembered of the last writes, some 100 octets each
	maxBatch   = 1000      // rows of one transaction, so that no delivery's own waits long behind it
	again      = time.Hour // unchanged facts are written as often as this
	keep       = 180 * 24 * time.Hour
	maxRows    = 200 // read of one domain
	patience   = 5   // writes that fail in a row before their facts are given up
)

// Recorder writes facts behind the deliveries' backs: those of one domain and
// account become one row, and many rows one transaction. Note costs a delivery
// no more than a look into a map; Run writes. Safe for concurrent use.
type Recorder struct {
	Store   *store.Store
	Pause   time.Duration    // between two writes, unless a whole batch waits; 0: one second
	Dropped func(n int)      // is told of facts that were lost, for the metrics; nil: nobody
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: discard

	mu      sync.Mutex
	pending map[key]Facts
	known   map[key]brief
	dropped int           // since it was last told
	failed  int           // writes in a row
	wake    chan struct{} // something is pending
	full    chan struct{} // a whole batch is
}

type key struct{ domain, account string }

// brief is what is remembered of a row that was written: 16 octets, for there are many.
type brief struct {
	words [5]uint8 // indices into allWords
	at    int64    // Seen, in Unix seconds
}

// allWords are all that facts can be.
func allWords() [8]Word {
	return [...]Word{Unknown, Yes, Partly, No, Broken, "none", "testing", "enforce"}
}

// code is the index of a word; that of no word for one that is not of the set.
func code(w Word) uint8 {
	all := allWords()
	for i := range all {
		if all[i] == w {
			return uint8(i)
		}
	}
	return uint8(len(all))
}

// tells reports that f says what b has, and that soon after it.
func (b brief) tells(f *Facts) bool {
	for i, x := range f.fields() {
		if x.Word != Unknown && b.words[i] != code(x.Word) {
			return false
		}
	}
	return f.Seen().Unix()-b.at < int64(again/time.Second)
}

// with is b with what f tells.
func (b brief) with(f *Facts) brief {
	for i, x := range f.fields() {
		if x.Word != Unknown {
			b.words[i] = code(x.Word)
		}
	}
	b.at = max(b.at, f.Seen().Unix())
	return b
}

// Note takes what an attempt showed. It never blocks and never fails: what
// cannot be kept is dropped, and counted. It may be called more than once for
// one attempt.
func (r *Recorder) Note(job *delivery.Job, res *delivery.Result) {
	f := Observe(res)
	if !f.Known() {
		return
	}
	k := key{job.Domain.String(), job.Account}
	r.mu.Lock()
	defer r.mu.Unlock()
	old, waiting := r.pending[k]
	switch {
	case waiting:
		f = old.Merge(f)
	case r.known[k].at != 0 && r.known[k].tells(&f):
		return
	case len(r.pending) >= maxPending:
		r.dropped++
		return
	}
	r.put(k, f)
}

// put has facts wait to be written; the mutex is held.
func (r *Recorder) put(k key, f Facts) {
	if r.pending == nil {
		r.pending = map[key]Facts{}
	}
	r.pending[k] = f
	r.signals()
	signal(r.wake)
	if len(r.pending) >= maxBatch {
		signal(r.full)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// signals are made once; the mutex is held.
func (r *Recorder) signals() {
	if r.wake == nil {
		r.wake, r.full = make(chan struct{}, 1), make(chan struct{}, 1)
	}
}

func (r *Recorder) prepare() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signals()
}

// Run writes what was noted until ctx ends, and then what is left. It never
// fails: what cannot be written is tried again, and after a while logged and forgotten.
func (r *Recorder) Run(ctx context.Context) error {
	r.prepare()
	sweep := time.NewTicker(24 * time.Hour)
	defer sweep.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-sweep.C:
			if err := r.Sweep(ctx); err != nil && ctx.Err() == nil {
				r.log().Warn("old facts about recipient domains not removed, will try tomorrow", "error", err)
			}
		case <-r.wake:
			r.wait(ctx, r.full)
			r.logged(ctx)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	r.logged(last)
	return nil
}

// logged writes until nothing is left, or until a write fails.
func (r *Recorder) logged(ctx context.Context) {
	if err := r.Flush(ctx); err != nil && ctx.Err() == nil {
		r.log().Warn("facts about recipient domains not written", "error", err)
		r.wait(ctx, nil) // the store is in trouble: no need to hurry
	}
}

// Flush writes all that was noted, a batch in each transaction. What a write
// that failed held waits for the next Flush, unless too many failed in a row:
// the next deliveries will show it again.
func (r *Recorder) Flush(ctx context.Context) error {
	defer r.tellDropped()
	for {
		batch := r.take()
		if len(batch) == 0 {
			return nil
		}
		if err := r.write(ctx, batch); err != nil {
			r.putBack(batch)
			return err
		}
		r.remember(batch)
	}
}

// noted is one row to be written.
type noted struct {
	key
	Facts
}

// take takes a batch of what is pending, in the same order on every machine, so
// that no two wait for each other.
func (r *Recorder) take() []noted {
	r.mu.Lock()
	defer r.mu.Unlock()
	batch := make([]noted, 0, min(len(r.pending), maxBatch))
	for k, f := range r.pending {
		if len(batch) == maxBatch {
			break
		}
		batch = append(batch, noted{k, f})
		delete(r.pending, k)
	}
	slices.SortFunc(batch, func(a, b noted) int {
		return cmp.Or(strings.Compare(a.domain, b.domain), strings.Compare(a.account, b.account))
	})
	return batch
}

// putBack has a batch wait that could not be written, or gives it up.
func (r *Recorder) putBack(batch []noted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed++
	if r.failed >= patience {
		r.failed = 0
		r.dropped += len(batch)
		return
	}
	for _, n := range batch {
		newer, waiting := r.pending[n.key]
		if !waiting && len(r.pending) >= maxPending {
			r.dropped++
			continue
		}
		r.put(n.key, n.Facts.Merge(newer))
	}
}

// remember notes what stands in the store.
func (r *Recorder) remember(batch []noted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = 0
	if r.known == nil || len(r.known)+len(batch) > maxKnown {
		r.known = map[key]brief{} // costs a few writes too many, now and then
	}
	for i := range batch {
		r.known[batch[i].key] = r.known[batch[i].key].with(&batch[i].Facts)
	}
}

func (r *Recorder) tellDropped() {
	r.mu.Lock()
	n := r.dropped
	r.dropped = 0
	r.mu.Unlock()
	if n == 0 {
		return
	}
	r.log().Warn("facts about recipient domains dropped: more than can be kept or written", "count", n)
	if r.Dropped != nil {
		r.Dropped(n)
	}
}

const columns = `starttls, starttls_at, mta_sts, mta_sts_at, dnssec, dnssec_at, dane, dane_at, requiretls, requiretls_at`

// rows of one statement; what is left of a batch goes in singles.
const rows = 50

// write merges a batch into the table in one transaction. Facts there that are
// newer, another machine's, stay: each word goes by its own time.
func (r *Recorder) write(ctx context.Context, batch []noted) error {
	return r.Store.Write(ctx, func(tx *store.Tx) error {
		var args []any
		for rest := batch; len(rest) > 0; {
			n := rows
			if len(rest) < n {
				n = 1
			}
			args = args[:0]
			for i := range n {
				args = rest[i].values(args)
			}
			if _, err := tx.Exec(upsert(n), args...); err != nil {
				return fmt.Errorf("%s and up to %d more: %w", rest[0].domain, n-1, err)
			}
			rest = rest[n:]
		}
		return nil
	})
}

func (n *noted) values(args []any) []any {
	args = append(args, n.domain, n.account)
	for _, x := range n.fields() {
		args = append(args, string(x.Word), store.Time(x.At))
	}
	return append(args, store.Time(n.Seen()))
}

// upsert is the statement for n rows.
func upsert(n int) string {
	if n == rows {
		return upsertMany()
	}
	return upsertOne()
}

var (
	upsertOne  = sync.OnceValue(func() string { return upsertText(1) })
	upsertMany = sync.OnceValue(func() string { return upsertText(rows) })
)

func upsertText(n int) string {
	const row = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	var b strings.Builder
	b.WriteString(`INSERT INTO posture (domain, account, ` + columns + `, seen) VALUES ` + row)
	for range n - 1 {
		b.WriteString(`, ` + row)
	}
	b.WriteString(` ON CONFLICT (domain, account) DO UPDATE SET seen = CASE WHEN excluded.seen > posture.seen THEN excluded.seen ELSE posture.seen END`)
	for _, c := range []string{"starttls", "mta_sts", "dnssec", "dane", "requiretls"} {
		for _, to := range []string{c, c + "_at"} {
			fmt.Fprintf(&b, `, %s = CASE WHEN excluded.%s <> '' AND excluded.%s_at >= posture.%s_at THEN excluded.%s ELSE posture.%s END`, to, c, c, c, to, to)
		}
	}
	return b.String()
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
		return tx.Each(func(r store.Row) error {
			var g Facts
			err := scan(r.Scan, &g)
			f = f.Merge(g)
			return err
		}, query, args...)
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

// wait sleeps for the pause, or until ctx or enough says that it is enough.
func (r *Recorder) wait(ctx context.Context, enough <-chan struct{}) {
	t := time.NewTimer(r.pause())
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-enough:
	case <-t.C:
	}
}
