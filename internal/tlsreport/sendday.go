package tlsreport

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// SendOptions say what SendDay does. The zero value reports yesterday.
type SendOptions struct {
	Day     time.Time // any moment of the UTC day; zero: yesterday
	Domain  string    // only this policy domain; "": all
	DryRun  bool      // only show what would be sent
	Partial bool      // allow a day that is not over: its rows stay for the real run
}

// Summary is what SendDay did.
type Summary struct {
	Day     string `json:"day"`
	DryRun  bool   `json:"dry_run"`
	Partial bool   `json:"partial"`
	Made    []Made `json:"made"` // in the order of the run
}

// ErrUnfinished: the day is not over.
var ErrUnfinished = errors.New("the day is not over (UTC): its report goes out after midnight; use --partial to send what there is so far")

// SendDay makes the run for a day now, not waiting for its time (RPT-13). Units
// that are settled already are left out. One that another machine is at is taken
// over: whoever settles it first has made the report, the other makes none.
func (s *Service) SendDay(ctx context.Context, o SendOptions) (Summary, error) {
	now := s.now()
	if o.Day.IsZero() {
		o.Day = now.Add(-24 * time.Hour)
		if o.Partial {
			o.Day = now
		}
	}
	day := tlsresult.Day(o.Day)
	sum := Summary{Day: tlsresult.Start(day).Format(time.DateOnly), DryRun: o.DryRun, Partial: day == tlsresult.Day(now)}
	switch {
	case day > tlsresult.Day(now):
		return sum, errors.New("that day has not begun")
	case day == tlsresult.Day(now) && !o.Partial:
		return sum, ErrUnfinished
	case s.Off && !o.DryRun:
		return sum, errors.New("sending TLS reports is switched off (tlsrpt.send)")
	case o.DryRun || sum.Partial:
		return s.trial(ctx, day, o, sum)
	}
	if err := s.planDay(ctx, day, now); err != nil {
		return sum, fmt.Errorf("plan the TLS reports of %s: %w", sum.Day, err)
	}
	for {
		u, err := s.claimNow(ctx, day, o.Domain, sum.Made)
		if u == nil || err != nil {
			return sum, err
		}
		m, err := s.work(ctx, u)
		if errors.Is(err, errLost) {
			continue
		}
		if err != nil {
			return sum, err
		}
		sum.Made = append(sum.Made, *m)
	}
}

// claimNow takes the next open unit of a day whatever its time, unless this run
// has had it already.
func (s *Service) claimNow(ctx context.Context, day int64, domain string, had []Made) (*unit, error) {
	var got *unit
	err := s.write(ctx, func(tx *store.Tx) error {
		got = nil
		rows, err := tx.Query(`SELECT u.kind, u.name, u.tries, u.claim FROM tls_units AS u
			WHERE u.day = ? AND (? = '' OR u.name = ?) AND `+claimable+` ORDER BY u.kind, u.due, u.name`+tx.Lock(), day, domain, domain)
		if err != nil {
			return err
		}
		u, err := firstNew(rows, had)
		if u == nil || err != nil {
			return err
		}
		u.day = day
		ok, err := u.take(tx, s.now())
		if ok {
			got = u
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim a TLS report: %w", err)
	}
	return got, nil
}

func firstNew(rows *sql.Rows, had []Made) (*unit, error) {
	defer rows.Close()
	for rows.Next() {
		var u unit
		if err := rows.Scan(&u.kind, &u.name, &u.tries, &u.claim); err != nil {
			return nil, err
		}
		seen := false
		for _, m := range had {
			seen = seen || m.PolicyDomain == u.name && m.Host == (u.kind == mxHost)
		}
		if !seen {
			return &u, nil
		}
	}
	return nil, rows.Err()
}

// trial makes reports without settling anything: shown only, or for a day that
// is not over sent as partial ones.
func (s *Service) trial(ctx context.Context, day int64, o SendOptions, sum Summary) (Summary, error) {
	var units []*unit
	err := s.Store.Read(ctx, func(tx *store.Tx) error {
		units = nil
		domains, err := names(tx, `SELECT DISTINCT domain FROM tls_rows WHERE day = ? AND (? = '' OR domain = ?) ORDER BY domain`, day, o.Domain, o.Domain)
		if err != nil {
			return err
		}
		hosts, err := names(tx, `SELECT DISTINCT policy_domain FROM tls_rows WHERE day = ? AND type = ? AND (? = '' OR policy_domain = ?)
			ORDER BY policy_domain`, day, string(tlsrpt.PolicyTLSA), o.Domain, o.Domain)
		for _, d := range domains {
			units = append(units, &unit{day: day, kind: recipientDomain, name: d})
		}
		for _, h := range hosts {
			units = append(units, &unit{day: day, kind: mxHost, name: h})
		}
		return err
	})
	if err != nil {
		return sum, fmt.Errorf("read TLS results: %w", err)
	}
	reported := map[string]string{}
	for _, u := range units {
		u.trial = reported
		m, err := s.prepare(ctx, u)
		if err != nil {
			return sum, err
		}
		if m.State == unitReported && u.kind == recipientDomain {
			reported[u.name] = strings.Join(m.RUA, "\n")
		}
		if m.State == unitReported && !o.DryRun {
			if err := s.sendTrial(ctx, m); err != nil {
				return sum, fmt.Errorf("send the report about %s: %w", u.name, err)
			}
			s.wake(m)
		}
		sum.Made = append(sum.Made, *m)
	}
	return sum, nil
}

// sendTrial sends a partial report. The daily cap holds for it too.
func (s *Service) sendTrial(ctx context.Context, m *Made) error {
	if err := s.store(ctx, m.mails); err != nil {
		return err
	}
	var state, note string
	err := s.write(ctx, func(tx *store.Tx) error {
		if err := s.capped(tx, m); err != nil {
			return err
		}
		if state, note = m.outcome(); state != unitReported {
			return nil
		}
		return s.send(tx, m)
	})
	if err == nil {
		m.State, m.Note = state, note
	}
	return err
}
