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
	t := newTrip(&quick, Request{Plan: plan, Job: &delivery.Job{}, Recipients: []delivery.Recipient{{}}})
	r := Rehearsal{Addr: addr}
	for next := fresh; ; {
		v := t.visit(addr, next == smaller, next == plaintext)
		v.rehearsal, v.facts.Started = &r, quick.now()
		var ok bool
		if next, ok = v.establish(ctx); ok {
			v.rehearseReset(ctx)
		}
		if v.conn != nil && !v.parted {
			v.conn.Close()
		}
		r.Session, r.Secured, r.Travelled, r.Failure = v.facts, v.check != nil, v.travelled(), v.facts.Err
		if f := v.facts.TLSFailure; !ok && r.Failure == nil && f != nil {
			r.Failure = &delivery.Failure{Word: f.Reason, Enhanced: enhSecurity, Text: f.Text}
		}
		if last := len(r.Steps) - 1; r.Failure != nil && last >= 0 {
			r.Steps[last].OK, r.Steps[last].Text = false, string(r.Failure.Word)+": "+r.Failure.Text
		}
		switch {
		case !ok && next == smaller:
			v.begin(StepSmallHello)
		case !ok && next == plaintext:
			v.begin(StepPlaintext)
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
func (v *visit) rehearseReset(ctx context.Context) {
	v.begin(StepReset)
	if err := v.conn.Reset(ctx); err != nil && !v.conn.Usable() {
		v.broken(ctx, v.failure(err))
		return
	}
	v.end()
	v.quit(ctx)
}

// begin and end tell a rehearsal how far the session came; without one they cost nothing.
func (v *visit) begin(name StepName) {
	if r := v.rehearsal; r != nil {
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

func (v *visit) end() {
	r := v.rehearsal
	if r == nil || len(r.Steps) == 0 {
		return
	}
	last := &r.Steps[len(r.Steps)-1]
	last.OK, last.Text = true, bounded(v.stepText(last.Name))
	if last.Name == StepHello {
		r.Auth = v.conn.Extensions().Auth
	}
	if last.Name == StepTLS || last.Name == StepStartTLS {
		r.Steps = append(r.Steps, Step{Name: StepCertificate, OK: true, Text: bounded(v.certificateText())})
	}
}

func (v *visit) stepText(name StepName) string {
	switch name {
	case StepConnect:
		return "from " + v.facts.Local.String() + " to " + v.c.address(v.addr)
	case StepGreeting:
		if n := len(v.facts.Transcript); n > 0 {
			return v.facts.Transcript[n-1]
		}
	case StepHello:
		return v.facts.HELO + " offers " + strings.Join(v.offered(), ", ")
	case StepTLS, StepStartTLS:
		parts := []string{v.facts.TLS.Version, v.facts.TLS.Cipher, v.facts.TLS.KeyExchange}
		if f := v.facts.TLS.Weak; f != nil {
			parts = append(parts, "weak: "+string(f.Reason))
		}
		return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
	case StepLogin:
		return v.loginText()
	case StepReset:
		return "ready for mail"
	}
	return ""
}

// offered are the extensions of the last EHLO; "nothing" for none.
func (v *visit) offered() []string {
	if list := offers(v.conn.HelloReply()); v.conn.ESMTP() && len(list) > 0 {
		return list
	}
	return []string{"no extensions"}
}

// certificateText says what was verified, and what of it the plan asks for.
func (v *visit) certificateText() string {
	var parts []string
	for _, x := range []struct {
		what    string
		verdict *delivery.Verification
	}{{"DANE", v.check.dane}, {"PKIX", v.check.pkix}} {
		switch {
		case x.verdict == nil:
		case x.verdict.Failure == nil:
			parts = append(parts, x.what+": verified, "+x.verdict.Matched)
		default:
			parts = append(parts, x.what+": "+x.verdict.Failure.Text+" (not required)")
		}
	}
	if len(parts) == 0 {
		return "not verified, as the transport has it: it may be anybody's"
	}
	return strings.Join(parts, "; ")
}

func (v *visit) loginText() string {
	r := v.rehearsal
	text := fmt.Sprintf("as %s by %s, ", v.c.Login.User, r.Mechanism)
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
func (v *visit) rehearseLogin(mech string) {
	r := v.rehearsal
	if r == nil {
		return
	}
	r.Mechanism = mech
	if cs, ok := v.conn.TLSState(); ok && sasl.IsPlus(mech) && len(cs.PeerCertificates) > 0 {
		if b := sasl.TLSBindings(cs, cs.PeerCertificates[0]); len(b) > 0 {
			r.Binding = b[0].Type // the one that sasl.Choose takes
		}
	}
}
