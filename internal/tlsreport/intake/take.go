package intake

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/alert"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/reportbox"
	"waxwing/internal/store"
	"waxwing/message"
	"waxwing/tlsrpt"
)

// maxFile bounds a report in a mail, packed or not.
const maxFile = 10 << 20

// Take takes in a mail to a report address (RPT-14, RPT-17). Taken true: it is
// stored, now or by an earlier copy, and need not be kept. Taken false: it is an
// ordinary mail, and reason says in words fit for a header why. An error is
// temporary: DNS or the database, or turns.ErrBusy where too many are being
// examined; the sender should come again.
//
// Mail to the return path of a report mail of ours is taken as its bounce (RPT-12).
func (s *Service) Take(ctx context.Context, recipient string, msg []byte) (taken bool, reason string, err error) {
	return s.take(ctx, recipient, msg, s.Verifier)
}

// TakeVerified is Take of a mail whose signatures were verified when it came: it is not done again (AUT-6).
func (s *Service) TakeVerified(ctx context.Context, recipient string, msg []byte, signatures []dkim.Verification) (taken bool, reason string, err error) {
	return s.take(ctx, recipient, msg, verified(signatures))
}

// verified is a Verifier of one message, of which is known what it says.
type verified []dkim.Verification

func (v verified) Verify(context.Context, []byte) ([]dkim.Verification, error) { return v, nil }

// take is Take; v nil: the signatures are verified here.
func (s *Service) take(ctx context.Context, recipient string, msg []byte, v Verifier) (taken bool, reason string, err error) {
	if mine, taken, reason, err := s.TakeBounce(ctx, recipient, msg); mine || err != nil {
		return taken, reason, err
	}
	h, body, err := message.SplitHeader(msg)
	if err != nil {
		return false, "unreadable header: " + outbox.Line(err.Error()), nil
	}
	from, err := message.FromDomain(h)
	if err != nil {
		return false, "no usable From domain: " + outbox.Line(err.Error()), nil
	}
	if v == nil {
		v = s.verifier(ctx, msg[:len(msg)-len(body)])
	}
	end, err := s.Turn(ctx)
	if err != nil {
		return false, "", err
	}
	defer end()
	submitter, reason, err := examine(ctx, v, from, msg)
	if reason != "" || err != nil {
		return false, reason, err
	}
	return s.TakeAll(submitter, recipient, func(one func(reportbox.One) error) error { // RPT-26
		return tlsrpt.Find(msg, tlsrpt.Limits{Input: maxFile}, func(r *tlsrpt.Report) error {
			return one(reportbox.One{ID: r.ID, LeftOut: r.Notes, Keep: func() (string, error) { return s.keep(ctx, reportbox.Mail(submitter), r) }})
		})
	})
}

// examine authenticates a mail that holds a report (RPT-14, RPT-16). An error is
// temporary.
func examine(ctx context.Context, v Verifier, from dns.Name, msg []byte) (submitter dns.Name, reason string, err error) {
	if err := tlsrpt.Contains(msg); err != nil {
		return submitter, outbox.Line(err.Error()), nil
	}
	vs, err := v.Verify(ctx, msg)
	if err != nil {
		return submitter, "DKIM: " + outbox.Line(err.Error()), nil
	}
	return authenticate(from, vs)
}

// authenticate decides RPT-14: a passing signature of the From domain or of a
// parent of it within the same organisation, over the whole body, with a key
// that may sign reports. The nearest such domain is the submitter. The error
// says that a key could not be looked up for now.
func authenticate(from dns.Name, vs []dkim.Verification) (submitter dns.Name, reason string, err error) {
	reason = "no DKIM signature of " + from.ASCII()
	var temporary error
	for _, v := range vs {
		if v.Domain.IsZero() || !from.Under(v.Domain) || !sameOrganisation(from, v.Domain) {
			continue
		}
		switch {
		case v.Result == dkim.TempError:
			temporary = fmt.Errorf("DKIM key of %s: %w", v.Domain, v.Err)
		case v.Result != dkim.Pass:
			reason = "DKIM signature of " + v.Domain.ASCII() + ": " + string(v.Result)
		case v.BodyLength:
			reason = "DKIM signature of " + v.Domain.ASCII() + " covers only a part of the body (l=)"
		case !v.Allows("tlsrpt"):
			reason = "DKIM key of " + v.Domain.ASCII() + " is not for TLS reports (s=" + outbox.Clip(strings.Join(v.Services, ":")) + ")"
		case !slices.ContainsFunc(v.SignedHeaders, func(h string) bool { return strings.EqualFold(h, "from") }):
			reason = "DKIM signature of " + v.Domain.ASCII() + " does not cover From"
		case submitter.IsZero() || v.Domain.Under(submitter):
			submitter = v.Domain
		}
	}
	if !submitter.IsZero() {
		return submitter, "", nil
	}
	return dns.Name{}, reason, temporary
}

// sameOrganisation: two names under one registrable domain. A domain without
// one (a public suffix itself) is only its own organisation.
func sameOrganisation(a, b dns.Name) bool {
	if a == b {
		return true
	}
	oa, err := publicsuffix.EffectiveTLDPlusOne(a.ASCII())
	if err != nil {
		return false
	}
	ob, err := publicsuffix.EffectiveTLDPlusOne(b.ASCII())
	return err == nil && oa == ob
}

