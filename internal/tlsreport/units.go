package tlsreport

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// kind is what a unit's policy domain is.
type kind int

const (
	recipientDomain kind = iota
	mxHost
)

// The states of a unit (see 00004_tls.sql).
const (
	unitOpen     = "open"
	unitReported = "reported"
	unitNone     = "none"
	unitInvalid  = "invalid"
	unitExpired  = "expired"
	unitSkipped  = "skipped"
	unitFailed   = "failed" // over it this server panics
)

// unit is one report to be made, or found not worth making.
type unit struct {
	day   int64
	kind  kind
	name  string
	tries int
	claim int64
	// trial is, in a trial run, what the store knows in a real one: the addresses
	// that each recipient domain was reported to.
	trial map[string]string
}

// planDays makes the units of every finished day that has none yet: yesterday
// once its time has come, and older days that were missed (RPT-5).
func (s *Service) planDays(ctx context.Context) error {
	now := s.now()
	today := tlsresult.Day(now)
	for d := today - int64(keepRows/(24*time.Hour)); d < today; d++ {
		if now.Before(begin(d, s.Hostname)) {
			continue
		}
		if s.knownPlanned(d) {
			continue
		}
		// Yesterday is planned once by every machine, even if it has units: a run by
		// hand right at midnight may have missed what was settled in that moment.
		planned, err := false, error(nil)
		if d < today-1 {
			planned, err = s.planned(ctx, d)
		}
		if err == nil && !planned {
			err = s.planDay(ctx, d, now)
		}
		if err != nil {
			return fmt.Errorf("plan the TLS reports of %s: %w", tlsresult.Start(d).Format(time.DateOnly), err)
		}
		s.mu.Lock()
		s.days[d] = true
		s.mu.Unlock()
	}
	return nil
}

// knownPlanned: this process has seen the day planned; a finished day does not grow.
func (s *Service) knownPlanned(day int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.days == nil {
		s.days = map[int64]bool{}
	}
	return s.days[day]
}

// planned: the day has its units, or nothing to make them from.
func (s *Service) planned(ctx context.Context, day int64) (bool, error) {
	var rows, units int
	err := s.Store.Read(ctx, func(tx *store.Tx) error {
		err := tx.Row(`SELECT count(*) FROM (SELECT 1 FROM tls_units WHERE day = ? LIMIT 1) AS u`, day).Scan(&units)
		if err != nil || units > 0 {
			return err
		}
		return tx.Row(`SELECT count(*) FROM (SELECT 1 FROM tls_rows WHERE day = ? LIMIT 1) AS r`, day).Scan(&rows)
	})
	return units > 0 || rows == 0, err
}

// planDay makes the units of a day, the first due at start. A second call, also
// from another machine, adds nothing.
func (s *Service) planDay(ctx context.Context, day int64, start time.Time) error {
	return s.write(ctx, func(tx *store.Tx) error {
		domains, err := names(tx, `SELECT DISTINCT domain FROM tls_rows WHERE day = ? ORDER BY domain`, day)
		if err != nil {
			return err
		}
		hosts, err := names(tx, `SELECT DISTINCT policy_domain FROM tls_rows WHERE day = ? AND type = ? ORDER BY policy_domain`,
			day, string(tlsrpt.PolicyTLSA))
		if err != nil {
			return err
		}
		pause := spread(len(domains) + len(hosts))
		due := start
		add := func(k kind, names []string) error {
			for _, n := range names {
				_, err := tx.Exec(`INSERT INTO tls_units (day, kind, name, state, due, tries, claim, rua, note)
					VALUES (?, ?, ?, ?, ?, 0, 0, '', '') ON CONFLICT (day, kind, name) DO NOTHING`,
					day, int(k), n, unitOpen, store.Time(due))
				if err != nil {
					return err
				}
				due = due.Add(pause)
			}
			return nil
		}
		if err := add(recipientDomain, domains); err != nil {
			return err
		}
		return add(mxHost, hosts)
	})
}

