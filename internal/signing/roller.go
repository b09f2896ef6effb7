package signing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/foreign"
	"waxwing/internal/keystage"
	"waxwing/internal/store"
)

// Roller carries roll-overs on: it looks for the records of keys that are to take over at
// every server of the zone, and has them sign when their turn has come. Its fields are
// needed.
type Roller struct {
	Keys *Service
	// Servers asks every server of a name's zone for its TXT records: what each has, and
	// the longest TTL. The error is that not all were reached.
	Servers func(ctx context.Context, name dns.Name) (each [][]string, ttl time.Duration, err error)
	// After is the age of a key at which a roll-over begins by itself, where Managed says
	// that the domain's records are published by this server; 0: never.
	After   time.Duration
	Managed func(domain dns.Name) bool
	Now     func() time.Time
	Log     *slog.Logger
}

// rollPause is how often it is looked what there is to do; a record's servers are asked as often.
const rollPause = 5 * time.Minute

// Run carries roll-overs on until ctx ends.
func (r *Roller) Run(ctx context.Context) error {
	said := ""
	for {
		err := r.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			said = ""
		case err.Error() != said:
			said = err.Error()
			r.Log.Error("roll-overs of DKIM keys do not go on", "error", err)
		}
		timer := time.NewTimer(rollPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// Step does what is due now.
func (r *Roller) Step(ctx context.Context) error {
	all, err := r.Keys.Keys(ctx, dns.Name{})
	if err != nil {
		return err
	}
	var errs []error
	for _, k := range all {
		switch now := r.Now(); {
		case k.Rolling():
			err = r.roll(ctx, k, all)
		case k.gone(now):
			err = r.drop(ctx, k)
		case r.aged(k, all, now):
			err = r.begin(ctx, k)
		default:
			continue
		}
		if errs = append(errs, err); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}

// aged says whether a roll-over of a key begins by itself (pure but for Managed).
func (r *Roller) aged(k Key, all []Key, now time.Time) bool {
	return r.After > 0 && k.Stage() == Signing && now.Sub(k.Created) >= r.After && !hasSuccessor(all, k) && r.Managed(k.Domain)
}

func (r *Roller) begin(ctx context.Context, k Key) error {
	kind, _, _ := strings.Cut(k.Algorithm, "-")
	made, err := r.Keys.Rollover(ctx, k.Domain, kind)
	if errors.Is(err, ErrExists) || errors.Is(err, ErrRolling) { // another machine was faster
		return nil
	}
	for _, n := range made {
		r.Log.Info("a DKIM key is old: the next one is made, and signs once DNS has shown its record for long enough", "domain", n.Domain.ASCII(), "selector", n.Selector)
	}
	return err
}

// roll looks for the record of a key that is to take over, and has it do so when its turn
// has come.
func (r *Roller) roll(ctx context.Context, k Key, all []Key) error {
	name, err := k.Domain.Prefix(k.Selector + "._domainkey")
	if err != nil {
		return err
	}
	each, ttl, err := r.Servers(ctx, name)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil { // a look that did not reach every server is none
		r.Log.Warn("not every server of the zone answers: a DKIM key waits for its turn", "domain", k.Domain.ASCII(), "selector", k.Selector, "error", foreign.Text(err.Error(), 300))
		return nil
	}
	k.Turn.Seen = k.Turn.Seen.Fold(sighted(k.Record, each, ttl, r.Now()))
	if err := r.Keys.noteSeen(ctx, k); err != nil {
		return err
	}
	if d := k.decide(all, r.Now()); !d.Promote {
		return nil
	}
	did, err := r.Keys.promote(ctx, k)
	if err == nil && did {
		r.Log.Info("a DKIM key signs from now on, and the one before it no more", "domain", k.Domain.ASCII(), "selector", k.Selector, "replaces", k.Turn.Replaces)
	}
	return err
}

// sighted is what all servers of a zone show of a key's record. It is pure.
func sighted(wanted string, each [][]string, ttl time.Duration, at time.Time) keystage.Look {
	l := keystage.Look{At: at, TTL: ttl, All: len(each) > 0}
	for _, texts := range each {
		found, _ := read(wanted, dns.Answer[string]{Records: texts}, nil)
		l.All, l.Any, l.Set = l.All && found == Shown, l.Any || found == Shown, l.Set || len(texts) > 0
	}
	return l
}

func (r *Roller) drop(ctx context.Context, k Key) error {
	did, err := r.Keys.drop(ctx, k)
	if err == nil && did {
		r.Log.Info("the record of a DKIM key that signs no more may go", "domain", k.Domain.ASCII(), "selector", k.Selector)
	}
	return err
}

// noteSeen stores what the zone's servers showed of a key.
func (s *Service) noteSeen(ctx context.Context, k Key) error {
	err := s.Store.Write(ctx, func(tx *store.Tx) error {
		f := k.Turn.Seen
		_, err := tx.Exec(`UPDATE dkim_key SET seen_last = ?, seen_since = ?, seen_ttl = ?, seen_some = ? WHERE domain = ? AND selector = ? AND seen_last < ?`,
			store.Time(f.Last), store.Time(f.Since), int64(f.TTL), flag(f.Some), k.Domain.ASCII(), k.Selector, store.Time(f.Last))
		return err
	})
	if err != nil {
		return fmt.Errorf("note what DNS showed of DKIM key %s of %s: %w", k.Selector, k.Domain, err)
	}
	return nil
}
