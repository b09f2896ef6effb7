package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/internal/guard"
)

// Server is one recursive resolver.
type Server struct {
	Addr    string `json:"address"`       // "ip:port"
	Trusted bool   `json:"trusted"`       // its AD bit counts (DNS-3)
	TLS     *TLS   `json:"tls,omitempty"` // asked over TLS alone; nil: over UDP and TCP
}

// Client is a stub resolver: it asks recursive resolvers over UDP, and over
// TCP where an answer is truncated. It implements Resolver. The zero value
// with Servers is ready to use; the exported fields must not change once it is
// in use. It is safe for concurrent use.
type Client struct {
	// Servers in the order of asking. If one of them is trusted (and has not
	// lost its trust to the self-test), the untrusted ones are not asked at
	// all: an attacker who can make the trusted ones time out must not be able
	// to turn Secure into Indeterminate.
	Servers  []Server
	Timeout  time.Duration // of one try; 0: 5 s
	Total    time.Duration // of a whole lookup; 0: 20 s
	Attempts int           // rounds over the servers; 0: 2
	Cache    *Cache        // nil: nothing is cached
	// Dial connects to a server over "udp" or "tcp"; nil: net.Dialer. What it
	// returns for "udp" must keep the borders of messages.
	Dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	Now   func() time.Time // nil: time.Now
	Guard *guard.Guard     // contains panics
	// Count is told of each lookup its type and what it came to: its security, "failed", or
	// "cached" where no server was asked. Nil: nobody is.
	Count func(qtype, state string)
	// Validator proves answers where it is ready; else, or for nil, the AD bit of trusted
	// servers counts (VAL-1, VAL-2).
	Validator Validator

	sockets sockets // over UDP
	streams sockets // over TLS

	mu    sync.Mutex
	state map[string]serverState // by Server.Addr
}

// serverState is what the client has learnt about a server.
type serverState struct {
	distrusted bool      // gave data for a bogus name (DNS-6)
	down       time.Time // asked last until then, for want of a reply
}

const (
	defaultTimeout  = 5 * time.Second
	defaultTotal    = 20 * time.Second
	defaultAttempts = 2
	// downFor is how long a server that did not answer is asked after the others.
	downFor = 30 * time.Second
)

var _ Resolver = (*Client)(nil)

// LookupA finds IPv4 addresses.
func (c *Client) LookupA(ctx context.Context, name Name) (Answer[netip.Addr], error) {
	return resolve(ctx, c, name, wire.TypeA, addrOf)
}

// LookupAAAA finds IPv6 addresses.
func (c *Client) LookupAAAA(ctx context.Context, name Name) (Answer[netip.Addr], error) {
	return resolve(ctx, c, name, wire.TypeAAAA, addrOf)
}

// LookupMX finds mail exchangers, in the order of the answer.
func (c *Client) LookupMX(ctx context.Context, name Name) (Answer[MX], error) {
	return resolve(ctx, c, name, wire.TypeMX, mxOf)
}

// LookupTXT finds texts; the strings of one record are joined.
func (c *Client) LookupTXT(ctx context.Context, name Name) (Answer[string], error) {
	return resolve(ctx, c, name, wire.TypeTXT, txtOf)
}

// LookupCNAME asks for the CNAME record of name itself; it is not followed.
func (c *Client) LookupCNAME(ctx context.Context, name Name) (Answer[Name], error) {
	return resolve(ctx, c, name, wire.TypeCNAME, targetOf)
}

// LookupPTR finds the names of an address.
func (c *Client) LookupPTR(ctx context.Context, addr netip.Addr) (Answer[Name], error) {
	name, err := ReverseName(addr)
	if err != nil {
		return Answer[Name]{}, &Error{Type: "PTR", Err: err}
	}
	return resolve(ctx, c, name, wire.TypePTR, targetOf)
}

