// Package tlsresult turns the result of a delivery into TLSRPT observations and
// keeps them per UTC day (RPT-1 to RPT-4; RFC 8460 §4). Observe is pure; Save
// writes in the transaction that settles the attempt.
package tlsresult

import (
	"net/netip"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/tlsrpt"
)

// Observe says what one attempt adds to the TLS reports: one observation per
// session and TLSRPT policy, and one per policy that made a host be passed over.
// It returns nil for what is not recorded: deliveries of our own TLS reports
// (RPT-3), address literals, local and smarthost deliveries (RPT-4).
func Observe(job *delivery.Job, res *delivery.Result) []delivery.Observation {
	if job.Purpose == delivery.TLSReport || job.Local || job.Domain.IsLiteral() || job.Domain.Name.IsZero() || res.Transport != delivery.ByDirect {
		return nil
	}
	o := observer{domain: job.Domain.Name, reportOnly: job.Purpose == delivery.DMARCReport}
	for _, p := range passedOver(res) {
		o.skipped(p)
	}
	for i := range res.Decision.Reports { // RPT-22
		o.failed(&res.Decision.Reports[i], dns.Name{})
	}
	for _, a := range res.Visits {
		for i := range a.Sessions {
			if isSession(&a.Sessions[i]) {
				o.session(&a.Plan, &a.Sessions[i])
			}
		}
	}
	return o.out
}

// passedOver are the skipped hosts that the walk over the plans came to. A
// skipped host behind the one that took the mail was never due: no session
// should have been there, so it is not counted (RPT-2).
func passedOver(res *delivery.Result) []*delivery.Plan {
	var out, pending []*delivery.Plan
	next := 0 // index into Attempts
	for i := range res.Decision.Plans {
		p := &res.Decision.Plans[i]
		switch {
		case p.Skip != nil:
			pending = append(pending, p)
		case next < len(res.Visits) && res.Visits[next].Plan.Host.Name == p.Host.Name:
			out, pending = append(out, pending...), nil
			next++
		case next < len(res.Visits):
			// Not tried although a later one was: the walk went past it.
		default:
			// The walk ended before this host: settled, or broken off. What was
			// skipped before it counts only if there still was mail to carry.
			if settled(res) {
				return out
			}
			return append(out, pending...)
		}
	}
	if settled(res) {
		return out
	}
	return append(out, pending...)
}

// settled: the hosts that were tried left nothing to carry, so that no further
// host was due.
func settled(res *delivery.Result) bool {
	if len(res.Recipients) == 0 || len(res.Visits) == 0 {
		return false
	}
	for _, r := range res.Recipients {
		final := r.Outcome == delivery.Delivered || r.Outcome == delivery.Failed && r.Reply != nil && !r.Host.IsZero()
		if !final {
			return false
		}
	}
	return true
}

// isSession tells a TLS session, or one that should have been (RPT-2), from a
// connection that came to nothing (RFC 8460 §4.3.4) and from the plaintext
// retry of POL-3, whose TLS failure was counted with the session before it.
func isSession(s *delivery.Session) bool {
	// SES-6: a kept session counts with the first message to a domain only.
	// POL-10: of two handshakes with one host the second is the session.
	if !s.Connected || !s.Greeted || s.Plaintext || s.Repeat || s.Again {
		return false
	}
	// A session that ended before it came to TLS says nothing about it: EHLO
	// refused, connection lost, we were told to stop.
	return s.TLS != nil || s.TLSFailure != nil || s.Err == nil
}

// observer gathers the observations of one attempt.
type observer struct {
	domain     dns.Name
	reportOnly bool
	out        []delivery.Observation
}

func (o *observer) add(p *delivery.Policy, host dns.Name, details []delivery.Detail) {
	ob := delivery.Observation{
		RecipientDomain: o.domain, Type: p.Type, PolicyDomain: p.Domain, Strings: p.Strings, MX: p.MX,
		MXHost: host, Details: details, ReportOnly: o.reportOnly,
	}
	if len(details) == 0 {
		ob.OK = 1
	} else {
		ob.Failed = 1
	}
	o.out = append(o.out, ob)
}

// skipped adds a host that policy ruled out: one failed session under each
// policy that ruled it out, none under the others.
func (o *observer) skipped(p *delivery.Plan) {
	for i := range p.Reports {
		if rep := &p.Reports[i]; rep.Failed != nil {
			o.failed(rep, p.Host.Name.Name)
		}
	}
}