func names(tx *store.Tx, q string, args ...any) ([]string, error) {
	rows, err := tx.Query(q, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// claimable: an MX host waits until the recipient domains behind it are
// settled, since what is reported to them may not be reported twice (RPT-6).
const claimable = `u.state = 'open' AND (u.kind = 0 OR NOT EXISTS (
	SELECT 1 FROM tls_rows AS r JOIN tls_units AS d ON d.day = r.day AND d.kind = 0 AND d.name = r.domain
	WHERE r.day = u.day AND r.type = 'tlsa' AND r.policy_domain = u.name AND d.state = 'open'))`

// claimUnit takes one due unit for a while; nil: none is due.
func (s *Service) claimUnit(ctx context.Context) (*unit, error) {
	var got *unit
	now := s.now()
	err := s.write(ctx, func(tx *store.Tx) error {
		got = nil
		var u unit
		err := tx.Row(`SELECT u.day, u.kind, u.name, u.tries, u.claim FROM tls_units AS u
			WHERE u.due <= ? AND `+claimable+` ORDER BY u.due, u.kind, u.name LIMIT 1`+tx.Lock(), store.Time(now)).
			Scan(&u.day, &u.kind, &u.name, &u.tries, &u.claim)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		ok, err := u.take(tx, now)
		if ok {
			got = &u
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim a TLS report: %w", err)
	}
	return got, nil
}

// take makes u ours: the claim number it held must still stand.
func (u *unit) take(tx *store.Tx, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE tls_units SET claim = claim + 1, tries = tries + 1, due = ?
		WHERE day = ? AND kind = ? AND name = ? AND claim = ? AND state = 'open'`,
		store.Time(now.Add(lease)), u.day, int(u.kind), u.name, u.claim)
	u.claim++
	u.tries++
	return n == 1, err
}

// errLost: another machine has taken the work over; nothing of ours may count.
var errLost = errors.New("another machine has taken this report over")

// settle ends a unit, if it is still ours.
func (u *unit) settle(tx *store.Tx, state, rua, note string) error {
	n, err := tx.Exec(`UPDATE tls_units SET state = ?, rua = ?, note = ?, due = 0
		WHERE day = ? AND kind = ? AND name = ? AND claim = ? AND state = 'open'`,
		state, rua, note, u.day, int(u.kind), u.name, u.claim)
	if err == nil && n != 1 {
		err = errLost
	}
	return err
}

// postpone gives a unit back, to be looked at again at due.
func (u *unit) postpone(tx *store.Tx, due time.Time, note string) error {
	n, err := tx.Exec(`UPDATE tls_units SET due = ?, note = ? WHERE day = ? AND kind = ? AND name = ? AND claim = ? AND state = 'open'`,
		store.Time(due), note, u.day, int(u.kind), u.name, u.claim)
	if err == nil && n != 1 {
		err = errLost
	}
	return err
}

// forget removes the rows of a unit whose owner wants no reports (RPT-7). TLSA
// rows stay until their MX host is settled too, and those that were reported to
// a recipient domain stay to be shown.
func (u *unit) forget(tx *store.Tx) error {
	where, args := `day = ? AND domain = ? AND type <> 'tlsa'`, []any{u.day, u.name}
	if u.kind == mxHost {
		where = `day = ? AND policy_domain = ? AND type = 'tlsa' AND domain NOT IN
			(SELECT name FROM tls_units WHERE day = ? AND kind = 0 AND state = 'reported')`
		args = []any{u.day, u.name, u.day}
	}
	_, err := tx.Exec(`DELETE FROM tls_details WHERE day = ? AND id IN (SELECT id FROM tls_rows WHERE `+where+`)`,
		append([]any{u.day}, args...)...)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`DELETE FROM tls_rows WHERE `+where, args...)
	return err
}

// nextDue is when something may be due.
func (s *Service) nextDue(ctx context.Context) (time.Time, error) {
	now := s.now()
	next := begin(tlsresult.Day(now), s.Hostname)
	if y := begin(tlsresult.Day(now)-1, s.Hostname); y.After(now) {
		next = y
	}
	err := s.Store.Read(ctx, func(tx *store.Tx) error {
		var due int64
		for _, q := range []string{
			`SELECT u.due FROM tls_units AS u WHERE ` + claimable + ` ORDER BY u.due LIMIT 1`,
			`SELECT due FROM tls_deliveries WHERE state = 'waiting' ORDER BY due LIMIT 1`,
		} {
			err := tx.Row(q).Scan(&due)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			if t := store.FromTime(due); t.Before(next) {
				next = t
			}
		}
		return nil
	})
	if err != nil {
		return now.Add(longest), fmt.Errorf("find the next TLS report: %w", err)
	}
	return next, nil
}

func (s *Service) pruneHourly(ctx context.Context) error {
	now := s.now()
	s.mu.Lock()
	recent := !s.pruned.IsZero() && now.Sub(s.pruned) < time.Hour
	s.mu.Unlock()
	if recent {
		return nil
	}
	err := s.prune(ctx)
	if err == nil {
		s.mu.Lock()
		s.pruned = now
		s.mu.Unlock()
	}
	return err
}

// prune forgets what is too old: results after a week, reports after Keep.
func (s *Service) prune(ctx context.Context) error {
	now := s.now()
	keep := s.Keep
	if keep <= 0 {
		keep = keepReport
	}
	oldest := tlsresult.Day(now.Add(-keepRows)) - 1
	before := store.Time(now.Add(-keep))
	err := s.write(ctx, func(tx *store.Tx) error {
		for _, q := range []struct {
			q   string
			arg int64
		}{
			{`DELETE FROM tls_details WHERE day < ?`, oldest},
			{`DELETE FROM tls_rows WHERE day < ?`, oldest},
			{`DELETE FROM tls_units WHERE day < ?`, oldest},
			{`DELETE FROM tls_received WHERE received < ?`, before},
			{`DELETE FROM tls_received WHERE received < ? AND source = 'https'`, store.Time(now.Add(-keepPosted))},
			{`DELETE FROM tls_tries WHERE at < ?`, before},
			{`DELETE FROM tls_deliveries WHERE state <> 'waiting' AND changed < ?`, before},
			{`DELETE FROM tls_reports WHERE created < ?`, before},
			{`DELETE FROM tls_alerts WHERE created < ?`, before},
			{`DELETE FROM told WHERE at < ?`, before},
			{`DELETE FROM tls_hooks WHERE expires < ?`, before},
			{`DELETE FROM tls_caps WHERE day < ?`, oldest},
			{`DELETE FROM tls_intake WHERE day < ?`, oldest},
			{`DELETE FROM tls_batches WHERE at < ?`, store.Time(now.Add(-24 * time.Hour))},
			{`DELETE FROM tls_suppressions WHERE (CASE WHEN until > created THEN until ELSE created END) < ?`, store.Time(now.Add(-forgetful))},
		} {
			if _, err := tx.Exec(q.q, q.arg); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove old TLS results: %w", err)
	}
	return nil
}
