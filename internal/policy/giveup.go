package policy

import (
	"fmt"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/smtp"
	"waxwing/tlsrpt"
)

// Happened is what came of one host under RequireTLS.
type Happened uint8

// What can come of a host, from the least to the most that a later attempt could change.
const (
	Unqualified  Happened = iota // no verified TLS: ruled out by policy, no TLS, or verification failed
	NoRequireTLS                 // verified TLS, but REQUIRETLS was not offered
	MayWork                      // unreachable, 4xx, DNS error, or a policy not checked in this attempt
)

// Tried is one host with what came of it.
type Tried struct {
	Host     delivery.MXHost
	Happened Happened
	Word     reason.Word // why, one word; empty where nothing happened
	Text     string      // why, for people
}

// GiveUp says what becomes of a message that no host took (POL-4, RFC 8689 §4.2.1): nil
// to keep it waiting, as any but one with RequireTLS does, and that one as long as a host
// may still qualify; else the permanent failure. visits are those to the hosts of plans
// that are not skipped, in their order; the last may not have been reached.
func GiveUp(in Input, plans []delivery.Plan, visits []delivery.Visit) *delivery.Failure {
	if in.Need != delivery.RequireTLS || in.NullSender {
		return nil
	}
	all := make([]Tried, len(plans))
	for i, p := range plans {
		v := delivery.Visit{Plan: p}
		if p.Skip == nil && len(visits) > 0 {
			v, visits = visits[0], visits[1:]
		}
		all[i] = triedHost(in, v)
	}
	return giveUp(all)
}

// giveUp fails with 5.7.30 if REQUIRETLS alone was missing anywhere, else with 5.7.10,
// unless a host may still qualify. With no host at all it is nil.
func giveUp(tried []Tried) *delivery.Failure {
	best := Unqualified
	for _, t := range tried {
		best = max(best, t.Happened)
	}
	switch {
	case len(tried) == 0 || best == MayWork:
		return nil
	case best == NoRequireTLS:
		return &delivery.Failure{
			Word: reason.RequireTLSNotOffered, Permanent: true, Enhanced: codeNoRequireTLS,
			Text: summary("the sender asked for REQUIRETLS, which no host offers on a verified TLS session", tried),
		}
	}
	return &delivery.Failure{
		Word: oneCause(tried, reason.RequireTLSUnverified), Permanent: true, Enhanced: codeNoTLS,
		Text: summary("the sender asked for REQUIRETLS, and no host can be reached over verified TLS", tried),
	}
}

// oneCause is the reason that all hosts share, or several where they differ: then no
// one of them stands for the others, and the text names each (SES-16).
func oneCause(tried []Tried, several reason.Word) reason.Word {
	for _, t := range tried {
		if t.Word == "" || t.Word != tried[0].Word {
			return several
		}
	}
	return tried[0].Word
}

// triedHost reads from a host that was skipped or tried, and did not take the
// message, what giveUp needs. Several sessions are several addresses: the most
// hopeful counts. A host that is not skipped and has no session was not
// reached yet, and may work.
func triedHost(in Input, a delivery.Visit) Tried {
	t := Tried{Host: a.Plan.Host.Name}
	if s := a.Plan.Skip; s != nil {
		t.Word, t.Text = s.Word, s.Text
		if !s.Permanent {
			t.Happened = MayWork
		}
		return t
	}
	if len(a.Sessions) == 0 {
		t.Happened = MayWork
		return t
	}
	for i := range a.Sessions {
		if h, why, text := happened(in, &a.Plan, &a.Sessions[i]); i == 0 || h > t.Happened {
			t.Happened, t.Word, t.Text = h, why, text
		}
	}
	return t
}

func happened(in Input, p *delivery.Plan, s *delivery.Session) (Happened, reason.Word, string) {
	switch f := s.TLSFailure; {
	case f != nil && (passing(f.Word) || enforces(p) && !in.Finding.Fresh):
		return MayWork, f.Word, f.Text
	case f != nil:
		return Unqualified, f.Word, f.Text
	case s.TLS != nil && !s.RequireTLS && (s.Err == nil || s.Err.Word == reason.RequireTLSNotOffered):
		return NoRequireTLS, reason.RequireTLSNotOffered, "REQUIRETLS was not offered"
	case s.Err != nil && s.Err.Word == reason.StartTLSNotOffered:
		return Unqualified, s.Err.Word, s.Err.Text
	case s.Err != nil:
		return MayWork, s.Err.Word, s.Err.Text
	}
	return MayWork, "", ""
}

// passing: a failed TLS session that says that the host is busy or the way to
// it broken, rather than that TLS cannot be had there.
func passing(w reason.Word) bool {
	switch w {
	case reason.StartTLSLost, reason.StartTLSTimeout, reason.TLSTimeout, reason.TLSClosed, reason.RootsUnavailable:
		return true
	}
	code, ok := w.StartTLSCode()
	return ok && code/100 == 4
}

// enforces: the plan holds to an enforced MTA-STS policy. Its failure is
// permanent only if the policy was checked in this attempt (RFC 8461 §5.1).
func enforces(p *delivery.Plan) bool {
	for _, rep := range p.Reports {
		if rep.Type == tlsrpt.PolicySTS && rep.Needs == delivery.NeedPKIX {
			return p.PKIX == delivery.CheckRequire
		}
	}
	return false
}

// summary names the hosts and what came of each, bounded.
func summary(what string, tried []Tried) string {
	const most = 10
	var b strings.Builder
	b.WriteString(what)
	for i, t := range tried {
		if i == most {
			fmt.Fprintf(&b, "; and %d more", len(tried)-most)
			break
		}
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep)
		if !t.Host.IsZero() {
			b.WriteString(t.Host.ASCII() + ": ")
		}
		switch {
		case t.Text != "":
			b.WriteString(t.Text)
		case t.Word != "":
			b.WriteString(string(t.Word))
		default:
			b.WriteString("not tried")
		}
	}
	return b.String()
}

// Enhanced codes (RFC 3463 §3.8, RFC 8689 §4.2.1).
var (
	codeNoRequireTLS = smtp.Enhanced{Class: 5, Subject: 7, Detail: 30} // REQUIRETLS support required
	codeNoTLS        = smtp.Enhanced{Class: 5, Subject: 7, Detail: 10} // encryption needed
	codePolicy       = smtp.Enhanced{Class: 4, Subject: 7, Detail: 5}  // cryptographic failure
	codeDNS          = smtp.Enhanced{Class: 4, Subject: 4, Detail: 3}  // directory server failure
)

// enhanced is the code of a skipped host for the DSN.
func enhanced(p delivery.Plan) smtp.Enhanced {
	if f := p.Host.Fail; f != nil {
		return f.Enhanced
	}
	if f := p.Host.DANE.Fail; f != nil && f.Word == p.Skip.Word && !f.Enhanced.IsZero() {
		return f.Enhanced
	}
	code := codePolicy
	if p.Skip.Permanent {
		code.Class = 5
	}
	return code
}
