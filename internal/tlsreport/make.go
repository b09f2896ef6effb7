package tlsreport

import (
	"context"
	"errors"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// maxRUA is how many addresses of a record are reported to (RPT-11).
const maxRUA = 5

// maxRows bounds one report: policies, so for an MX host the recipient domains.
const maxRows = 100_000

// Make looks a unit's record up and composes its report.
func (s *Service) Make(ctx context.Context, u *outbox.Unit, from dns.Name) (outbox.Draft, error) {
	skip := func(state outbox.State, note string) (outbox.Draft, error) {
		return outbox.Draft{State: state, Note: note}, nil
	}
	rows, err := s.rows(ctx, u)
	if err != nil {
		return outbox.Draft{}, err
	}
	if !worth(rows, s.Success) {
		return skip(outbox.Skipped, "nothing that report_success asks to report")
	}
	rua, state, note := s.lookup(ctx, u.Name)
	if state != "" {
		return skip(state, note)
	}
	if u.Kind == mxHost {
		if rows, err = s.unreported(ctx, u, rows, rua); err != nil {
			return outbox.Draft{}, err
		}
		if !worth(rows, s.Success) {
			return skip(outbox.Skipped, "reported to the same addresses with the recipient domains")
		}
	}
	d, err := s.compose(u, rows, from)
	d.State, d.RUA, d.Note = outbox.Reported, rua, note
	return d, err
}

// rows reads what a unit's report is made of.
func (s *Service) rows(ctx context.Context, u *outbox.Unit) (rows []tlsresult.Row, err error) {
	f := tlsresult.Filter{Domain: u.Name, Max: maxRows}
	if u.Kind == mxHost {
		f = tlsresult.Filter{PolicyDomain: u.Name, OnlyTLSA: true, Max: maxRows}
	}
	err = s.Store.Read(ctx, func(tx *store.Tx) (err error) {
		rows, err = tlsresult.Rows(tx, u.Day, f)
		return err
	})
	if len(rows) == maxRows {
		s.Log.Warn("TLS report holds only a part of the day's results", "policy-domain", u.Name, "day", u.Date(), "rows", maxRows)
	}
	return slices.DeleteFunc(rows, func(r tlsresult.Row) bool { return s.Send != nil && !s.Send(r.Domain) }), err
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
func (s *Service) unreported(ctx context.Context, u *outbox.Unit, rows []tlsresult.Row, rua []string) (left []tlsresult.Row, err error) {
	err = s.Store.Read(ctx, func(tx *store.Tx) error {
		left = nil
		for _, r := range rows {
			to, err := u.ReportedTo(tx, outbox.Key{Day: u.Day, Kind: recipientDomain, Name: r.Domain})
			if err != nil {
				return err
			}
			if !slices.Equal(to, rua) {
				left = append(left, r)
			}
		}
		return nil
	})
	return left, err
}

// lookup finds the report addresses of a policy domain, sorted. A state other
// than "" says why there are none: outbox.Open that DNS failed for now. The note then
// says more, and without a state, which addresses were passed over.
func (s *Service) lookup(ctx context.Context, policyDomain string) (rua []string, state outbox.State, note string) {
	name, err := dns.ParseLax(policyDomain)
	if err == nil {
		name, err = name.Prefix("_smtp._tls")
	}
	if err != nil {
		return nil, outbox.None, err.Error() // too long for the labels: no record can be there
	}
	answer, err := s.DNS.LookupTXT(ctx, name)
	if err != nil {
		return nil, outbox.Open, err.Error()
	}
	rec, err := tlsrpt.ParseRecord(answer.Records)
	var syntax *tlsrpt.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, outbox.Invalid, err.Error()
	case err != nil: // none, or several, which counts as none (RFC 8460 §3)
		return nil, outbox.None, err.Error()
	case len(rec.RUA) == 0:
		return nil, outbox.Invalid, "no address in rua can be sent to: " + strings.Join(slices.Concat(rec.Unsupported, rec.Faulty), ", ")
	}
	rua = rec.RUA[:min(len(rec.RUA), maxRUA)]
	slices.Sort(rua)
	return slices.Compact(rua), "", strings.Join(rec.Faulty, "; ") // RPT-24: what was passed over is told
}
