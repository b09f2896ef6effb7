// Package dmarcreport makes DMARC aggregate reports (RFC 9990) and sends them through an
// outbox.
//
// Once a UTC day is over, every domain whose policy was found for a message of the day is a
// unit of work. Its record is looked up, for where the report goes, and the report made of the
// day's rows (package dmarcresult). What is alike for reports of every sort is done by package
// outbox; reports that come in are package intake's.
package dmarcreport

import (
	"context"
	"errors"
	"time"

	"waxwing/dmarcrpt"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/dmarcfailure"
	"waxwing/internal/dmarcresult"
	"waxwing/internal/guard"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// aggregate is a report about the domain where a policy stands.
const aggregate outbox.Kind = 3

// parted is the same about a part of a day (ri of RFC 7489). The unit's name says which.
const parted outbox.Kind = 5

// settling is how long after a part's end its units are planned: transactions that were under way
// have counted their messages by then.
const settling = 5 * time.Minute

// Local is the local part of the addresses that DMARC reports come from, and come to.
const Local = "dmarc-reports"

// Service makes and sends DMARC reports. Its fields are set before its first use; its methods
// may be called from any goroutine.
type Service struct {
	*outbox.Box
}

// Family is that of DMARC reports.
func Family() outbox.Family {
	return outbox.Family{Name: "DMARC report", Noun: "dmarc", Setting: "dmarc.send", Kinds: []outbox.Kind{aggregate, dmarcfailure.Kind, parted}, OneKind: dmarcfailure.Kind, PartKind: parted, Purpose: delivery.DMARCReport, Local: Local,
		MediaType: "application/gzip", Area: guard.ReportPost, Address: address}
}

// New makes a Service the one that makes the reports of b.
func New(b *outbox.Box) *Service {
	s := &Service{b}
	b.Family, b.Maker = Family(), s
	return s
}

// address reads a report address; it has the form of those of TLS reports.
func address(uri string) (outbox.Address, error) {
	u, err := tlsrpt.ParseURI(uri)
	return outbox.Address(u), err
}

// Units lists the policy domains of a day.
func (s *Service) Units(tx *store.Tx, day int64) (keys []outbox.Key, err error) {
	names, err := dmarcresult.Domains(tx, day)
	for _, n := range names {
		keys = append(keys, outbox.Key{Day: day, Kind: aggregate, Name: n})
	}
	if err != nil {
		return nil, err
	}
	parts, err := partsOf(tx, day, func(time.Time) bool { return true })
	return append(keys, parts...), err
}

// Ended lists the units of parts of today that are over.
func (s *Service) Ended(tx *store.Tx, day int64, now time.Time) ([]outbox.Key, error) {
	return partsOf(tx, day, func(end time.Time) bool { return !now.Before(end.Add(settling)) })
}

func partsOf(tx *store.Tx, day int64, over func(end time.Time) bool) (keys []outbox.Key, err error) {
	parts, err := dmarcresult.Parts(tx, day)
	for _, p := range parts {
		if _, end := p.Part.Times(day); over(end) {
			keys = append(keys, outbox.Key{Day: day, Kind: parted, Name: p.Part.Name(p.Domain)})
		}
	}
	return keys, err
}

// of is what a unit is about.
func of(u *outbox.Unit) (p dmarcresult.Parted, err error) {
	p.Domain, p.Part, err = dmarcresult.ParseName(u.Name)
	return p, err
}

// Forget removes the rows of a domain that wants no reports any more.
func (s *Service) Forget(tx *store.Tx, u *outbox.Unit) error {
	p, err := of(u)
	if err != nil {
		return err
	}
	return dmarcresult.Forget(tx, u.Day, p)
}

// keepRows is how long results are kept.
const keepRows = 7 * 24 * time.Hour

// Prune forgets what is too old: results after a week, reports after Keep.
func (s *Service) Prune(ctx context.Context) error {
	err := s.Store.Prune(ctx, "DMARC results", dmarcresult.Old(tlsresult.Day(s.Now().Add(-keepRows))-1)...)
	return errors.Join(err, s.Box.Prune(ctx))
}

// Results are the rows of the UTC day of t; domain "" means all policy domains.
func (s *Service) Results(ctx context.Context, t time.Time, domain string) ([]dmarcresult.Row, error) {
	return store.Read(ctx, s.Store, func(tx *store.Tx) ([]dmarcresult.Row, error) {
		return dmarcresult.Rows(tx, tlsresult.Day(t), domain, maxRows)
	})
}

// policyName is where a domain's record stands.
func policyName(domain string) (at, name dns.Name, err error) {
	if at, err = dns.ParseLax(domain); err == nil {
		name, err = at.Prefix("_dmarc")
	}
	return at, name, err
}

// Show returns a sent report by its id.
func (s *Service) Show(ctx context.Context, id delivery.ID) (*dmarcrpt.Report, error) {
	file, err := s.Body(ctx, id)
	if err != nil {
		return nil, err
	}
	return dmarcrpt.Read(file)
}
