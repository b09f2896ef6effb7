package signing

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"waxwing/dns"
	"waxwing/internal/foreign"
	"waxwing/internal/store"
)

// Watcher looks for the records of keys in DNS. What it finds stands in the store,
// so that all machines and commands know it.
type Watcher struct {
	Keys *Service
	DNS  dns.Resolver
	Now  func() time.Time // nil: time.Now
	Log  *slog.Logger     // nil: discard
}

const (
	// watchPause is how soon a key that a command has added is looked for.
	watchPause = 5 * time.Second
	// watchLease is for how long a machine has a lookup to itself.
	watchLease = 5 * time.Minute
	// watchBatch bounds the keys looked for in one go.
	watchBatch = 100
)

// Run looks for the keys that are due until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	failed := false
	for {
		err := w.round(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failed:
			w.log().Error("whether DNS shows the DKIM keys cannot be seen", "error", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPause):
		}
	}
}

// due is a key that is to be looked for.
type due struct {
	domain, selector string
	at               int64
}

// round looks for every key that is due.
func (w *Watcher) round(ctx context.Context) error {
	all, err := store.List(ctx, w.Keys.Store, func(r store.Row) (d due, err error) {
		err = r.Scan(&d.domain, &d.selector, &d.at)
		return d, err
	}, `SELECT domain, selector, look_at FROM dkim_key WHERE state = ? AND look_at <= ? ORDER BY look_at LIMIT ?`,
		string(Active), store.Time(w.now()), int64(watchBatch))
	if err != nil {
		return fmt.Errorf("reading DKIM keys: %w", err)
	}
	for _, d := range all {
		mine, err := w.claim(ctx, d)
		if err != nil {
			return err
		}
		domain, perr := dns.ParseLax(d.domain)
		if !mine || perr != nil { // a damaged row is told where keys are loaded
			continue
		}
		if _, err := w.Look(ctx, domain, d.selector); err != nil {
			return err
		}
	}
	return nil
}

// claim takes a lookup for this machine.
func (w *Watcher) claim(ctx context.Context, d due) (mine bool, err error) {
	err = w.Keys.Store.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE dkim_key SET look_at = ? WHERE domain = ? AND selector = ? AND look_at = ?`,
			store.Time(w.now().Add(watchLease)), d.domain, d.selector, d.at)
		mine = n > 0
		return err
	})
	return mine, err
}

// Look looks up the record of one domain's keys with a selector, or of all that are not
// retired for "", and notes what DNS shows. It returns the keys as they are then.
func (w *Watcher) Look(ctx context.Context, domain dns.Name, selector string) ([]Key, error) {
	stored, err := w.Keys.read(ctx, domain)
	if err != nil {
		return nil, err
	}
	var out []Key
	for _, k := range stored {
		if k.err != nil || k.State == Retired || selector != "" && k.Selector != selector {
			continue
		}
		found, detail := w.lookUp(ctx, &k.Key)
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		now, err := w.note(ctx, k.Key, found, detail)
		if err != nil {
			return out, fmt.Errorf("DKIM key %s of %s: %w", k.Selector, k.Domain, err)
		}
		out = append(out, now)
	}
	return out, nil
}

func (w *Watcher) lookUp(ctx context.Context, k *Key) (Found, string) {
	name, err := k.Domain.Prefix(k.Selector + "._domainkey")
	if err != nil {
		return Unknown, err.Error()
	}
	a, err := w.DNS.LookupTXT(ctx, name)
	return read(k.Record, a, err)
}

// note stores what a lookup showed. Signers load the keys anew where one begins to sign.
func (w *Watcher) note(ctx context.Context, k Key, found Found, detail string) (Key, error) {
	was, before := k.Stage(), k.Sight.Found
	k.Sight = k.Sight.after(found, foreign.Text(detail, 200), w.now())
	err := w.Keys.Store.Write(ctx, func(tx *store.Tx) error {
		s := k.Sight // first stays: another machine may have seen the record meanwhile
		_, err := tx.Exec(`UPDATE dkim_key SET first = CASE first WHEN 0 THEN ? ELSE first END, looked = ?, found = ?, detail = ?, tries = ?, look_at = ? WHERE domain = ? AND selector = ?`,
			store.Time(s.First), store.Time(s.Looked), string(s.Found), s.Detail, int64(s.Tries), store.Time(s.Next), k.Domain.ASCII(), k.Selector)
		if err != nil || k.Stage() == was {
			return err
		}
		return tx.Raise(Area)
	})
	if err != nil {
		return k, err
	}
	switch {
	case k.Stage() != was:
		w.log().Info("DNS shows the record of a DKIM key, which signs from now on", "domain", k.Domain.ASCII(), "selector", k.Selector)
	case was == Signing && before == Shown && (found == Missing || found == Other):
		w.log().Warn("DNS does not show the record of a DKIM key any more; it goes on signing", "domain", k.Domain.ASCII(), "selector", k.Selector, "found", string(found), "text", k.Sight.Detail)
	}
	return k, nil
}

func (w *Watcher) now() time.Time {
	if w.Now != nil {
		return w.Now()
	}
	return time.Now()
}

func (w *Watcher) log() *slog.Logger {
	if w.Log != nil {
		return w.Log
	}
	return slog.New(slog.DiscardHandler)
}
