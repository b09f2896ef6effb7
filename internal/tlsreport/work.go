package tlsreport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// maxRUA is how many addresses of a record are reported to (RPT-11).
const maxRUA = 5

// maxRows bounds one report: policies, so for an MX host the recipient domains.
const maxRows = 100_000

// nextUnit works on one due unit. It returns false when none is due.
func (s *Service) nextUnit(ctx context.Context) (bool, error) {
	u, err := s.claimUnit(ctx)
	if u == nil || err != nil {
		return false, err
	}
	err = s.contain(ctx, u, func() error {
		_, err := s.work(ctx, u)
		return err
	})
	if err != nil && ctx.Err() == nil {
		// The unit comes back when its claim runs out; the others go on.
		s.log().Error("TLS report", "policy-domain", u.name, "day", u.date(), "error", err)
		err = nil
	}
	return true, err
}

func (u *unit) date() string { return tlsresult.Start(u.day).Format(time.DateOnly) }

// work makes one claimed unit's report and settles the unit.
func (s *Service) work(ctx context.Context, u *unit) (*Made, error) {
	ctx, cancel := context.WithTimeout(ctx, unitTime)
	defer cancel()
	m, err := s.prepare(ctx, u)
	if err == nil && m.State != unitOpen {
		err = s.store(ctx, m.mails)
	}
	if err != nil {
		s.count("out", "error") // RPT-25
		return nil, err
	}
	if m.State == unitOpen {
		return m, s.later(ctx, u, m)
	}
	var state, note string
	err = s.write(ctx, func(tx *store.Tx) error {
		if err := s.capped(tx, m); err != nil {
			return err
		}
		state, note = m.outcome()
		if err := u.settle(tx, state, strings.Join(m.RUA, "\n"), note); err != nil {
			return err
		}
		switch state {
		case unitNone, unitInvalid:
			return u.forget(tx)
		case unitReported:
			return s.send(tx, m)
		}
		return nil
	})
	if err != nil {
		if !errors.Is(err, errLost) {
			s.count("out", "error")
		}
		return nil, fmt.Errorf("settle the TLS report: %w", err)
	}
	m.State, m.Note = state, note
	s.count("out", state)
	s.wake(m)
	s.log().Info("TLS report", "policy-domain", u.name, "day", u.date(), "state", m.State, "rua", m.RUA, "note", m.Note)
	return m, nil
}

func (s *Service) wake(m *Made) {
	if s.Enqueuer != nil && len(m.toMail) > 0 {
		s.Enqueuer.Wake()
	}
}

// later keeps a unit whose record could not be looked up, until 24 h after its
// day's end, and a day that was caught up for a few tries at least (RPT-7).
func (s *Service) later(ctx context.Context, u *unit, m *Made) error {
	due, expired := retryLookup(u, s.now())
	err := s.write(ctx, func(tx *store.Tx) error {
		if expired {
			return u.settle(tx, unitExpired, "", m.Note)
		}
		return u.postpone(tx, due, m.Note)
	})
	if err != nil {
		return fmt.Errorf("keep the TLS report for later: %w", err)
	}
	s.log().Warn("TLS report kept", "policy-domain", u.name, "day", u.date(), "expired", expired, "error", m.Note)
	return nil
}

// retryLookup is when to look a record up again: pauses of 10 min that double up to 4 h.
func retryLookup(u *unit, now time.Time) (due time.Time, expired bool) {
	end := tlsresult.Start(u.day + 2)
	if !now.Before(end) && u.tries >= 3 {
		return time.Time{}, true
	}
	pause := min(10*time.Minute<<min(u.tries-1, 5), 4*time.Hour)
	return now.Add(pause), false
}

// Made is what came of one unit.
type Made struct {
	PolicyDomain string         `json:"policy_domain"`
	Host         bool           `json:"mx_host"` // the policy domain is an MX host (RPT-6)
	State        string         `json:"state"`   // open (DNS failed for now), reported, none, invalid, expired, skipped, failed (an internal error)
	Note         string         `json:"note,omitempty"`
	RUA          []string       `json:"rua,omitempty"`
	Report       *tlsrpt.Report `json:"-"`
	JSON         []byte         `json:"-"`

	unit    *unit
	gzip    []byte
	partial bool
	mails   []mail
	posts   []string
	// What the daily cap leaves of mails and posts, and what it does not.
	toMail []mail
	toPost []string
	over   []string
	secret []byte // signs the return paths
}

// prepare looks up and composes; it writes nothing.
func (s *Service) prepare(ctx context.Context, u *unit) (*Made, error) {
	m := &Made{PolicyDomain: u.name, Host: u.kind == mxHost, unit: u, partial: u.day >= tlsresult.Day(s.now())}
	skip := func(state, note string) (*Made, error) {
		m.State, m.Note = state, note
		return m, nil
	}
	rows, reported, err := s.rows(ctx, u)
	if err != nil {
		return nil, err
	}
	if !worth(rows, s.Success) {
		return skip(unitSkipped, "nothing that report_success asks to report")
	}
	rua, state, note := s.lookup(ctx, u.name)
	if state != "" {
		return skip(state, note)
	}
	if u.kind == mxHost {
		if rows = unreported(rows, reported, rua); !worth(rows, s.Success) {
			return skip(unitSkipped, "reported to the same addresses with the recipient domains")
		}
	}
	m.RUA, m.Note = rua, note
	if err := s.compose(ctx, m, rows); err != nil {
		return nil, err
	}
	if m.State = unitReported; len(m.mails)+len(m.posts) == 0 {
		m.State = unitSkipped
	}
	return m, nil
}

