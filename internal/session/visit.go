package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"waxwing/dane"
	"waxwing/internal/delivery"
	"waxwing/smtp"
	"waxwing/smtpclient"
)

// visit is one connection as one trip uses it: new, or kept from an earlier one.
type visit struct {
	*trip
	addr   netip.Addr
	plain  bool  // the plaintext retry
	small  bool  // the retry with a small hello
	kept   *kept // where the connection comes from; nil: new
	seat   *seat // at the address; nil where nobody counts
	conn   *smtpclient.Conn
	check  *verifier // nil in plaintext
	facts  delivery.Session
	sender string // as it will be sent
	ascii  bool   // the content is sent in its form of US-ASCII
	good   bool   // the last transaction went well enough for another
	proven bool   // a message that began with RSET was accepted over the connection
	parted bool   // the connection is no longer ours

	rehearsal *Rehearsal // nil: a mail
}

// run connects, negotiates and sends. It leaves no connection open but in the pool.
func (v *visit) run(ctx context.Context) again {
	defer func() {
		if v.conn != nil && !v.parted {
			v.conn.Close()
		}
		v.seat.leave()
	}()
	if v.kept == nil {
		if a, ok := v.establish(ctx); !ok {
			return a
		}
	}
	a := v.send(ctx)
	v.part(ctx)
	return a
}

// establish makes a new connection and brings it to where MAIL can be said, or
// says what comes next.
func (v *visit) establish(ctx context.Context) (again, bool) {
	if f := v.connect(ctx); f != nil {
		return v.broken(ctx, f), false
	}
	// What broke off tells ctx from setup: the end of setup is the host's slowness.
	setup, cancel := context.WithTimeout(ctx, v.bounds.Setup)
	defer cancel()
	if v.c.ImplicitTLS {
		v.begin(StepTLS)
		if err := v.encrypt(setup, v.conn.ImplicitTLS); err != nil {
			return v.insecure(ctx, err), false
		}
	}
	if err := v.greet(setup); err != nil {
		if v.check != nil { // an alert instead of the greeting
			return v.insecure(ctx, err), false
		}
		return v.broken(ctx, v.failure(err)), false
	}
	if !v.plain && v.check == nil {
		if err := v.secure(setup); err != nil {
			return v.insecure(ctx, err), false
		}
	}
	if f := v.qualifies(); f != nil {
		v.facts.Err = f
		v.unsettled(f)
		v.each(delivery.Pending, func(r *delivery.RecipientResult) { r.PolicyFailure = true })
		v.quit(ctx)
		return nextAddr, false
	}
	if f := v.login(ctx, setup); f != nil {
		a := v.broken(ctx, f)
		if f.Word != ConnectionLost && f.Word != Timeout {
			a = leave // another address would refuse the same, and count the failures
		}
		return a, false
	}
	return leave, true
}

// connect dials with its own deadline (SES-1).
func (v *visit) connect(ctx context.Context) *delivery.Failure {
	v.begin(StepConnect)
	free := false
	if v.seat, free = v.c.Crowd.enter(v.addr); !free {
		return &delivery.Failure{Word: AddressCrowded, Enhanced: enhNoAnswer, Text: "the address holds up as many of this server's deliveries as it may; this one has its turn later"}
	}
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
	v.end()
	return nil
}

func (v *visit) greet(ctx context.Context) error {
	v.begin(StepGreeting)
	r, err := v.conn.Greeting(ctx)
	v.keep(r)
	if err != nil {
		return err
	}
	v.facts.Greeted = true
	v.seat.greeted()
	v.end()
	return v.hello(ctx)
}

func (v *visit) hello(ctx context.Context) error {
	v.begin(StepHello)
	if err := v.conn.Hello(ctx); err != nil {
		return err
	}
	word, _, _ := strings.Cut(strings.TrimSpace(v.conn.HelloReply().Lines[0]), " ")
	v.facts.HELO = word[:min(len(word), 255)]
	v.end()
	return nil
}

// secure brings TLS about as the plan wants it, and learns the host's
// extensions anew. An opportunistic session without STARTTLS goes on.
func (v *visit) secure(ctx context.Context) error {
	if v.conn.Extensions().StartTLS || v.plan.TLS == delivery.TLSRequired {
		v.begin(StepStartTLS)
	}
	if !v.conn.Extensions().StartTLS {
		v.facts.TLSFailure = notOffered()
		if v.plan.TLS == delivery.TLSRequired {
			return v.facts.TLSFailure
		}
		return nil
	}
	if err := v.encrypt(ctx, v.conn.StartTLS); err != nil {
		return err
	}
	return v.hello(ctx)
}

// encrypt makes the handshake, with the plan's checks in it.
func (v *visit) encrypt(ctx context.Context, start func(context.Context, *tls.Config) error) error {
	check := &verifier{plan: v.plan, small: v.small, roots: v.c.Roots, now: v.c.now}
	// Under REQUIRETLS each message has a TLS session of its own.
	if v.c.Resume != nil && v.plan.RequireTLSVerb == delivery.CheckNone {
		check.cache = &keyedCache{shared: v.c.Resume, key: sessionKey(v.c.port(), v.plan)}
	}
	err := start(ctx, check.config())
	v.facts.PKIX, v.facts.DANE = check.pkix, check.dane
	if err != nil {
		return err
	}
	cs, _ := v.conn.TLSState()
	if err := check.unsound(&cs); err != nil {
		return err
	}
	v.check, v.facts.TLS = check, facts(&cs)
	check.weak = v.facts.TLS.Weak != nil
	v.end()
	return nil
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
	if v.plan.Demanding() {
		v.each(delivery.Pending, func(r *delivery.RecipientResult) { r.PolicyFailure = true })
	}
	switch {
	case v.plan.SmallHello && !v.small && smallMayHelp(f.Reason):
		v.facts.Again = true
		return smaller
	case !v.c.ImplicitTLS && mayRetryPlain(v.plan):
		return plaintext
	}
	return nextAddr
}

// mayRetryPlain obeys the plan's word on plaintext. A plan that allows it and
// yet requires TLS contradicts itself, which policy's tests rule out; should
// one ever come here, the stricter half holds.
func mayRetryPlain(p *delivery.Plan) bool {
	return p.PlaintextFallback && !p.Demanding()
}

// qualifies holds the plan's last conditions against what stands now: nothing
// is sent over a session that is less than the plan requires.
func (v *visit) qualifies() *delivery.Failure {
	if v.plan.Demanding() && v.check == nil {
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
	switch f.Word {
	case Canceled:
		v.settleAll(delivery.Deferred, f)
		return leave
	case ProxyFailed: // the same for every address
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

// quit says goodbye where that can be said. It does not wait for the answer
// (RFC 5321 §4.1.1.10 would like that): results must not wait for a farewell.
func (v *visit) quit(ctx context.Context) {
	v.parted = true
	if ended(ctx) {
		v.conn.Close()
		return
	}
	v.conn.Part() // all that mattered was settled before
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

// recordText is a TLSA record in presentation form.
func recordText(r dane.Record) string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.MatchingType, r.Data)
}
