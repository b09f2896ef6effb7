package session

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"waxwing/dane"
	"waxwing/internal/delivery"
	"waxwing/smtp"
	"waxwing/smtpclient"
)

// visit is one connection: its state from dialling to QUIT.
type visit struct {
	*trip
	addr  netip.Addr
	plain bool // the plaintext retry
	conn  *smtpclient.Conn
	check *verifier // nil in plaintext
	facts delivery.Session
}

// run connects, negotiates and sends.
func (v *visit) run(ctx context.Context) again {
	if f := v.connect(ctx); f != nil {
		return v.broken(ctx, f)
	}
	defer v.conn.Close()
	if err := v.greet(ctx); err != nil {
		return v.broken(ctx, v.failure(err))
	}
	if !v.plain {
		if err := v.secure(ctx); err != nil {
			return v.insecure(ctx, err)
		}
	}
	if f := v.qualifies(); f != nil {
		v.facts.Err = f
		v.unsettled(f)
		v.each(delivery.Pending, func(r *delivery.RecipientResult) { r.PolicyFailure = true })
		v.quit(ctx)
		return nextAddr
	}
	a := v.send(ctx)
	v.quit(ctx)
	return a
}

// connect dials with its own deadline (SES-1).
func (v *visit) connect(ctx context.Context) *delivery.Failure {
	t := v.c.Timeouts.WithDefaults()
	dctx, cancel := context.WithTimeout(ctx, t.Connect)
	defer cancel()
	nc, err := v.c.dialer().DialContext(dctx, "tcp", v.c.address(v.addr))
	if err != nil {
		return classifyDial(err)
	}
	v.facts.Connected = true
	if ap, err := netip.ParseAddrPort(nc.LocalAddr().String()); err == nil {
		v.facts.Local = ap.Addr().Unmap()
	}
	v.conn = smtpclient.New(nc, smtpclient.Options{HELO: v.c.HELO, Timeouts: v.c.Timeouts})
	return nil
}

func (v *visit) greet(ctx context.Context) error {
	r, err := v.conn.Greeting(ctx)
	v.keep(r)
	if err != nil {
		return err
	}
	v.facts.Greeted = true
	return v.hello(ctx)
}

func (v *visit) hello(ctx context.Context) error {
	if err := v.conn.Hello(ctx); err != nil {
		return err
	}
	word, _, _ := strings.Cut(strings.TrimSpace(v.conn.HelloReply().Lines[0]), " ")
	v.facts.HELO = word[:min(len(word), 255)]
	return nil
}

// secure brings TLS about as the plan wants it, and learns the host's
// extensions anew. An opportunistic session without STARTTLS goes on.
func (v *visit) secure(ctx context.Context) error {
	if !v.conn.Extensions().StartTLS {
		v.facts.TLSFailure = notOffered()
		if v.plan.TLS == delivery.TLSRequired {
			return v.facts.TLSFailure
		}
		return nil
	}
	check := &verifier{plan: v.plan, roots: v.c.Roots, now: v.c.now}
	if v.c.Resume != nil {
		check.cache = &keyedCache{shared: v.c.Resume, key: sessionKey(v.plan)}
	}
	err := v.conn.StartTLS(ctx, check.config())
	v.facts.PKIX, v.facts.DANE = check.pkix, check.dane
	if err != nil {
		return err
	}
	v.check = check
	cs, _ := v.conn.TLSState()
	v.facts.TLS = facts(cs)
	return v.hello(ctx)
}

// insecure ends a session whose TLS did not come about, or failed right after.
func (v *visit) insecure(ctx context.Context, err error) again {
	f := v.facts.TLSFailure
	if f == nil {
		f = classifyStartTLS(err)
	}
	if f == nil || ended(ctx) {
		// Not TLS: EHLO refused or the connection lost after the handshake.
		return v.broken(ctx, v.failure(err))
	}
	v.facts.TLSFailure = f
	v.facts.TLS = nil // it carried nothing
	v.quit(ctx)
	enh := enhSecurity
	if f.Reason == StartTLSNotOffered || strings.HasPrefix(string(f.Reason), "starttls-reply-") {
		enh = enhNoTLS
	}
	v.unsettled(&delivery.Failure{Word: f.Reason, Enhanced: enh, Text: f.Text})
	if demanding(v.plan) {
		v.each(delivery.Pending, func(r *delivery.RecipientResult) { r.PolicyFailure = true })
	}
	if mayRetryPlain(v.plan) {
		return plaintext
	}
	return nextAddr
}