// LookupNS finds name servers.
func (c *Client) LookupNS(ctx context.Context, name Name) (Answer[Name], error) {
	return resolve(ctx, c, name, wire.TypeNS, targetOf)
}

// LookupSRV finds service locations.
func (c *Client) LookupSRV(ctx context.Context, name Name) (Answer[SRV], error) {
	return resolve(ctx, c, name, wire.TypeSRV, srvOf)
}

// LookupTLSA finds TLSA records.
func (c *Client) LookupTLSA(ctx context.Context, name Name) (Answer[TLSA], error) {
	return resolve(ctx, c, name, wire.TypeTLSA, tlsaOf)
}

// LookupCAA finds the CAA records of name itself; RFC 8659 §3 has whoever asks climb
// the tree where there are none.
func (c *Client) LookupCAA(ctx context.Context, name Name) (Answer[CAA], error) {
	return resolve(ctx, c, name, wire.TypeCAA, caaOf)
}

// ReverseName is the name under in-addr.arpa or ip6.arpa that stands for addr.
func ReverseName(addr netip.Addr) (Name, error) {
	if !addr.IsValid() {
		return Name{}, errors.New("no address to look up")
	}
	s, err := wire.ReverseAddr(addr.Unmap().WithZone("").String())
	if err != nil {
		return Name{}, err
	}
	return ParseLax(s)
}

// resolve answers from the cache or asks, and keeps what came. Records that
// parse refuses are left out.
func resolve[T any](ctx context.Context, c *Client, name Name, qtype uint16, parse func(wire.RR) (T, bool)) (Answer[T], error) {
	if name.IsZero() {
		return Answer[T]{}, &Error{Type: wire.TypeToString[qtype], Err: errors.New("no name to look up")}
	}
	key := cacheKey{name, qtype}
	if v, left, ok := c.Cache.get(key, c.now(), c.trusts); ok {
		a := v.(Answer[T])
		a.TTL = left
		a.Records, a.Chain = slices.Clone(a.Records), slices.Clone(a.Chain)
		c.count(qtype, "cached")
		return a, nil
	}
	r, err := c.ask(ctx, question{name, qtype})
	if err != nil {
		state := "failed"
		if err.Security == Bogus {
			state = Bogus.String()
		}
		c.count(qtype, state)
		return Answer[T]{Name: name, Security: err.Security}, err
	}
	c.count(qtype, r.security.String())
	a := Answer[T]{Name: name, NXDomain: r.nxdomain, Security: r.security, TTL: r.ttl, Chain: r.chain}
	for _, rr := range r.records {
		if v, ok := parse(rr); ok {
			a.Records = append(a.Records, v)
		}
	}
	kept := a
	kept.Records, kept.Chain = slices.Clone(a.Records), slices.Clone(a.Chain)
	c.Cache.put(key, cacheEntry{value: kept, expires: c.now().Add(a.TTL), secure: a.Security == Secure, server: r.server})
	return a, nil
}

func (c *Client) count(qtype uint16, state string) {
	if c.Count != nil {
		c.Count(wire.TypeToString[qtype], state)
	}
}

// ask finds the answer for q, and asks on where a server gave an alias without
// what stands there (RFC 7672 §2.1.3).
func (c *Client) ask(ctx context.Context, q question) (*reply, *Error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(max(c.Total, 0), defaultTotal))
	defer cancel()
	r, err := c.goRound(ctx, q)
	for err == nil && r.incomplete {
		if len(r.chain) >= maxChain {
			return nil, q.fail(errTooManyAliases)
		}
		var next *reply
		if next, err = c.goRound(ctx, question{r.chain[len(r.chain)-1], q.qtype}); err == nil {
			r = r.join(next)
		}
	}
	if err != nil {
		err.Name = q.name
		return nil, err
	}
	return r, nil
}

