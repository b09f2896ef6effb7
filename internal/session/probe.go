package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/smtp"
	"waxwing/smtpclient"
)

// Probe is one connection made to look at a host; no mail is sent over it.
type Probe struct {
	delivery.Session
	Greeting *smtp.Reply // nil: none came
	Plain    []string    // extensions offered before TLS, as written
	Secured  []string    // and after
	Hello    bool        // Plain holds the host's answer
	StartTLS bool
	Chain    []*x509.Certificate // as presented, also where the handshake failed after it
}

// maxOffers bounds the extensions that a Probe keeps.
const maxOffers = 50

// Probe connects to one address of the plan's host, says EHLO, begins TLS and
// says goodbye. The plan is mostly one of policy.Look. Sessions are classified just
// as those that carry mail.
func (c *Client) Probe(ctx context.Context, plan delivery.Plan, addr netip.Addr) Probe {
	first := &probe{c: c, plan: plan, found: Probe{Session: delivery.Session{Addr: addr}}}
	first.run(ctx)
	if f := first.found.TLSFailure; f == nil || !plan.SmallHello || !smallMayHelp(f.Word) {
		return first.found
	}
	second := &probe{c: c, plan: plan, small: true, found: Probe{Session: delivery.Session{Addr: addr, SmallHello: true}}}
	if second.run(ctx); second.found.TLS == nil {
		return first.found
	}
	return second.found
}

// probe is a Probe under way.
type probe struct {
	c     *Client
	plan  delivery.Plan
	small bool
	conn  *smtpclient.Conn
	found Probe
}

func (p *probe) run(ctx context.Context) {
	t := p.c.Timeouts.WithDefaults()
	dctx, cancel := context.WithTimeout(ctx, t.Connect)
	defer cancel()
	nc, err := p.c.dialer().DialContext(dctx, "tcp", p.c.address(p.found.Addr))
	if err != nil {
		p.found.Err = classifyDial(err)
		return
	}
	p.conn = smtpclient.New(nc, p.c.options(p.plan.Host.Name, p.found.Addr, nc))
	defer p.conn.Close()
	if err := p.look(ctx); err != nil {
		p.broken(err)
	}
	if p.conn.Usable() {
		p.conn.Quit(ctx) // nothing hangs on the answer
	}
}

// look goes from the greeting to the offers over TLS.
func (p *probe) look(ctx context.Context) (err error) {
	if p.c.ImplicitTLS {
		if err := p.handshake(ctx, p.conn.ImplicitTLS); err != nil {
			return err
		}
	}
	if p.found.Greeting, err = p.conn.Greeting(ctx); err != nil {
		return err
	}
	if err := p.conn.Hello(ctx); err != nil {
		return err
	}
	p.found.Hello = true
	if p.c.ImplicitTLS {
		p.secured()
		return nil
	}
	p.found.Plain, p.found.StartTLS = offers(p.conn.HelloReply()), p.conn.Extensions().StartTLS
	if !p.found.StartTLS {
		p.found.TLSFailure = notOffered()
		return nil
	}
	if err := p.handshake(ctx, p.conn.StartTLS); err != nil {
		return err
	}
	if err := p.conn.Hello(ctx); err != nil {
		return err
	}
	p.secured()
	return nil
}

// secured keeps what is offered over TLS.
func (p *probe) secured() {
	p.found.Secured, p.found.RequireTLS = offers(p.conn.HelloReply()), p.conn.Extensions().RequireTLS
}

func (p *probe) handshake(ctx context.Context, begin func(context.Context, *tls.Config) error) error {
	check := &verifier{plan: &p.plan, small: p.small, roots: p.c.Roots, now: p.c.now}
	conf := check.config()
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		p.found.Chain = cs.PeerCertificates[:min(len(cs.PeerCertificates), maxChain)]
		return check.verify(cs)
	}
	err := begin(ctx, conf)
	p.found.PKIX, p.found.DANE = check.pkix, check.dane
	if err != nil {
		return err
	}
	cs, _ := p.conn.TLSState()
	if err := check.unsound(&cs); err != nil {
		return err
	}
	p.found.TLS = facts(&cs)
	return nil
}

// broken says why the probe went no further.
func (p *probe) broken(err error) {
	if f := classifyStartTLS(err); f != nil {
		p.found.TLSFailure, p.found.TLS = f, nil
		return
	}
	f := &delivery.Failure{Word: reasonOf(err), Enhanced: enhBadConn, Text: bounded(err.Error())}
	var re *smtpclient.ReplyError
	if errors.As(err, &re) {
		f.Word = reason.HelloReply
		if re.Step == smtpclient.StepGreeting {
			f.Word = reason.GreetingReply
		}
	}
	p.found.Err = f
}

// offers are the extensions of an answer to EHLO.
func offers(r *smtp.Reply) []string {
	var out []string
	for _, l := range r.Lines[1:min(len(r.Lines), maxOffers+1)] {
		out = append(out, bounded(l))
	}
	return out
}
