package dnspublish

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"waxwing/dns"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/foreign"
	"waxwing/internal/health"
	"waxwing/internal/publication"
	"waxwing/internal/store"
)

// owned is a row of dns_published.
type owned struct {
	publication.Key
	scope   dns.Name
	purpose dnsrecords.Purpose
	made    *publication.Made // nil: the row goes
	// from is the machine that had the row when it was read; "": there was none.
	from string
}

// Owned are the sets that Waxwing has made or taken over.
func (s *Service) owned(ctx context.Context) ([]owned, error) {
	all, err := store.List(ctx, s.DB, scanOwned, `SELECT name, type, host, scope, purpose, made, released, pending, before, written FROM dns_published ORDER BY name, type`)
	if err != nil {
		return nil, fmt.Errorf("which records are ours: %w", err)
	}
	return all, nil
}

func scanOwned(r store.Row) (o owned, err error) {
	var name, scope, made, before string
	var released, pending, written int64
	o.made = &publication.Made{}
	if err := r.Scan(&name, &o.Type, &o.made.Host, &scope, &o.purpose, &made, &released, &pending, &before, &written); err != nil {
		return o, err
	}
	if o.Name, err = dns.ParseLax(name); err != nil {
		return o, fmt.Errorf("stored name %q: %w", name, err)
	}
	if scope != "" {
		if o.scope, err = dns.ParseLax(scope); err != nil {
			return o, fmt.Errorf("stored domain %q: %w", scope, err)
		}
	}
	o.from = o.made.Host
	o.made.Released, o.made.Pending, o.made.Written = released != 0, pending != 0, store.FromTime(written)
	if err := json.Unmarshal([]byte(made), &o.made.Values); err != nil {
		return o, fmt.Errorf("stored records of %s: %w", o.Key, err)
	}
	if err := json.Unmarshal([]byte(before), &o.made.Before); err != nil {
		return o, fmt.Errorf("stored records of %s: %w", o.Key, err)
	}
	return o, nil
}

// remember stores what is ours of some sets. It returns those that another machine has got
// hold of since they were read: of them nothing is stored.
func (s *Service) remember(ctx context.Context, all []owned) (lost []publication.Key, err error) {
	if len(all) == 0 {
		return nil, nil
	}
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		lost = nil
		for _, o := range all {
			ours, err := s.put(tx, o)
			if err != nil {
				return err
			}
			if !ours {
				lost = append(lost, o.Key)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("note which records are ours: %w", err)
	}
	return lost, nil
}

// put stores a row unless another machine has it by now. One that goes is gone either way.
func (s *Service) put(tx *store.Tx, o owned) (ours bool, err error) {
	if o.made == nil {
		_, err := tx.Exec(`DELETE FROM dns_published WHERE name = ? AND type = ? AND host = ?`, o.Name.ASCII(), o.Type, s.host())
		return true, err
	}
	made, err := json.Marshal(o.made.Values)
	if err != nil {
		return false, err
	}
	before, err := json.Marshal(o.made.Before)
	if err != nil {
		return false, err
	}
	scope := ""
	if !o.scope.IsZero() {
		scope = o.scope.ASCII()
	}
	n, err := tx.Exec(`INSERT INTO dns_published (name, type, host, scope, purpose, made, released, pending, before, written) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (name, type) DO UPDATE SET host = excluded.host, scope = excluded.scope, purpose = excluded.purpose, made = excluded.made,
		released = excluded.released, pending = excluded.pending, before = excluded.before, written = excluded.written
		WHERE dns_published.host IN (?, ?)`,
		o.Name.ASCII(), o.Type, o.made.Host, scope, string(o.purpose), string(made), flag(o.made.Released), flag(o.made.Pending), string(before), store.Time(o.made.Written), s.host(), o.from)
	return n > 0, err
}

// Area is the generation that a command raises when it has published or released records,
// so that the running server looks anew.
const Area = "dns-published"

// Changed raises it.
func (s *Service) Changed(ctx context.Context) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error { return tx.Raise(Area) })
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// lease is for how long a machine or command has the publishing to itself.
const lease = 15 * time.Minute

