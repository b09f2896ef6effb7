package signing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/keystage"
	"waxwing/internal/store"
)

// The roll-over of keys (CRT-3): a key that takes over from another one is published
// beside it, signs once every server of the zone has shown its record for long enough, and
// the other one stops then; its record stays for as long as mail that it signed may be
// checked, and goes. Package keystage decides.

// Turn is how far a key is in a roll-over.
type Turn struct {
	Replaces string    // the selector from which it takes over; "": none
	Promoted time.Time // when it did
	Retired  time.Time // when it stopped signing
	Dropped  time.Time // its record may go since then
	Seen     keystage.Sight
}

// Rolling: it waits to take over from another key.
func (k Key) Rolling() bool {
	return k.Turn.Replaces != "" && k.Turn.Promoted.IsZero() && k.State == Active
}

// Published says whether the key's record belongs in DNS: also for a while after it
// stopped signing.
func (k Key) Published() bool {
	return k.State == Active || !k.Turn.Retired.IsZero() && k.Turn.Dropped.IsZero()
}

// pair is the key as package keystage has it.
func (k Key) pair() keystage.Pair {
	return keystage.Pair{Key: keystage.Key{ID: k.Selector, Made: k.Created, Announced: k.Created, Promoted: k.Turn.Promoted, Retired: k.Turn.Retired}, Sight: k.Turn.Seen}
}

// Awaited is what a key waits for in a roll-over, as one word, and when that may be over;
// "" where it is in none. all are the keys of its domain. It is pure.
func (k Key) Awaited(all []Key, now time.Time) (keystage.Word, time.Time) {
	switch {
	case k.Rolling():
		d := k.decide(all, now)
		return d.Word, d.Until
	case k.State == Retired && k.Published():
		return keystage.AwaitOld, k.Turn.Retired.Add(max(keystage.DKIMKeys().Stay, 2*k.Turn.Seen.TTL))
	}
	return "", time.Time{}
}

// decide says whether a key that is rolling takes over now.
func (k Key) decide(all []Key, now time.Time) keystage.Decision {
	next := k.pair()
	roll := keystage.Roll{Next: &next, Wanted: true}
	for _, o := range all {
		if o.Domain == k.Domain && o.Selector == k.Turn.Replaces {
			roll.Current = o.pair()
		}
	}
	return keystage.Decide(roll, keystage.DKIMKeys(), now)
}

// gone says whether the record of a key that signs no more may go.
func (k Key) gone(now time.Time) bool {
	return k.State == Retired && k.Published() && keystage.Of(k.pair().Key, k.Turn.Seen, keystage.DKIMKeys(), now) == keystage.Gone
}

// ErrRolling: nothing new is begun.
var ErrRolling = errors.New("a roll-over is under way")

// Rollover makes a key after each one of the domain that signs; of one algorithm
// ("ed25519", "rsa") unless that is "". The new keys sign when their turn comes. A key that
// has a successor already is passed over: ErrRolling if all have.
func (s *Service) Rollover(ctx context.Context, domain dns.Name, algorithm string) (made []Key, err error) {
	all, err := s.Keys(ctx, domain)
	if err != nil {
		return nil, err
	}
	signs := false
	for _, k := range all {
		kind, _, _ := strings.Cut(k.Algorithm, "-")
		if k.Stage() != Signing || algorithm != "" && kind != algorithm {
			continue
		}
		signs = true
		if hasSuccessor(all, k) {
			continue
		}
		next, err := s.succeed(ctx, all, k, kind)
		if err != nil {
			return made, err
		}
		made, all = append(made, next), append(all, next)
	}
	switch {
	case !signs && algorithm != "":
		return nil, fmt.Errorf("%s: no key of algorithm %s signs: \"waxwing dkim add\" makes one", domain, algorithm)
	case !signs:
		return nil, fmt.Errorf("%s: %w: \"waxwing dkim add\" makes one", domain, ErrNoKeys)
	case len(made) == 0:
		return nil, fmt.Errorf("%s: %w: \"waxwing dkim list %s\" says what is awaited", domain, ErrRolling, domain)
	}
	return made, nil
}

func hasSuccessor(all []Key, k Key) bool {
	for _, o := range all {
		if o.Rolling() && o.Turn.Replaces == k.Selector {
			return true
		}
	}
	return false
}

// succeed makes the key after k. Its selector is the month and the algorithm, with a
// number where there is such a one.
func (s *Service) succeed(ctx context.Context, all []Key, k Key, kind string) (Key, error) {
	signer, err := MakeKey(kind)
	if err != nil {
		return Key{}, err
	}
	base := s.now().UTC().Format("2006-01") + "-" + kind
	selector := base
	taken := func() bool {
		for _, o := range all {
			if o.Selector == selector {
				return true
			}
		}
		return false
	}
	for n := 2; taken(); n++ {
		selector = fmt.Sprintf("%s-%d", base, n)
	}
	next := NewKey{Domain: k.Domain, Selector: selector, Signer: signer, Services: k.Services}
	return store.Write(ctx, s.Store, func(tx *store.Tx) (Key, error) {
		made, err := s.Within(tx).AddKey(next)
		if err != nil {
			return made, err
		}
		made.Turn.Replaces = k.Selector
		_, err = tx.Exec(`UPDATE dkim_key SET replaces = ? WHERE domain = ? AND selector = ?`, k.Selector, made.Domain.ASCII(), made.Selector)
		return made, err
	})
}

// promote has a key take over, and the one before it stop. It reports whether this call
// did it, and no other machine.
func (s *Service) promote(ctx context.Context, k Key) (did bool, err error) {
	now := store.Time(s.now())
	err = s.Store.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE dkim_key SET promoted = ? WHERE domain = ? AND selector = ? AND promoted = 0 AND state = ?`, now, k.Domain.ASCII(), k.Selector, string(Active))
		if did = n == 1; err != nil || !did {
			return err
		}
		if _, err = tx.Exec(`UPDATE dkim_key SET state = ?, retired = ? WHERE domain = ? AND selector = ? AND state = ?`, string(Retired), now, k.Domain.ASCII(), k.Turn.Replaces, string(Active)); err != nil {
			return err
		}
		return tx.Raise(Area)
	})
	return did, err
}

// drop notes that the record of a key may go.
func (s *Service) drop(ctx context.Context, k Key) (did bool, err error) {
	err = s.Store.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE dkim_key SET dropped = ? WHERE domain = ? AND selector = ? AND state = ? AND dropped = 0`, store.Time(s.now()), k.Domain.ASCII(), k.Selector, string(Retired))
		if did = n == 1; err != nil || !did {
			return err
		}
		return tx.Raise(Area)
	})
	return did, err
}
