// Package tlsreport makes SMTP TLS reports (RFC 8460) and sends them through an
// outbox.
//
// Once a UTC day is over, every recipient domain and then every MX host with TLSA
// records is a unit of work (RPT-5, RPT-6). Its _smtp._tls record is looked up
// (RPT-7) and the report made of the day's results. What is alike for reports of
// every sort is done by package outbox; reports that come in are package intake's.
package tlsreport

import (
	"context"
	"errors"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// Success is tlsrpt.report_success (RPT-8): which days without a failure are reported.
type Success string

// The values of Success. The zero value is SuccessPolicy.
const (
	SuccessPolicy Success = "policy" // where MTA-STS or TLSA applied
	SuccessAlways Success = "always"
	SuccessNever  Success = "never"
)

// What a unit's policy domain is.
const (
	recipientDomain outbox.Kind = 0
	mxHost          outbox.Kind = 1
)

// Local is the local part of the addresses that TLS reports come from, and come to.
const Local = "tls-reports"

// Service makes and sends TLS reports. Its fields are set before its first use;
// its methods may be called from any goroutine.
type Service struct {
	*outbox.Box
	Organization string // organization-name; "": the From domain
	Success      Success
	// Send says of a recipient domain whether it is reported to; nil: all are.
	Send func(domain string) bool
}

// Family is that of TLS reports.
func Family() outbox.Family {
	return outbox.Family{Name: "TLS report", Noun: "tlsrpt", Setting: "tlsrpt.send", Kinds: []outbox.Kind{recipientDomain, mxHost}, HostKind: mxHost, Purpose: delivery.TLSReport, Local: Local,
		MediaType: tlsrpt.MediaGzip, Need: delivery.TLSOptional, // RFC 8460 §5.3: the report goes even where TLS fails
		Area: guard.ReportPost, Address: address, Blocked: blocked}
}

// New makes s the one that makes the reports of b.
func New(b *outbox.Box, s Service) *Service {
	s.Box = b
	b.Family, b.Maker = Family(), &s
	return &s
}

func address(uri string) (outbox.Address, error) {
	u, err := tlsrpt.ParseURI(uri)
	return outbox.Address(u), err
}

// blocked: an MX host waits until the recipient domains behind it are settled,
// since what is reported to them may not be reported twice (RPT-6).
const blocked = `u.kind = 1 AND EXISTS (
	SELECT 1 FROM tls_rows AS r JOIN outbox_units AS d ON d.day = r.day AND d.kind = 0 AND d.name = r.domain
	WHERE r.day = u.day AND r.type = 'tlsa' AND r.policy_domain = u.name AND d.state = 'open')`

// Units lists the recipient domains and MX hosts of a day.
func (s *Service) Units(tx *store.Tx, day int64) (keys []outbox.Key, err error) {
	for _, q := range []struct {
		kind outbox.Kind
		q    string
	}{
		{recipientDomain, `SELECT DISTINCT domain FROM tls_rows WHERE day = ? ORDER BY domain`},
		{mxHost, `SELECT DISTINCT policy_domain FROM tls_rows WHERE day = ? AND type = 'tlsa' ORDER BY policy_domain`},
	} {
		names, err := store.Column[string](tx, q.q, day)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			keys = append(keys, outbox.Key{Day: day, Kind: q.kind, Name: n})
		}
	}
	return keys, nil
}

// Forget removes the rows of a unit whose owner wants no reports (RPT-7). TLSA
// rows stay until their MX host is settled too, and those that were reported to
// a recipient domain stay to be shown.
func (s *Service) Forget(tx *store.Tx, u *outbox.Unit) error {
	where, args := `day = ? AND domain = ? AND type <> 'tlsa'`, []any{u.Day, u.Name}
	if u.Kind == mxHost {
		where = `day = ? AND policy_domain = ? AND type = 'tlsa' AND domain NOT IN
			(SELECT name FROM outbox_units WHERE day = ? AND kind = 0 AND state = 'reported')`
		args = append(args, u.Day)
	}
	_, err := tx.Exec(`DELETE FROM tls_details WHERE day = ? AND id IN (SELECT id FROM tls_rows WHERE `+where+`)`, append([]any{u.Day}, args...)...)
	if err == nil {
		_, err = tx.Exec(`DELETE FROM tls_rows WHERE `+where, args...)
	}
	return err
}

// keepRows is how long results are kept (RPT-5).
const keepRows = 7 * 24 * time.Hour

// Prune forgets what is too old: results after a week, reports after Keep.
func (s *Service) Prune(ctx context.Context) error {
	now := s.Now()
	oldest := tlsresult.Day(now.Add(-keepRows)) - 1
	err := s.Store.Prune(ctx, "TLS results",
		store.Old{Query: `DELETE FROM tls_details WHERE day < ?`, Before: oldest},
		store.Old{Query: `DELETE FROM tls_rows WHERE day < ?`, Before: oldest},
		store.Old{Query: `DELETE FROM tls_batches WHERE at < ?`, Before: store.Time(now.Add(-24 * time.Hour))})
	return errors.Join(err, s.Box.Prune(ctx))
}
