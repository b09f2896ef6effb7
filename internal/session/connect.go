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
	"waxwing/internal/reason"
	"waxwing/smtp"
	"waxwing/smtpclient"
)

// session is the use that a visit makes of one connection: a new one, or one that an
// earlier visit left in the pool.
type session struct {
	*visit
	addr   netip.Addr
	plain  bool        // the plaintext retry
	small  bool        // the retry with a small hello
	from   *pooledConn // nil: dialled for this visit
	seat   *seat       // at the address; nil where nobody counts
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
func (s *session) run(ctx context.Context) again {
	defer func() {
		if s.conn != nil && !s.parted {
			s.conn.Close()
		}
		s.seat.leave()
	}()
	if s.from == nil {
		if a, ok := s.establish(ctx); !ok {
			return a
		}
	}
	a := s.send(ctx)
	s.part(ctx)
	return a
}

// establish makes a new connection and brings it to where MAIL can be said, or
// says what comes next.
func (s *session) establish(ctx context.Context) (again, bool) {
	if f := s.connect(ctx); f != nil {
		return s.broken(ctx, f), false
	}
	// What broke off tells ctx from setup: the end of setup is the host's slowness.
	setup, cancel := context.WithTimeout(ctx, s.bounds.Setup)
	defer cancel()
	if s.c.ImplicitTLS {
		s.begin(StepTLS)
		if err := s.encrypt(setup, s.conn.ImplicitTLS); err != nil {
			return s.insecure(ctx, err), false
		}
	}
	if err := s.greet(setup); err != nil {
		if s.check != nil { // an alert instead of the greeting
			return s.insecure(ctx, err), false
		}
		return s.broken(ctx, s.failure(err)), false
	}
	if !s.plain && s.check == nil {
		if err := s.secure(setup); err != nil {
			return s.insecure(ctx, err), false
		}
	}
	if f := s.qualifies(); f != nil {
		s.facts.Err = f
		s.unsettled(f)
		s.each(delivery.Pending, func(r *delivery.RecipientResult) { r.PolicyFailure = true })
		s.quit(ctx)
		return nextAddr, false
	}
	if f := s.login(ctx, setup); f != nil {
		a := s.broken(ctx, f)
		if f.Word != reason.ConnectionLost && f.Word != reason.Timeout {
			a = leave // another address would refuse the same, and count the failures
		}
		return a, false
	}
	return leave, true
}

// connect dials with its own deadline (SES-1).
func (s *session) connect(ctx context.Context) *delivery.Failure {
	s.begin(StepConnect)
	free := false
	if s.seat, free = s.c.Crowd.enter(s.addr); !free {
		return &delivery.Failure{Word: reason.AddressCrowded, Enhanced: enhNoAnswer, Text: "the address holds up as many of this server's deliveries as it may; this one has its turn later"}
	}
	t := s.c.Timeouts.WithDefaults()
	dctx, cancel := context.WithTimeout(ctx, t.Connect)
	defer cancel()
	nc, err := s.c.dialer().DialContext(dctx, "tcp", s.c.address(s.addr))
	if err != nil {
		return classifyDial(err)
	}
	s.facts.Connected = true
	if ap, err := netip.ParseAddrPort(nc.LocalAddr().String()); err == nil {
		s.facts.Local = ap.Addr().Unmap()
	}
	s.conn = smtpclient.New(nc, s.c.options(s.plan.Host.Name, s.addr, nc))
	s.end()
	return nil
}

func (s *session) greet(ctx context.Context) error {
	s.begin(StepGreeting)
	r, err := s.conn.Greeting(ctx)
	s.keep(r)
	if err != nil {
		return err
	}
	s.facts.Greeted = true
	s.seat.greeted()
	s.end()
	return s.hello(ctx)
}

func (s *session) hello(ctx context.Context) error {
	s.begin(StepHello)
	if err := s.conn.Hello(ctx); err != nil {
		return err
	}
	word, _, _ := strings.Cut(strings.TrimSpace(s.conn.HelloReply().Lines[0]), " ")
	s.facts.HELO = word[:min(len(word), 255)]
	s.end()
	return nil
}

// secure brings TLS about as the plan wants it, and learns the host's
// extensions anew. An opportunistic session without STARTTLS goes on.
func (s *session) secure(ctx context.Context) error {
	if s.conn.Extensions().StartTLS || s.plan.TLS == delivery.TLSRequired {
		s.begin(StepStartTLS)
	}
	if !s.conn.Extensions().StartTLS {
		s.facts.TLSFailure = notOffered()
		if s.plan.TLS == delivery.TLSRequired {
			return s.facts.TLSFailure
		}
		return nil
	}
	if err := s.encrypt(ctx, s.conn.StartTLS); err != nil {
		return err
	}
	return s.hello(ctx)
}

// encrypt makes the handshake, with the plan's checks in it.
func (s *session) encrypt(ctx context.Context, start func(context.Context, *tls.Config) error) error {
	check := &verifier{plan: s.plan, small: s.small, roots: s.c.Roots, now: s.c.now}
	// Under REQUIRETLS each message has a TLS session of its own.
	if s.c.Resume != nil && s.plan.RequireTLSVerb == delivery.CheckNone {
		check.cache = &keyedCache{shared: s.c.Resume, key: sessionKey(s.c.port(), s.plan)}
	}
	err := start(ctx, check.config())
	s.facts.PKIX, s.facts.DANE = check.pkix, check.dane
	if err != nil {
		return err
	}
	cs, _ := s.conn.TLSState()
	if err := check.unsound(&cs); err != nil {
		return err
	}
	s.check, s.facts.TLS = check, facts(&cs)
	check.weak = s.facts.TLS.Weak != nil
	s.end()
	return nil
}

// insecure ends a session whose TLS did not come about, or failed right after.
func (s *session) insecure(ctx context.Context, err error) again {
	f := s.facts.TLSFailure
	if f == nil {
		f = classifyStartTLS(err)
	}
	if f == nil || ended(ctx) {
		// Not TLS: EHLO refused or the connection lost after the handshake.
		return s.broken(ctx, s.failure(err))
	}
	s.facts.TLSFailure = f
	s.facts.TLS = nil // it carried nothing
	s.quit(ctx)
	enh := enhSecurity
	if _, refused := f.Word.StartTLSCode(); refused || f.Word == reason.StartTLSNotOffered {
		enh = enhNoTLS
	}
	s.unsettled(&delivery.Failure{Word: f.Word, Enhanced: enh, Text: f.Text})
	if s.plan.Demanding() {
		s.each(delivery.Pending, func(r *delivery.RecipientResult) { r.PolicyFailure = true })
	}
	switch {
	case s.plan.SmallHello && !s.small && smallMayHelp(f.Word):
		s.facts.Again = true
		return smaller
	case !s.c.ImplicitTLS && mayRetryPlain(s.plan):
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
func (s *session) qualifies() *delivery.Failure {
	if s.plan.Demanding() && s.check == nil {
		return &delivery.Failure{Word: reason.StartTLSNotOffered, Enhanced: enhNoTLS, Text: "TLS is required and was not negotiated"}
	}
	s.facts.RequireTLS = s.check != nil && s.conn.Extensions().RequireTLS
	if s.plan.RequireTLSVerb == delivery.CheckRequire && !s.facts.RequireTLS {
		return &delivery.Failure{Word: reason.RequireTLSNotOffered, Enhanced: enhNoReqTLS,
			Text: fmt.Sprintf("%s does not offer REQUIRETLS, which the sender asked for", s.plan.Host.Name)}
	}
	return nil
}

// broken ends a session that failed before MAIL, for a reason other than TLS.
func (s *session) broken(ctx context.Context, f *delivery.Failure) again {
	if ended(ctx) {
		f = s.canceled(ctx)
	}
	s.facts.Err = f
	s.unsettled(f)
	if s.conn != nil {
		s.quit(ctx)
	}
	switch f.Word {
	case reason.Canceled:
		s.settleAll(delivery.Deferred, f)
		return leave
	case reason.ProxyFailed: // the same for every address
		return leave
	}
	return nextAddr
}

func (s *session) canceled(ctx context.Context) *delivery.Failure {
	return &delivery.Failure{Word: reason.Canceled, Enhanced: enhLocal, Text: "the attempt was broken off"}
}

// failure is a Failure for an error of the dialogue.
func (s *session) failure(err error) *delivery.Failure {
	f := &delivery.Failure{Word: reasonOf(err), Enhanced: enhBadConn, Text: bounded(err.Error())}
	var re *smtpclient.ReplyError
	if errors.As(err, &re) {
		f.Word = reason.HelloReply
		if re.Step == smtpclient.StepGreeting {
			f.Word = reason.GreetingReply
		}
		f.Enhanced = re.Reply.Enhanced
		s.keep(re.Reply)
	}
	return f
}

// maxTranscript bounds what is kept of a session.
const maxTranscript = 20

// keep notes a reply for the queue page.
func (s *session) keep(r *smtp.Reply) {
	if r != nil && len(s.facts.Transcript) < maxTranscript {
		s.facts.Transcript = append(s.facts.Transcript, bounded(r.String()))
	}
}

// quit says goodbye where that can be said. It does not wait for the answer
// (RFC 5321 §4.1.1.10 would like that): results must not wait for a farewell.
func (s *session) quit(ctx context.Context) {
	s.parted = true
	if ended(ctx) {
		s.conn.Close()
		return
	}
	s.conn.Part() // all that mattered was settled before
}

func (s *session) travelled() string {
	if s.check == nil {
		return "none"
	}
	return s.check.travelled()
}

func isSyntax(err error) bool {
	var s *smtp.ReplySyntaxError
	return errors.As(err, &s)
}

// recordText is a TLSA record in presentation form.
func recordText(r dane.Record) string {
	return fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.MatchingType, r.Data)
}