// claim takes the publishing for this process, until the time that it returns; zero:
// somebody else is at it.
func (s *Service) claim(ctx context.Context) (until time.Time, err error) {
	now := s.Now()
	until = now.Add(lease)
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO dns_publishing (host, lease, succeeded, failing, failure, told) VALUES (?, 0, 0, 0, '', 0) ON CONFLICT (host) DO NOTHING`, s.host())
		if err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE dns_publishing SET lease = ? WHERE host = ? AND lease <= ?`, store.Time(until), s.host(), store.Time(now))
		if n == 0 {
			until = time.Time{}
		}
		return err
	})
	return until, err
}

// giveBack ends a claim.
func (s *Service) giveBack(ctx context.Context, until time.Time) error {
	return s.DB.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE dns_publishing SET lease = 0 WHERE host = ? AND lease = ?`, s.host(), store.Time(until))
		return err
	})
}

// Standing is how the publishing goes.
type Standing struct {
	Succeeded time.Time // the last time that all that was due was done; zero: never
	Failing   time.Time // since when it is not; zero: it does not fail
	Failure   string
	Conflicts int

	told bool // of the failure
}

// StandingOf is how the publishing of a host's records goes.
func StandingOf(ctx context.Context, db *store.Store, host dns.Name) (s Standing, err error) {
	err = db.Read(ctx, func(tx *store.Tx) error {
		err := tx.Each(func(r store.Row) error {
			var ok, failing, told int64
			err := r.Scan(&ok, &failing, &s.Failure, &told)
			s.Succeeded, s.Failing, s.told = store.FromTime(ok), store.FromTime(failing), told != 0
			return err
		}, `SELECT succeeded, failing, failure, told FROM dns_publishing WHERE host = ?`, host.ASCII())
		if err != nil {
			return err
		}
		var n int64
		err = tx.Row(`SELECT count(*) FROM dns_conflict WHERE host = ?`, host.ASCII()).Scan(&n)
		s.Conflicts = int(n)
		return err
	})
	if err != nil {
		return s, fmt.Errorf("how the publishing of records goes: %w", err)
	}
	return s, nil
}

// Health adds to what is known of a server how the publishing of a host's records goes.
func Health(host dns.Name) func(ctx context.Context, db *store.Store, f *health.Facts) error {
	return func(ctx context.Context, db *store.Store, f *health.Facts) error {
		st, err := StandingOf(ctx, db, host)
		f.DNSConflicts, f.DNSFailing, f.DNSFailure = st.Conflicts, st.Failing, st.Failure
		return err
	}
}

// keepStanding stores it.
func (s *Service) keepStanding(ctx context.Context, st Standing) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE dns_publishing SET succeeded = ?, failing = ?, failure = ?, told = ? WHERE host = ?`,
			store.Time(st.Succeeded), store.Time(st.Failing), foreign.Text(st.Failure, maxText), flag(st.told), s.host())
		return err
	})
}

// conflict is a row of dns_conflict.
type conflict struct {
	name, kind, word string
	seen, wanted     string
	first            time.Time
	told             bool
}

func (s *Service) conflicts(ctx context.Context) ([]conflict, error) {
	return store.List(ctx, s.DB, func(r store.Row) (c conflict, err error) {
		var first, told int64
		err = r.Scan(&c.name, &c.kind, &c.word, &c.seen, &c.wanted, &first, &told)
		c.first, c.told = store.FromTime(first), told != 0
		return c, err
	}, `SELECT name, type, word, seen, wanted, first, told FROM dns_conflict WHERE host = ? ORDER BY name, type`, s.host())
}

// keepConflicts stores those that there are now.
func (s *Service) keepConflicts(ctx context.Context, all []conflict) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM dns_conflict WHERE host = ?`, s.host()); err != nil {
			return err
		}
		for _, c := range all {
			_, err := tx.Exec(`INSERT INTO dns_conflict (host, name, type, word, seen, wanted, first, told) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (host, name, type) DO NOTHING`,
				s.host(), c.name, c.kind, c.word, c.seen, c.wanted, store.Time(c.first), flag(c.told))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
