package reportbox

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"waxwing/internal/store"
)

// Former addresses are taken for so long after they were last the ones that are published:
// records are cached, and reporters keep their addresses for a while (RPT-21).
const formerFor = 30 * 24 * time.Hour

// notedEach is for how long it is not written down again that the configured address is still that: a server
// may be started often.
const notedEach = 30 * time.Minute

// Addresses are the local parts of the addresses that reports of one sort come to: the one that
// is configured, and for a while those that were before it. Its fields are set before its first
// use.
type Addresses struct {
	Noun  string // of the sort
	Local string
	Store *store.Store
	Now   func() time.Time

	mu    sync.Mutex
	known map[string]time.Time // former ones, by when they were last noted; nil: not read yet
}

// Takes says whether reports come to a local part.
func (a *Addresses) Takes(ctx context.Context, local string) (bool, error) {
	if strings.EqualFold(local, a.Local) {
		return true, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil {
		if err := a.read(ctx); err != nil {
			return false, err
		}
	}
	last, ok := a.known[strings.ToLower(local)]
	return ok && a.Now().Before(last.Add(formerFor)), nil
}

// read reads the former ones.
func (a *Addresses) read(ctx context.Context) error {
	type former struct {
		local string
		last  int64
	}
	all, err := store.List(ctx, a.Store, func(r store.Row) (f former, err error) {
		return f, r.Scan(&f.local, &f.last)
	}, `SELECT local, last FROM report_addresses WHERE noun = ?`, a.Noun)
	if err != nil {
		return fmt.Errorf("read former report addresses: %w", err)
	}
	a.known = map[string]time.Time{}
	for _, f := range all {
		a.known[f.local] = store.FromTime(f.last)
	}
	return nil
}

// Note notes the one that is configured now, and forgets former ones whose time is over. It is
// called every hour.
func (a *Addresses) Note(ctx context.Context) error {
	noted, err := store.List(ctx, a.Store, store.Value[int64], `SELECT last FROM report_addresses WHERE noun = ? AND local = ? AND last > ?`,
		a.Noun, strings.ToLower(a.Local), store.Time(a.Now().Add(-notedEach)))
	if err == nil && len(noted) == 0 {
		err = a.Store.Write(ctx, a.note)
	}
	if err != nil {
		return fmt.Errorf("note the report address: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.read(ctx)
}

func (a *Addresses) note(tx *store.Tx) error {
	_, err := tx.Exec(`INSERT INTO report_addresses (noun, local, last) VALUES (?, ?, ?) ON CONFLICT (noun, local) DO UPDATE SET last = excluded.last`,
		a.Noun, strings.ToLower(a.Local), store.Time(a.Now()))
	if err == nil {
		_, err = tx.Exec(`DELETE FROM report_addresses WHERE noun = ? AND last < ?`, a.Noun, store.Time(a.Now().Add(-formerFor)))
	}
	return err
}
