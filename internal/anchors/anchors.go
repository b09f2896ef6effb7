// Package anchors keeps DNSSEC's trust anchors over time in the store, as RFC 5011 has them
// follow a roll-over of the root's keys (VAL-3). What follows from what is seen is decided in
// dns/validate.
package anchors

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns/validate"
	"waxwing/dns/validate/proof"
	"waxwing/internal/store"
)

// Room follows the anchors. All its fields but Log must be set.
type Room struct {
	DB    *store.Store
	Base  []proof.Anchor // believed from the start
	Fetch func(ctx context.Context, name string, qtype uint16, again int) (*wire.Msg, error)
	Set   func([]proof.Anchor) // tells who validates
	Now   func() time.Time
	Log   *slog.Logger
}

// Look asks for the keys of each zone that is due, and sets the anchors that follow from what
// all machines have seen.
func (r *Room) Look(ctx context.Context) error {
	out, err := followed(r.Base, func(base proof.Anchor) (validate.Tracked, error) { return r.look(ctx, base) })
	if err == nil {
		r.Set(out)
	}
	return err
}

// Stored tells what anchors have come to by what the store has of them. Nobody is asked.
func Stored(db *store.Store) func(context.Context, []proof.Anchor) ([]proof.Anchor, error) {
	return func(ctx context.Context, base []proof.Anchor) ([]proof.Anchor, error) {
		r := &Room{DB: db}
		return followed(base, func(one proof.Anchor) (validate.Tracked, error) { return r.Tracked(ctx, one.Zone) })
	}
}

// followed is what anchors have come to.
func followed(anchors []proof.Anchor, track func(proof.Anchor) (validate.Tracked, error)) (out []proof.Anchor, err error) {
	for _, base := range anchors {
		t, err := track(base)
		if err != nil {
			return nil, fmt.Errorf("trust anchors of %s: %w", base.Zone, err)
		}
		out = append(out, t.Anchor(base, validate.Algorithm{}))
	}
	return out, nil
}

func (r *Room) look(ctx context.Context, base proof.Anchor) (validate.Tracked, error) {
	t, err := r.Tracked(ctx, base.Zone)
	if err != nil || r.Now().Before(t.Next) {
		return t, err
	}
	msg, err := r.Fetch(ctx, base.Zone, wire.TypeDNSKEY, 0)
	if err != nil {
		msg = nil // the time for another look comes sooner
	}
	var before, after validate.Tracked
	err = r.DB.Write(ctx, func(tx *store.Tx) error {
		taken, err := take(tx, base.Zone, r.Now())
		if err != nil {
			return err
		}
		if before, err = read(tx, base.Zone); err != nil {
			return err
		}
		if after = before; !taken {
			return nil // another machine was first
		}
		after = before.Observe(msg, base, r.Now(), validate.Algorithm{})
		return write(tx, after)
	})
	if err == nil {
		r.tell(before, after)
	}
	return after, err
}

// tell logs what has changed.
func (r *Room) tell(before, after validate.Tracked) {
	if r.Log == nil {
		return
	}
	was := map[string]validate.KeyState{}
	for _, k := range before.Keys {
		was[k.Key.PublicKey] = k.State
	}
	for _, k := range after.Keys {
		if was[k.Key.PublicKey] != k.State {
			r.Log.Info("a trust anchor of DNSSEC has changed", "zone", after.Zone, "key", k.Key.KeyTag(), "state", string(k.State))
		}
	}
}

// Tracked is what is known of a zone's anchors.
func (r *Room) Tracked(ctx context.Context, zone string) (t validate.Tracked, err error) {
	err = r.DB.Read(ctx, func(tx *store.Tx) (err error) {
		t, err = read(tx, zone)
		return err
	})
	return t, err
}

// take takes the look at a zone that is due; false: it is not due any more.
func take(tx *store.Tx, zone string, now time.Time) (bool, error) {
	if _, err := tx.Exec(`INSERT INTO trust_anchor_looks (zone, queried, success, next) VALUES (?, 0, 0, 0) ON CONFLICT (zone) DO NOTHING`, zone); err != nil {
		return false, err
	}
	n, err := tx.Exec(`UPDATE trust_anchor_looks SET queried = ? WHERE zone = ? AND next <= ?`, store.Time(now), zone, store.Time(now))
	return n == 1, err
}

func read(tx *store.Tx, zone string) (validate.Tracked, error) {
	t := validate.Tracked{Zone: zone}
	err := tx.Each(func(row store.Row) error {
		var queried, success, next int64
		err := row.Scan(&queried, &success, &next)
		t.Queried, t.Success, t.Next = store.FromTime(queried), store.FromTime(success), store.FromTime(next)
		return err
	}, `SELECT queried, success, next FROM trust_anchor_looks WHERE zone = ?`, zone)
	if err != nil {
		return t, err
	}
	t.Keys, err = store.Collect(tx, func(row store.Row) (validate.TrackedKey, error) {
		var record, state string
		var since int64
		if err := row.Scan(&record, &state, &since); err != nil {
			return validate.TrackedKey{}, err
		}
		rr, err := wire.NewRR(record)
		key, ok := rr.(*wire.DNSKEY)
		if err != nil || !ok {
			return validate.TrackedKey{}, fmt.Errorf("the store holds no key: %q, %w", record, err)
		}
		return validate.TrackedKey{Key: key, State: validate.KeyState(state), Since: store.FromTime(since)}, nil
	}, `SELECT record, state, since FROM trust_anchors WHERE zone = ? ORDER BY since, record`, zone)
	return t, err
}

func write(tx *store.Tx, t validate.Tracked) error {
	if _, err := tx.Exec(`DELETE FROM trust_anchors WHERE zone = ?`, t.Zone); err != nil {
		return err
	}
	for _, k := range t.Keys {
		record := strings.ReplaceAll(k.Key.String(), "\t", " ")
		if _, err := tx.Exec(`INSERT INTO trust_anchors (zone, record, state, since) VALUES (?, ?, ?, ?)`, t.Zone, record, string(k.State), store.Time(k.Since)); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`UPDATE trust_anchor_looks SET queried = ?, success = ?, next = ? WHERE zone = ?`, store.Time(t.Queried), store.Time(t.Success), store.Time(t.Next), t.Zone)
	return err
}
