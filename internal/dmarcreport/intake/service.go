// Package intake takes in the DMARC reports that others send about domains of ours: aggregate
// reports (RFC 9990) and failure reports (RFC 9991), and says what they come to.
//
// Take goes by what was found out about who sent the mail (DMR-2); TakePost bounds what comes by
// HTTPS, for which nobody vouches. Package reportbox keeps them, each once. Digest sums up what is
// kept, with advice (DMR-3).
package intake

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"waxwing/dmarc"
	"waxwing/dmarcrpt"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/reportbox"
	"waxwing/internal/verify"
)

// Service takes reports in. Its fields are set before its first use; its methods may be called
// from any goroutine.
type Service struct {
	*reportbox.Box
	// Failures keeps failure reports (RFC 9991), under the same bounds.
	Failures *reportbox.Box
	// Hosted says whether a domain is ours.
	Hosted   func(ctx context.Context, domain dns.Name) (bool, error)
	Hostname dns.Name // of this server, which is ours too
	DNS      dns.Resolver
	// Forwarders are the mailing lists and forwarders that the operator trusts.
	Forwarders []dns.Name
}

// Sort is that of DMARC reports.
func Sort() reportbox.Sort {
	return reportbox.Sort{Name: "DMARC report", Noun: "dmarc", Tables: "dmarc"}
}

// Take takes in a mail to a report address. Taken true: it is stored, now or by an earlier copy,
// and need not be kept. Taken false: it is an ordinary mail, and reason says in words fit for a
// header why. An error is temporary. Mail to the return path of a report of ours is taken as its
// bounce (RPT-12).
func (s *Service) Take(ctx context.Context, recipient string, msg []byte, facts *verify.Facts) (taken bool, reason string, err error) {
	if mine, taken, reason, err := s.TakeBounce(ctx, recipient, msg); mine || err != nil {
		return taken, reason, err
	}
	submitter, reason := authenticated(facts)
	if reason != "" {
		return false, reason, nil
	}
	end, err := s.Turn(ctx)
	if err != nil {
		return false, "", err
	}
	defer end()
	if is, taken, reason, err := s.takeFailure(ctx, submitter, recipient, msg); is {
		return taken, reason, err
	}
	return s.TakeAll(submitter, recipient, func(one func(reportbox.One) error) error {
		return dmarcrpt.Find(msg, func(r *dmarcrpt.Report) error {
			return one(reportbox.One{ID: r.ID, LeftOut: r.Notes, Keep: func() (string, error) { return s.keep(ctx, reportbox.Mail(submitter), r) }})
		})
	})
}

// authenticated decides who vouches for a report: the From domain, for which DMARC passed (RFC
// 9990 §3.5.2), or which vouches for itself without a policy.
func authenticated(f *verify.Facts) (submitter dns.Name, reason string) {
	switch {
	case f == nil:
		return submitter, "mail from other servers is not verified here (incoming.verify)"
	case f.Author != "":
		return submitter, "no usable From domain: " + outbox.Line(f.Author)
	case len(f.DMARC) != 1:
		return submitter, "the From field names several domains"
	case f.DMARC[0].Result != dmarc.Pass:
		return submitter, fmt.Sprintf("DMARC of %s: %s", f.DMARC[0].From, f.DMARC[0].Result)
	}
	return f.DMARC[0].From, ""
}

// TakePost takes in a report that came by HTTPS. It is stored apart, under the network it came
// from, and feeds no advice. A reason says why it is refused for good; the error is
// reportbox.ErrTooMany or temporary, turns.ErrBusy where it can come again at once.
func (s *Service) TakePost(ctx context.Context, source netip.Addr, body []byte) (reason string, err error) {
	end, err := s.Turn(ctx)
	if err != nil {
		return "", err
	}
	defer end()
	r, err := dmarcrpt.Read(body)
	if err != nil {
		return outbox.Line(err.Error()), nil
	}
	o := reportbox.Posted(source)
	if reason, err = s.keep(ctx, o, r); reason == "" && err == nil {
		s.Told("posted")
		s.Log.Info("DMARC report received", "source", "https", "from", o.Submitter, "report-id", outbox.Clip(r.ID), "left-out", r.Notes)
	}
	return reason, err
}

// keep stores a report that is about a domain of ours, or one below it, once.
func (s *Service) keep(ctx context.Context, o reportbox.Origin, r *dmarcrpt.Report) (reason string, err error) {
	domain, reason, err := s.about(ctx, r.Policy.Domain)
	if reason != "" || err != nil {
		return reason, err
	}
	p := reportbox.Part{Domain: domain, ReportID: strings.Trim(r.ID, "<>"), Organization: r.Org, Contact: r.Email, Begin: r.Begin, End: r.End}
	p.OK, p.Failed = r.Totals()
	if _, p.File, err = r.Pack(); err != nil {
		return "", err
	}
	return s.Put(ctx, o, []reportbox.Part{p}, nil)
}

// about is the domain that a report is about, if it is ours, or below one that is; else the reason
// says so.
func (s *Service) about(ctx context.Context, name string) (domain dns.Name, reason string, err error) {
	if domain, err = dns.ParseLax(name); err != nil {
		return domain, "the report is about no domain: " + outbox.Line(err.Error()), nil
	}
	ours := domain == s.Hostname
	for d := domain; !ours && !d.IsZero(); d = d.Parent() {
		if ours, err = s.Hosted(ctx, d); err != nil {
			return domain, "", err
		}
	}
	if !ours {
		return domain, "the report is about no domain of this server", nil
	}
	return domain, "", nil
}

// Show returns a received report by its id.
func (s *Service) Show(ctx context.Context, id delivery.ID) (*dmarcrpt.Report, error) {
	file, err := s.File(ctx, id)
	if err != nil {
		return nil, err
	}
	return dmarcrpt.Read(file)
}