// rows reads what a unit's report is made of, and for an MX host the addresses
// each recipient domain was reported to.
func (s *Service) rows(ctx context.Context, u *unit) (rows []tlsresult.Row, reported map[string]string, err error) {
	f := tlsresult.Filter{Domain: u.name, Max: maxRows}
	if u.kind == mxHost {
		f = tlsresult.Filter{PolicyDomain: u.name, OnlyTLSA: true, Max: maxRows}
	}
	err = s.Store.Read(ctx, func(tx *store.Tx) error {
		var err error
		if rows, err = tlsresult.Rows(tx, u.day, f); err != nil || u.kind == recipientDomain {
			return err
		}
		if reported = u.trial; reported == nil {
			reported, err = reportedTo(tx, u)
		}
		return err
	})
	if len(rows) == maxRows {
		s.log().Warn("TLS report holds only a part of the day's results", "policy-domain", u.name, "day", u.date(), "rows", maxRows)
	}
	rows = slices.DeleteFunc(rows, func(r tlsresult.Row) bool { return s.Send != nil && !s.Send(r.Domain) })
	return rows, reported, err
}

// reportedTo is, for the recipient domains behind an MX host, to whom they were reported.
func reportedTo(tx *store.Tx, u *unit) (map[string]string, error) {
	rows, err := tx.Query(`SELECT name, rua FROM tls_units WHERE day = ? AND kind = 0 AND state = 'reported' AND name IN
		(SELECT domain FROM tls_rows WHERE day = ? AND policy_domain = ? AND type = 'tlsa')`, u.day, u.day, u.name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, rua string
		if err := rows.Scan(&name, &rua); err != nil {
			return nil, err
		}
		out[name] = rua
	}
	return out, rows.Err()
}

// worth decides RPT-8: a failed session always; a clean day as mode says, and
// only if a session carried more than reports (RPT-3).
func worth(rows []tlsresult.Row, mode Success) bool {
	for _, r := range rows {
		switch {
		case r.Failed > 0:
			return true
		case r.OKMail == 0 || mode == SuccessNever:
		case mode == SuccessAlways || r.Type != tlsrpt.PolicyNone:
			return true
		}
	}
	return false
}

// unreported leaves out the rows whose recipient domain was already reported to
// the same set of addresses (RPT-6).
func unreported(rows []tlsresult.Row, reported map[string]string, rua []string) []tlsresult.Row {
	set := strings.Join(rua, "\n")
	return slices.DeleteFunc(slices.Clone(rows), func(r tlsresult.Row) bool {
		to, ok := reported[r.Domain]
		return ok && to == set
	})
}

// lookup finds the report addresses of a policy domain, sorted. A state other
// than "" says why there are none: unitOpen that DNS failed for now. The note then
// says more, and without a state, which addresses were passed over.
func (s *Service) lookup(ctx context.Context, policyDomain string) (rua []string, state, note string) {
	name, err := dns.ParseLax(policyDomain)
	if err == nil {
		name, err = name.Prefix("_smtp._tls")
	}
	if err != nil {
		return nil, unitNone, err.Error() // too long for the labels: no record can be there
	}
	answer, err := s.DNS.LookupTXT(ctx, name)
	if err != nil {
		return nil, unitOpen, err.Error()
	}
	rec, err := tlsrpt.ParseRecord(answer.Records)
	var syntax *tlsrpt.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, unitInvalid, err.Error()
	case err != nil: // none, or several, which counts as none (RFC 8460 §3)
		return nil, unitNone, err.Error()
	case len(rec.RUA) == 0:
		return nil, unitInvalid, "no address in rua can be sent to: " + strings.Join(slices.Concat(rec.Unsupported, rec.Faulty), ", ")
	}
	rua = rec.RUA[:min(len(rec.RUA), maxRUA)]
	slices.Sort(rua)
	return slices.Compact(rua), "", strings.Join(rec.Faulty, "; ") // RPT-24: what was passed over is told
}

// send stores a report and hands its mails to the queue, all in tx (RPT-11).
func (s *Service) send(tx *store.Tx, m *Made) error {
	now := s.now()
	id := store.NewID()
	ok, failed := m.Report.Totals()
	_, err := tx.Exec(`INSERT INTO tls_reports (id, day, kind, policy_domain, report_id, created, ok, failed, partial, state, json)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'sending', ?)`,
		id, m.unit.day, int(m.unit.kind), m.PolicyDomain, m.Report.ID, store.Time(now), ok, failed, flag(m.partial), m.gzip)
	if err != nil {
		return err
	}
	add := func(uri, state string) (int64, error) {
		d := store.NewID()
		_, err := tx.Exec(`INSERT INTO tls_deliveries (id, report, uri, state, due, tries, claim, expires, changed, note)
			VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?, '')`, d, id, uri, state, store.Time(now), store.Time(now.Add(24*time.Hour)), store.Time(now))
		return d, err
	}
	for _, ml := range m.toMail {
		d, err := add(ml.uri, "queued")
		if err != nil {
			return err
		}
		if err := s.Enqueuer.EnqueueTx(tx, ml.envelope(d, m.secret, now), ml.content); err != nil {
			return fmt.Errorf("queue the report to %s: %w", ml.to, err)
		}
	}
	for _, uri := range m.toPost {
		if _, err := add(uri, "waiting"); err != nil {
			return err
		}
	}
	return nil
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