// goRound asks one server after the other until one has answered (DNS-3,
// DNS-4). A validation failure is an answer: another server is not asked for a
// better one.
func (c *Client) goRound(ctx context.Context, q question) (*reply, *Error) {
	if c.Validator != nil && c.Validator.Ready(ctx) {
		return c.validated(ctx, q)
	}
	servers := c.order()
	if len(servers) == 0 {
		return nil, q.fail(errors.New("no DNS server is configured"))
	}
	var last *Error
	for range cmp.Or(max(c.Attempts, 0), defaultAttempts) {
		var silent []Server
		for _, s := range servers {
			r, err := c.askServer(ctx, s, q)
			if err == nil || err.Security == Bogus {
				return r, err
			}
			// A server's own word tells more than another's silence, and is not
			// asked for again (RFC 2308 §7.1).
			if last == nil || last.RCode == "" {
				last = err
			}
			if ctx.Err() != nil {
				return nil, last
			}
			if err.RCode == "" {
				c.markDown(s)
				silent = append(silent, s)
			}
		}
		if servers = silent; len(servers) == 0 {
			break
		}
	}
	return nil, last
}

// askServer asks one server, and finds out what a SERVFAIL means (DNS-4).
func (c *Client) askServer(ctx context.Context, s Server, q question) (*reply, *Error) {
	m, err := c.exchange(ctx, s, q, flags{edns: true})
	if err != nil {
		return nil, q.fail(fmt.Errorf("resolver %s: %w", s.Addr, err))
	}
	if m.IsEdns0() == nil && (m.Rcode == wire.RcodeFormatError || m.Rcode == wire.RcodeNotImplemented) {
		// RFC 6891 §7: a server that does not know EDNS.
		if m, err = c.exchange(ctx, s, q, flags{}); err != nil {
			return nil, q.fail(fmt.Errorf("resolver %s: %w", s.Addr, err))
		}
	}
	r, fail := interpret(m, q, c.trusts(s.Addr))
	if fail == nil {
		r.server = s.Addr
		return r, nil
	}
	if fail.RCode == "SERVFAIL" && len(fail.EDE) == 0 {
		cd, err := c.exchange(ctx, s, q, flags{edns: true, cd: true})
		if err == nil && (cd.Rcode == wire.RcodeSuccess || cd.Rcode == wire.RcodeNameError) {
			fail.Security = Bogus
			fail.Err = errors.New("the resolver answers only without validation")
		}
	}
	return nil, fail
}

// order is the servers to ask, those that did not answer lately last.
func (c *Client) order() []Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := slices.Clone(c.Servers)
	trusted := func(s Server) bool { return s.Trusted && !c.state[s.Addr].distrusted }
	if slices.ContainsFunc(out, trusted) {
		out = slices.DeleteFunc(out, func(s Server) bool { return !trusted(s) })
	}
	return c.restingLast(out)
}

// all is every server, those that did not answer lately last: who validates for itself trusts none.
func (c *Client) all() []Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.restingLast(slices.Clone(c.Servers))
}

// restingLast needs c.mu.
func (c *Client) restingLast(servers []Server) []Server {
	now := c.now()
	slices.SortStableFunc(servers, func(a, b Server) int {
		return boolInt(c.state[a.Addr].down.After(now)) - boolInt(c.state[b.Addr].down.After(now))
	})
	return servers
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// trusts reports whether the AD bit of the server at addr counts now.
func (c *Client) trusts(addr string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if addr == proved {
		return true
	}
	for _, s := range c.Servers {
		if s.Addr == addr {
			return s.Trusted && !c.state[addr].distrusted
		}
	}
	return false
}

func (c *Client) markDown(s Server) {
	now := c.now()
	c.change(s.Addr, func(st *serverState) { st.down = now.Add(downFor) })
}

func (c *Client) change(addr string, fn func(*serverState)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == nil {
		c.state = make(map[string]serverState)
	}
	st := c.state[addr]
	fn(&st)
	c.state[addr] = st
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}
