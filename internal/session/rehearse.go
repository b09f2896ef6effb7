package session

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpclient"
)

// StepName is a part of the way to MAIL.
type StepName string

// The steps, in the order in which a session comes through them; EHLO comes
// again after STARTTLS.
const (
	StepConnect     StepName = "connect"
	StepTLS         StepName = "TLS" // from the start
	StepGreeting    StepName = "greeting"
	StepHello       StepName = "EHLO"
	StepStartTLS    StepName = "STARTTLS"
	StepCertificate StepName = "certificate"
	StepSmallHello  StepName = "small hello"
	StepPlaintext   StepName = "plaintext"
	StepLogin       StepName = "AUTH"
	StepReset       StepName = "RSET"
)

// Step is one step of a Rehearsal with what came of it, in words: where it
// failed, the reason word and its text.
type Step struct {
	Name StepName `json:"step"`
	OK   bool     `json:"ok"`
	Text string   `json:"text,omitempty"`
}

// Rehearsal is a session made as for a mail, up to where MAIL would be said.
type Rehearsal struct {
	Addr      netip.Addr
	Steps     []Step           // the last one is not OK if Failure is set, nor is one before StepSmallHello or StepPlaintext
	Session   delivery.Session // what was found
	Secured   bool             // over TLS
	Travelled string           // as mail would: none, unverified, pkix, dane, dane+pkix
	Auth      []string         // the mechanisms that were offered last
	Mechanism string           // that AUTH was begun with
	Binding   string           // the type of its channel binding; "": not bound to TLS
	Refusal   *smtp.Reply      // the answer to AUTH where it was a refusal
	Failure   *delivery.Failure
}

// rehearsalTime bounds each step: somebody sits and waits.
const rehearsalTime = time.Minute

// Rehearse takes the way of a mail to one address of the plan's host: connection,
// TLS with the plan's checks, EHLO and login, in plaintext only where the plan lets
// mail fall back. Instead of MAIL it says RSET and goodbye. Where a mail would stop,
// it stops.
func (c *Client) Rehearse(ctx context.Context, plan delivery.Plan, addr netip.Addr) Rehearsal {
	quick := *c
	quick.Pool, quick.Resume = nil, nil // as the first mail would find it
	quick.Timeouts = impatient(c.Timeouts.WithDefaults())
	v := newVisit(&quick, Request{Plan: plan, Job: &delivery.Job{}, Recipients: []delivery.Recipient{{}}})
	r := Rehearsal{Addr: addr}
	for next := fresh; ; {
		s := v.newSession(addr, next == smaller, next == plaintext)
		s.rehearsal, s.facts.Started = &r, quick.now()
		var ok bool
		if next, ok = s.establish(ctx); ok {
			s.rehearseReset(ctx)
		}
		if s.conn != nil && !s.parted {
			s.conn.Close()
		}
		r.Session, r.Secured, r.Travelled, r.Failure = s.facts, s.check != nil, s.travelled(), s.facts.Err
		if f := s.facts.TLSFailure; !ok && r.Failure == nil && f != nil {
			r.Failure = &delivery.Failure{Word: f.Word, Enhanced: enhSecurity, Text: f.Text}
		}
		if last := len(r.Steps) - 1; r.Failure != nil && last >= 0 {
			r.Steps[last].OK, r.Steps[last].Text = false, string(r.Failure.Word)+": "+r.Failure.Text
		}
		switch {
		case !ok && next == smaller:
			s.begin(StepSmallHello)
		case !ok && next == plaintext:
			s.begin(StepPlaintext)
		default:
			return r
		}
	}
}

func impatient(t smtpclient.Timeouts) smtpclient.Timeouts {
	for _, d := range []*time.Duration{&t.Connect, &t.Greeting, &t.Hello, &t.StartTLS, &t.Auth, &t.Mail} {
		*d = min(*d, rehearsalTime)
	}
	return t
}

// rehearseReset says RSET, which a host that is ready for mail takes.
func (s *session) rehearseReset(ctx context.Context) {
	s.begin(StepReset)
	if err := s.conn.Reset(ctx); err != nil && !s.conn.Usable() {
		s.broken(ctx, s.failure(err))
		return
	}
	s.end()
	s.quit(ctx)
}

