package dns

import (
	"context"
	"errors"
	"fmt"
	"time"

	wire "github.com/miekg/dns"
)

// Validator proves answers by DNSSEC itself (VAL-1); dns/validate has it.
// Implementations are safe for concurrent use.
type Validator interface {
	// Ready reports whether own validation is at work: it may have to find out first
	// whether the resolvers pass DNSSEC records (VAL-2).
	Ready(ctx context.Context) bool
	Why() string // it is not ready
	// Lookup finds and proves the answer to one question, which is absolute.
	Lookup(ctx context.Context, name string, qtype uint16) (Proven, error)
}

// Proven is an answer and what is proven of it.
type Proven struct {
	Message  *wire.Msg
	Security Security
	Code     uint16        // extended error (RFC 8914); 0: none
	Text     string        // why it is not Secure
	Limit    string        // the bound of VAL-7 at which the work ended; empty: none
	TTL      time.Duration // bound on how long it may be kept
	Denied   bool          // what is proven is that there is no such record
	Aliases  int           // the aliases that are proven
}

// proved stands for a server in the cache: what was proven stays so, whoever is trusted.
const proved = "proved"

// validated asks by way of own validation.
func (c *Client) validated(ctx context.Context, q question) (*reply, *Error) {
	p, err := c.Validator.Lookup(ctx, q.name.ascii+".", q.qtype)
	if err != nil {
		return nil, q.fail(err)
	}
	r, fail := interpret(p.Message, q, false)
	if fail != nil {
		fail.Security = Indeterminate // a resolver's word, and nobody's proof
		return nil, fail
	}
	switch {
	case p.Security == Bogus:
		return nil, &Error{Name: q.name, Type: q.typeName(), Security: Bogus, EDE: edeOf(p), Err: errors.New(p.Text)}
	case p.Limit != "":
		return nil, &Error{Name: q.name, Type: q.typeName(), Err: fmt.Errorf("%s: %s", p.Limit, p.Text)}
	case p.Security == Secure && (p.Denied != (len(r.records) == 0) || p.Aliases != len(r.chain)) && !r.incomplete:
		return nil, &Error{Name: q.name, Type: q.typeName(), Security: Bogus, Err: errors.New("the answer holds other records than those that are proven")}
	}
	r.security, r.server = p.Security, proved
	r.ttl = min(r.ttl, p.TTL)
	return r, nil
}

func edeOf(p Proven) []EDE {
	if p.Code == 0 {
		return nil
	}
	return []EDE{{Code: p.Code, Text: wire.ExtendedErrorCodeToString[p.Code]}}
}

// Fetch asks for a question with DO and CD set, so that the answer comes as it is, with
// its signatures: a validator's way to the servers. again is how often an answer was
// not good enough: the next server is asked then, and over TCP (VAL-9).
func (c *Client) Fetch(ctx context.Context, name string, qtype uint16, again int) (*wire.Msg, error) {
	servers := c.all()
	if len(servers) == 0 {
		return nil, errors.New("no DNS server is configured")
	}
	var last error
	var answered *wire.Msg
	for i := range len(servers) {
		s := servers[(i+again)%len(servers)]
		m, err := c.fetchFrom(ctx, s, name, qtype, again > 0)
		switch {
		case err != nil:
			last = fmt.Errorf("resolver %s: %w", s.Addr, err)
			if ctx.Err() != nil {
				return nil, last
			}
			c.markDown(s)
		case m.Rcode == wire.RcodeSuccess || m.Rcode == wire.RcodeNameError:
			return m, nil
		default:
			answered = m
		}
	}
	if answered != nil {
		return answered, nil
	}
	return nil, last
}

func (c *Client) fetchFrom(ctx context.Context, s Server, name string, qtype uint16, tcp bool) (*wire.Msg, error) {
	m := new(wire.Msg)
	m.SetQuestion(name, qtype)
	id, err := randomID()
	if err != nil {
		return nil, err
	}
	m.Id, m.CheckingDisabled = id, true
	m.SetEdns0(udpSize, true)
	return c.send(ctx, s, m, tcp)
}
