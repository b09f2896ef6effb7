// Package intake takes in the TLS reports (RFC 8460) that others send about domains
// of ours, and says what they come to.
//
// Take verifies a report mail (RPT-14), TakePost bounds what comes by HTTPS, for
// which nobody vouches (RPT-15). Both parse within bounds (RPT-16) and keep what is
// about domains of ours, once (RPT-17). Digest sums up what is kept, with advice
// (RPT-18, RPT-19).
package intake

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/alert"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/internal/turns"
	"waxwing/tlsrpt"
)

// Verifier checks the DKIM signatures of a message.
type Verifier interface {
	Verify(ctx context.Context, msg []byte) ([]dkim.Verification, error)
}

// Service takes reports in. Its fields are set before its first use; its methods
// may be called from any goroutine. Store, DNS, Now and Log are needed.
type Service struct {
	Store    *store.Store
	DNS      dns.Resolver
	Verifier Verifier // nil: package dkim with DNS
	// Hosted says whether a domain is ours; nil: none is.
	Hosted    func(ctx context.Context, domain dns.Name) (bool, error)
	Hostname  dns.Name       // of this server
	HostNames []dns.Name     // further names of ours that are policy domains (RPT-17)
	Outbox    *outbox.Box    // whose mails may bounce to us
	Alerts    *alert.Service // hears of first failures; nil: nobody
	// PerReporter is how much is stored of reports by mail that one organisation
	// has signed, about one organisation's domains, on a UTC day; PerDay of all.
	// One for each domain of ours in a report; 0: 100 and 20,000.
	PerReporter, PerDay int
	// OctetsPerDay is the same of all in octets, packed, of which one organisation
	// that signs may use an eighth; 0: 64 MiB.
	OctetsPerDay int64
	Count        func(result string) // is told of each report that came: taken, posted, over-cap; nil: nobody
	Keep         time.Duration       // how long reports are kept; 0: 400 days
	Now          func() time.Time
	Log          *slog.Logger

	examineOnce sync.Once
	examines    *turns.Turns
}

func (s *Service) count(result string) {
	if s.Count != nil {
		s.Count(result)
	}
}

// Received is a report that somebody sent us, one policy domain of it.
type Received struct {
	ID           delivery.ID `json:"id"`
	Source       string      `json:"source"`    // mail or https
	Submitter    string      `json:"submitter"` // DKIM domain that authenticated it
	ReportID     string      `json:"report_id"`
	PolicyDomain string      `json:"policy_domain"`
	Organization string      `json:"organization_name"`
	Begin        time.Time   `json:"start_datetime"`
	End          time.Time   `json:"end_datetime"`
	At           time.Time   `json:"received"`
	OK           int64       `json:"ok"`
	Failed       int64       `json:"failed"`
}

// Reports lists what others reported about us, newest first.
func (s *Service) Reports(ctx context.Context, f outbox.Filter) ([]Received, error) {
	out, err := store.List(ctx, s.Store, func(row store.Row) (r Received, err error) {
		var first, last, at int64
		err = row.Scan(&r.ID, &r.Source, &r.Submitter, &r.ReportID, &r.PolicyDomain, &r.Organization,
			&first, &last, &at, &r.OK, &r.Failed)
		r.Begin, r.End, r.At = store.FromTime(first), store.FromTime(last), store.FromTime(at)
		return r, err
	}, `SELECT id, source, submitter, report_id, policy_domain, organization, first, last, received, ok, failed
			FROM tls_received WHERE received >= ? AND (? = '' OR policy_domain = ?) ORDER BY received DESC, id DESC LIMIT ?`,
		store.Time(f.Since), f.Domain, f.Domain, cmp.Or(f.Limit, 1000))
	if err != nil {
		return nil, fmt.Errorf("list received TLS reports: %w", err)
	}
	return out, nil
}

// ErrNoReport is returned by Show for an id that is not stored.
var ErrNoReport = errors.New("no such TLS report; see the ids of `waxwing tlsrpt reports`")

// Show returns a received report by its id: as data (Report.Text for people) and as JSON.
func (s *Service) Show(ctx context.Context, id delivery.ID) (*tlsrpt.Report, []byte, error) {
	var gz []byte
	err := s.Store.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT json FROM tls_received WHERE id = ?`, int64(id)).Scan(&gz)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoReport
	}
	if err != nil {
		return nil, nil, err
	}
	r, err := tlsrpt.Stored(gz)
	if err != nil {
		return nil, nil, fmt.Errorf("stored report %s: %w", id, err)
	}
	j, err := r.JSON()
	return r, j, err
}

const (
	keepReport = 400 * 24 * time.Hour
	keepCounts = 7 * 24 * time.Hour
)

// Prune forgets what is too old.
func (s *Service) Prune(ctx context.Context) error {
	now := s.Now()
	return s.Store.Prune(ctx, "received TLS reports",
		store.Old{Query: `DELETE FROM tls_received WHERE received < ?`, Before: store.Time(now.Add(-cmp.Or(s.Keep, keepReport)))},
		store.Old{Query: `DELETE FROM tls_received WHERE received < ? AND source = 'https'`, Before: store.Time(now.Add(-keepPosted))},
		store.Old{Query: `DELETE FROM tls_intake WHERE day < ?`, Before: tlsresult.Day(now.Add(-keepCounts)) - 1})
}