// begin and end tell a rehearsal how far the session came; without one they cost nothing.
func (s *session) begin(name StepName) {
	if r := s.rehearsal; r != nil {
		r.Steps = append(r.Steps, Step{Name: name})
		last := &r.Steps[len(r.Steps)-1]
		switch name {
		case StepSmallHello:
			last.OK, last.Text = true, "a mail would be tried once more, with a small and older TLS hello"
		case StepPlaintext:
			last.OK, last.Text = true, "a mail would be tried once more, without TLS"
		}
	}
}

func (s *session) end() {
	r := s.rehearsal
	if r == nil || len(r.Steps) == 0 {
		return
	}
	last := &r.Steps[len(r.Steps)-1]
	last.OK, last.Text = true, bounded(s.stepText(last.Name))
	if last.Name == StepHello {
		r.Auth = s.conn.Extensions().Auth
	}
	if last.Name == StepTLS || last.Name == StepStartTLS {
		r.Steps = append(r.Steps, Step{Name: StepCertificate, OK: true, Text: bounded(s.certificateText())})
	}
}

func (s *session) stepText(name StepName) string {
	switch name {
	case StepConnect:
		return "from " + s.facts.Local.String() + " to " + s.c.address(s.addr)
	case StepGreeting:
		if n := len(s.facts.Transcript); n > 0 {
			return s.facts.Transcript[n-1]
		}
	case StepHello:
		return s.facts.HELO + " offers " + strings.Join(s.offered(), ", ")
	case StepTLS, StepStartTLS:
		parts := []string{s.facts.TLS.Version, s.facts.TLS.Cipher, s.facts.TLS.KeyExchange}
		if f := s.facts.TLS.Weak; f != nil {
			parts = append(parts, "weak: "+string(f.Word))
		}
		return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
	case StepLogin:
		return s.loginText()
	case StepReset:
		return "ready for mail"
	}
	return ""
}

// offered are the extensions of the last EHLO; "nothing" for none.
func (s *session) offered() []string {
	if list := offers(s.conn.HelloReply()); s.conn.ESMTP() && len(list) > 0 {
		return list
	}
	return []string{"no extensions"}
}

// certificateText says what was verified, and what of it the plan asks for.
func (s *session) certificateText() string {
	var parts []string
	for _, x := range []struct {
		what   string
		result *delivery.Verification
	}{{"DANE", s.check.dane}, {"PKIX", s.check.pkix}} {
		switch {
		case x.result == nil:
		case x.result.Failure == nil:
			parts = append(parts, x.what+": verified, "+x.result.Matched)
		default:
			parts = append(parts, x.what+": "+x.result.Failure.Text+" (not required)")
		}
	}
	if len(parts) == 0 {
		return "not verified, as the transport has it: it may be anybody's"
	}
	return strings.Join(parts, "; ")
}

func (s *session) loginText() string {
	r := s.rehearsal
	text := fmt.Sprintf("as %s by %s, ", s.c.Login.User, r.Mechanism)
	switch {
	case r.Binding != "":
		return text + "bound to this TLS session (" + r.Binding + "); the host proved that it knows the password"
	case sasl.IsScram(r.Mechanism):
		return text + "not bound to TLS; the host proved that it knows the password"
	case r.Mechanism == sasl.CramMD5:
		return text + "which keeps the password from the wire and proves nothing of the host"
	}
	return text + "which handed the password over, to the host that TLS verified"
}

// rehearseLogin notes what a login is made with.
func (s *session) rehearseLogin(mech string) {
	r := s.rehearsal
	if r == nil {
		return
	}
	r.Mechanism = mech
	if cs, ok := s.conn.TLSState(); ok && sasl.IsPlus(mech) && len(cs.PeerCertificates) > 0 {
		if b := sasl.TLSBindings(cs, cs.PeerCertificates[0]); len(b) > 0 {
			r.Binding = b[0].Type // the one that sasl.Choose takes
		}
	}
}
