package reportbox

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/store"
)

// Former addresses are taken for so long after they were last the ones that are published:
// records are cached, and reporters keep their addresses for a while (RPT-21).
const formerFor = 30 * 24 * time.Hour

// notedEach is for how long it is not written down again that the configured address is still that: a server
// may be started often.
const notedEach = 30 * time.Minute

// Addresses are the local parts of the addresses that reports of one sort come to: the one that
// is configured, those that single domains have for themselves, and for a while those that were
// before them. Its fields are set before its first use.
type Addresses struct {
	Noun  string              // of the sort
	Local string              // at every domain
	Own   map[dns.Name]string // of single domains, beside Local
	Store *store.Store
	Now   func() time.Time

	mu    sync.Mutex
	known map[noted]time.Time // former ones, by when they were last noted; nil: not read yet
}

// noted is an address as it is kept: in lower case, domain "" for all.
type noted struct{ domain, local string }

// configured are the addresses of now.
func (a *Addresses) configured() []noted {
	out := []noted{{"", strings.ToLower(a.Local)}}
	for d, local := range a.Own {
		out = append(out, noted{d.ASCII(), strings.ToLower(local)})
	}
	return out
}

// Takes says whether reports come to a local part at a domain of ours.
func (a *Addresses) Takes(ctx context.Context, local string, domain dns.Name) (bool, error) {
	if own, ok := a.Own[domain]; strings.EqualFold(local, a.Local) || ok && strings.EqualFold(local, own) {
		return true, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil {
		if err := a.read(ctx); err != nil {
			return false, err
		}
	}
	for _, d := range []string{"", domain.ASCII()} {
		if last, ok := a.known[noted{d, strings.ToLower(local)}]; ok && a.Now().Before(last.Add(formerFor)) {
			return true, nil
		}
	}
	return false, nil
}

// read reads the former ones.
func (a *Addresses) read(ctx context.Context) error {
	type former struct {
		noted
		last int64
	}
	all, err := store.List(ctx, a.Store, func(r store.Row) (f former, err error) {
		return f, r.Scan(&f.domain, &f.local, &f.last)
	}, `SELECT domain, local, last FROM report_locals WHERE noun = ?`, a.Noun)
	if err != nil {
		return fmt.Errorf("read former report addresses: %w", err)
	}
	a.known = map[noted]time.Time{}
	for _, f := range all {
		a.known[f.noted] = store.FromTime(f.last)
	}
	return nil
}

// Note notes those that are configured now, and forgets former ones whose time is over. It is
// called every hour.
func (a *Addresses) Note(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.read(ctx)
	if err == nil && a.isStale() {
		if err = a.Store.Write(ctx, a.note); err == nil {
			err = a.read(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("note the report addresses: %w", err)
	}
	return nil
}

// isStale is whether one that is configured was not noted of late.
func (a *Addresses) isStale() bool {
	for _, c := range a.configured() {
		if last, ok := a.known[c]; !ok || !a.Now().Before(last.Add(notedEach)) {
			return true
		}
	}
	return false
}

func (a *Addresses) note(tx *store.Tx) error {
	for _, c := range a.configured() {
		_, err := tx.Exec(`INSERT INTO report_locals (noun, domain, local, last) VALUES (?, ?, ?, ?) ON CONFLICT (noun, domain, local) DO UPDATE SET last = excluded.last`,
			a.Noun, c.domain, c.local, store.Time(a.Now()))
		if err != nil {
			return err
		}
	}
	_, err := tx.Exec(`DELETE FROM report_locals WHERE noun = ? AND last < ?`, a.Noun, store.Time(a.Now().Add(-formerFor)))
	return err
}