// demanding reports a plan that is not satisfied with just any session.
func demanding(p *delivery.Plan) bool {
	return p.TLS == delivery.TLSRequired || p.PKIX == delivery.CheckRequire || p.DANE == delivery.CheckRequire ||
		p.RequireTLSVerb == delivery.CheckRequire
}

// mayRetryPlain obeys the plan's word on plaintext. A plan that allows it and
// yet requires TLS contradicts itself, which policy's tests rule out; should
// one ever come here, the stricter half holds.
func mayRetryPlain(p *delivery.Plan) bool { return p.PlaintextFallback && !demanding(p) }

// qualifies holds the plan's last conditions against what stands now: nothing
// is sent over a session that is less than the plan requires.
func (v *visit) qualifies() *delivery.Failure {
	if demanding(v.plan) && v.check == nil {
		return &delivery.Failure{Word: StartTLSNotOffered, Enhanced: enhNoTLS, Text: "TLS is required and was not negotiated"}
	}
	v.facts.RequireTLS = v.check != nil && v.conn.Extensions().RequireTLS
	if v.plan.RequireTLSVerb == delivery.CheckRequire && !v.facts.RequireTLS {
		return &delivery.Failure{Word: RequireTLSMissing, Enhanced: enhNoReqTLS,
			Text: fmt.Sprintf("%s does not offer REQUIRETLS, which the sender asked for", v.plan.Host.Name)}
	}
	return nil
}

// broken ends a session that failed before MAIL, for a reason other than TLS.
func (v *visit) broken(ctx context.Context, f *delivery.Failure) again {
	if ended(ctx) {
		f = v.canceled(ctx)
	}
	v.facts.Err = f
	v.unsettled(f)
	if v.conn != nil {
		v.quit(ctx)
	}
	if f.Word == Canceled {
		v.settleAll(delivery.Deferred, f)
		return leave
	}
	return nextAddr
}

func (v *visit) canceled(ctx context.Context) *delivery.Failure {
	return &delivery.Failure{Word: Canceled, Enhanced: enhLocal, Text: "the attempt was broken off"}
}

// failure is a Failure for an error of the dialogue.
func (v *visit) failure(err error) *delivery.Failure {
	f := &delivery.Failure{Word: reasonOf(err), Enhanced: enhBadConn, Text: bounded(err.Error())}
	var re *smtpclient.ReplyError
	if errors.As(err, &re) {
		f.Word = HelloReply
		if re.Step == smtpclient.StepGreeting {
			f.Word = GreetingReply
		}
		f.Enhanced = re.Reply.Enhanced
		v.keep(re.Reply)
	}
	return f
}

// maxTranscript bounds what is kept of a session.
const maxTranscript = 20

// keep notes a reply for the queue page.
func (v *visit) keep(r *smtp.Reply) {
	if r != nil && len(v.facts.Transcript) < maxTranscript {
		v.facts.Transcript = append(v.facts.Transcript, bounded(r.String()))
	}
}

// quit says goodbye where that can be said.
func (v *visit) quit(ctx context.Context) {
	if ended(ctx) || !v.conn.Usable() {
		v.conn.Close()
		return
	}
	if err := v.conn.Quit(ctx); err != nil {
		// All that mattered was settled before.
		v.c.log().Debug("smtp quit", "host", v.plan.Host.Name.String(), "error", err)
	}
}

func (v *visit) travelled() string {
	if v.check == nil {
		return "none"
	}
	return v.check.travelled()
}

func isSyntax(err error) bool {
	var s *smtp.ReplySyntaxError
	return errors.As(err, &s)
}

func recordText(r dane.Record) string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.MatchingType, r.Data)
}