// failed adds one session that should have been under a policy that failed.
func (o *observer) failed(p *delivery.Policy, host dns.Name) {
	d := delivery.Detail{Type: p.Failed.Type, Reason: string(p.Failed.Word), EDE: p.Failed.EDE, Info: p.Failed.Text, MXHostname: host.ASCII(), Count: 1}
	o.add(p, host, []delivery.Detail{d})
}

func (o *observer) session(p *delivery.Plan, s *delivery.Session) {
	facts := delivery.Detail{
		SendingIP: addr(s.Local), ReceiverIP: addr(s.Addr), MXHostname: p.Host.Name.ASCII(),
		HELO: firstWord(s.HELO), Count: 1,
	}
	for i := range p.Reports {
		rep := &p.Reports[i]
		found := failures(rep, s)
		if ours(found) {
			continue
		}
		var details []delivery.Detail
		for _, f := range found {
			d := facts
			d.Type, d.Reason, d.EDE, d.Info = f.Type, string(f.Word), f.EDE, f.Text
			details = appendNew(details, d)
		}
		o.add(rep, p.Host.Name.Name, details)
	}
}

// ours: the fault lies here, so the session tells nothing of the other side,
// neither good nor bad.
func ours(fs []delivery.TLSFailure) bool {
	return slices.ContainsFunc(fs, func(f delivery.TLSFailure) bool { return f.Word == reason.RootsUnavailable })
}

// failures says why a session did not meet a policy; none means that it did.
// What the policy did not ask for is no failure (RPT-2), whether the mail went
// out does not matter: mode testing and TLS-Required: No count the same.
func failures(p *delivery.Policy, s *delivery.Session) []delivery.TLSFailure {
	var out []delivery.TLSFailure
	if p.Failed != nil {
		out = append(out, delivery.TLSFailure{Type: p.Failed.Type, Word: p.Failed.Word, Text: p.Failed.Text, EDE: p.Failed.EDE})
	}
	negotiation := negotiationFailure(s)
	if negotiation != nil {
		out = append(out, *negotiation)
	}
	var check *delivery.Verification
	switch p.Needs {
	case delivery.NeedPKIX:
		check = s.PKIX
	case delivery.NeedDANE:
		check = s.DANE
	default:
		return out
	}
	// A session that a plan requiring TLS would not have taken meets no policy that
	// asks for a verified host (POL-10): mode testing must show what enforce would refuse.
	if s.TLS != nil && s.TLS.Weak != nil {
		out = append(out, *s.TLS.Weak)
	}
	switch {
	case check != nil && check.Failure != nil:
		out = append(out, *check.Failure)
	case check == nil && len(out) == 0:
		// Nobody looked: it cannot be called a success.
		out = append(out, delivery.TLSFailure{Type: tlsrpt.ValidationFailure, Word: reason.NotVerified,
			Text: "the certificate was not verified"})
	}
	return out
}

// negotiationFailure is why there was no TLS at all, whoever's certificate it
// may have been. A TLSFailure that repeats a check is not one: it counts only
// under the policy that asked for that check.
func negotiationFailure(s *delivery.Session) *delivery.TLSFailure {
	if f := s.TLSFailure; f != nil {
		if fromCheck(f, s.PKIX) || fromCheck(f, s.DANE) {
			return nil
		}
		return f
	}
	if s.TLS == nil && !hasFailed(s.PKIX) && !hasFailed(s.DANE) {
		return &delivery.TLSFailure{Type: tlsrpt.StartTLSNotSupported, Word: reason.StartTLSNotOffered,
			Text: "STARTTLS was not offered"}
	}
	return nil
}

func hasFailed(v *delivery.Verification) bool { return v != nil && v.Failure != nil }

func fromCheck(f *delivery.TLSFailure, v *delivery.Verification) bool {
	return hasFailed(v) && v.Failure.Type == f.Type && v.Failure.Word == f.Word
}

// appendNew keeps the details of one session distinct, so that no detail counts
// the session twice.
func appendNew(ds []delivery.Detail, d delivery.Detail) []delivery.Detail {
	for _, have := range ds {
		if have.Type == d.Type && have.Reason == d.Reason {
			return ds
		}
	}
	return append(ds, d)
}

func addr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

func firstWord(s string) string {
	w, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	return w
}