// TakePost takes in a report that came by HTTPS, JSON or gzip of JSON. It is
// stored apart from those that DKIM authenticated, under the network it came from,
// and feeds neither alerts nor advice (RPT-15). A reason says why it is refused
// for good; the error is reportbox.ErrTooMany or temporary, turns.ErrBusy where it can come
// again at once.
func (s *Service) TakePost(ctx context.Context, source netip.Addr, body []byte) (reason string, err error) {
	end, err := s.Turn(ctx)
	if err != nil {
		return "", err
	}
	defer end()
	var posted string
	var fault error
	why := tlsrpt.Find(body, tlsrpt.Limits{Input: reportbox.MaxPosted, Size: reportbox.MaxPostedUnpacked}, func(r *tlsrpt.Report) error {
		o := reportbox.Posted(source)
		if posted, fault = s.keep(ctx, o, r); posted == "" && fault == nil {
			s.Told("posted")
			s.Log.Info("TLS report received", "source", "https", "from", o.Submitter, "report-id", outbox.Clip(r.ID), "left-out", r.Notes)
		}
		return fault
	})
	switch {
	case fault != nil:
		return "", fault
	case why != nil:
		return outbox.Line(why.Error()), nil
	}
	return posted, nil
}

// keep stores the policies of a report that are about domains of ours, one row
// a domain, once (RPT-17). reason says why there is nothing to keep.
func (s *Service) keep(ctx context.Context, o reportbox.Origin, r *tlsrpt.Report) (reason string, err error) {
	byDomain, err := s.ours(ctx, r)
	if err != nil {
		return "", err
	}
	if len(byDomain) == 0 {
		reason := "the report is about no domain of this server"
		if len(r.Notes) > 0 {
			reason += "; " + r.Notes[0]
		}
		return reason, nil
	}
	var parts []reportbox.Part
	for d, p := range byDomain {
		part := reportbox.Part{Domain: d, ReportID: p.ID, Organization: p.Organization, Contact: p.Contact, Begin: p.Begin, End: p.End}
		part.OK, part.Failed = p.Totals()
		if part.File, err = packed(p); err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	return s.Put(ctx, o, parts, func(tx *store.Tx, p reportbox.Part, id int64) error {
		if p.Failed == 0 || !o.ByMail() || s.Alerts == nil {
			return nil
		}
		clean, err := s.wasClean(tx, p.Domain, id, p.Begin)
		if !clean || err != nil {
			return err
		}
		return s.Alerts.Add(tx, alert.Failure{Domain: p.Domain.ASCII(), Submitter: o.Submitter, Report: delivery.ID(id), OK: p.OK, Failed: p.Failed,
			Failures: alert.Counts(byDomain[p.Domain])})
	})
}

const (
	// A domain is clean when no report of the seven days before says otherwise.
	cleanFor = 7 * 24 * time.Hour
	// A report on what is long past alerts nobody.
	stale = 4 * 24 * time.Hour
)

// wasClean reports whether a domain was clean before a report that begins then,
// which is not of the past.
func (s *Service) wasClean(tx *store.Tx, domain dns.Name, report int64, begin time.Time) (bool, error) {
	if begin.Before(s.Now().Add(-stale)) {
		return false, nil
	}
	var before int
	err := tx.Row(`SELECT count(*) FROM (SELECT 1 FROM tls_received WHERE policy_domain = ? AND first >= ? AND first <= ?
		AND source = 'mail' AND failed > 0 AND id <> ? LIMIT 1) AS r`,
		domain.ASCII(), store.Time(begin.Add(-cleanFor)), store.Time(begin.Add(24*time.Hour)), report).Scan(&before)
	return before == 0, err
}

// ours splits a report by those of its policy domains that are ours.
func (s *Service) ours(ctx context.Context, r *tlsrpt.Report) (byDomain map[dns.Name]*tlsrpt.Report, err error) {
	byDomain = map[dns.Name]*tlsrpt.Report{}
	known := map[string]bool{} // by policy type and domain
	for _, p := range r.Policies {
		name, err := dns.ParseLax(p.Domain)
		if err != nil {
			continue // certainly not ours
		}
		key := string(p.Type) + " " + name.ASCII()
		if _, asked := known[key]; !asked {
			if known[key], err = s.isOurs(ctx, name, p.Type); err != nil {
				return nil, err
			}
		}
		if !known[key] {
			continue
		}
		part := byDomain[name]
		if part == nil {
			c := *r
			c.Policies = nil
			part = &c
			byDomain[name] = part
		}
		part.Policies = append(part.Policies, p)
	}
	return byDomain, nil
}

// isOurs: a hosted domain or a host name of ours (RPT-17).
func (s *Service) isOurs(ctx context.Context, name dns.Name, t tlsrpt.PolicyType) (bool, error) {
	if name == s.Hostname || slices.Contains(s.HostNames, name) {
		return true, nil
	}
	if s.Hosted == nil {
		return false, nil
	}
	if t != tlsrpt.PolicyTLSA {
		return s.Hosted(ctx, name)
	}
	// TLSA results are reported under the MX host's name (RPT-6), and a hosted
	// domain's hosts stand below it. No other policy has a name of that kind.
	for d := name; !d.Parent().IsZero(); d = d.Parent() {
		if ok, err := s.Hosted(ctx, d); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// packed is a received report as stored; it need not add up.
func packed(r *tlsrpt.Report) ([]byte, error) {
	j, err := r.JSON()
	if err != nil {
		return nil, err
	}
	return tlsrpt.Compress(j)
}
