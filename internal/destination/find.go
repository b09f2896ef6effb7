package destination

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/reason"
)

// Finder finds destinations. It is safe for concurrent use; its fields must
// not change once it is in use.
type Finder struct {
	DNS dns.Resolver
	// Self reports whether a host is this server, by its name (addrs is then
	// nil) or one of its addresses (RFC 5321 §5.1). Nil: no host is.
	Self         func(name dns.Name, addrs []netip.Addr) bool
	AllowPrivate bool // use private and loopback addresses too (DST-4)
	MaxHosts     int  // at most so many hosts are looked at; 0: 10
	Port         int  // of the TLSA names; 0: 25
	// Shuffle puts hosts of equal preference, and a host's addresses, in random
	// order; nil: math/rand/v2.
	Shuffle func(n int, swap func(i, j int))
}

const defaultMaxHosts = 10

// Find looks up the destination of d. It always returns a usable value: either
// Hosts, of which at least one has an address, or Fail. Every lookup made
// stands in Lookups.
func (f *Finder) Find(ctx context.Context, d delivery.RecipientDomain) delivery.Destination {
	if d.IsLiteral() {
		return f.literal(d)
	}
	var log lookups
	dest := delivery.Destination{Domain: d, Expanded: d.Name}
	mx, err := f.DNS.LookupMX(ctx, d.Name)
	log.add(d.Name, "MX", mx.Security, describe(mx, err, mxText))
	if err != nil {
		dest.Fail = lookupFailure(err)
		dest.Lookups = log
		return dest
	}
	dest.Expanded, dest.HasMX = mx.Canonical(), len(mx.Records) > 0
	hosts, fail := f.candidates(d.Name, mx)
	dest.MXSecure = fail == nil && dest.HasMX && mx.Security == dns.Secure
	if dest.Fail = fail; fail == nil {
		f.lookAt(ctx, &dest, hosts, &log)
	}
	dest.Lookups = log
	return dest
}

// FindHost is Find for a host that the operator names: its own addresses and TLSA
// records, whatever MX records it has.
func (f *Finder) FindHost(ctx context.Context, d delivery.RecipientDomain) delivery.Destination {
	if d.IsLiteral() {
		return f.literal(d)
	}
	var log lookups
	dest := delivery.Destination{Domain: d, Expanded: d.Name}
	f.lookAt(ctx, &dest, []candidate{{name: d.Name}}, &log)
	dest.Lookups = log
	return dest
}

// lookAt looks the hosts up, and says where none is left.
func (f *Finder) lookAt(ctx context.Context, dest *delivery.Destination, hosts []candidate, log *lookups) {
	facts := f.hosts(ctx, hosts, target{domain: dest.Domain.Name, expanded: dest.Expanded, hasMX: dest.HasMX, secure: dest.MXSecure})
	for _, h := range facts {
		*log = append(*log, h.lookups...)
	}
	dest.Hosts, dest.Fail = assemble(facts, f.isSelf, f.AllowPrivate)
	if !dest.HasMX && len(dest.Hosts) > 0 {
		// The host is the domain itself. DANE applies to it also where only
		// its alias is Secure (RFC 7672 §2.2.2, "Insecure CNAME").
		h := dest.Hosts[0]
		dest.MXSecure = h.AddrSecurity == dns.Secure || h.DANE.State != delivery.DANENone
	}
}

// literal is DST-1: that address, and nothing about it is Secure.
func (f *Finder) literal(d delivery.RecipientDomain) delivery.Destination {
	dest := delivery.Destination{Domain: d}
	addr := d.Literal.Unmap()
	switch {
	case !f.AllowPrivate && dns.PrivateAddr(addr):
		dest.Fail = permanent(reason.AddressRefused, noAddress, "the address %s is private or reserved, and mail is not sent there", d)
	case f.isSelf(dns.Name{}, []netip.Addr{addr}):
		dest.Fail = permanent(reason.MXSelf, routingLoop, "the address %s is this server", d)
	default:
		dest.Hosts = []delivery.Host{{Addrs: []netip.Addr{addr}, AddrSecurity: dns.Insecure}}
	}
	return dest
}

// errNotSecure says that an alias was found, and is not Secure.
var errNotSecure = errors.New("the alias is not secure")

// aliasSecure asks for the CNAME alone. Nil: it is there and Secure.
func (f *Finder) aliasSecure(ctx context.Context, name dns.Name, log *lookups) error {
	a, err := f.DNS.LookupCNAME(ctx, name)
	log.add(name, "CNAME", a.Security, describe(a, err, dns.Name.String))
	switch {
	case err != nil:
		return err
	case a.Security == dns.Secure && len(a.Records) > 0:
		return nil
	}
	return errNotSecure
}

func (f *Finder) candidates(domain dns.Name, mx dns.Answer[dns.MX]) ([]candidate, *delivery.Failure) {
	all, fail := candidates(domain, mx)
	if fail != nil {
		return nil, fail
	}
	limit := f.MaxHosts
	if limit <= 0 {
		limit = defaultMaxHosts
	}
	return order(all, limit, f.isSelf, f.shuffle)
}

func (f *Finder) isSelf(name dns.Name, addrs []netip.Addr) bool {
	return f.Self != nil && f.Self(name, addrs)
}

func (f *Finder) shuffle(n int, swap func(i, j int)) {
	if f.Shuffle != nil {
		f.Shuffle(n, swap)
		return
	}
	rand.Shuffle(n, swap)
}

// shuffled copies: what a resolver returns may be its own.
func (f *Finder) shuffled(addrs []netip.Addr) []netip.Addr {
	if len(addrs) == 0 {
		return nil
	}
	out := slices.Clone(addrs)
	for i := range out {
		out[i] = out[i].Unmap()
	}
	f.shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// target is what the hosts are looked up for.
type target struct {
	domain, expanded dns.Name
	hasMX            bool
	secure           bool // the MX answer was
}

// hosts looks all candidates up at the same time.
func (f *Finder) hosts(ctx context.Context, cs []candidate, t target) []hostFacts {
	out := make([]hostFacts, len(cs))
	if len(cs) == 1 {
		out[0] = f.host(ctx, cs[0], t)
		return out
	}
	var wg guard.Group
	for i, c := range cs {
		wg.Go(func() { out[i] = f.host(ctx, c, t) })
	}
	wg.Wait()
	return out
}

// host finds the addresses of one candidate, and then, never before, its TLSA
// records (RFC 7672 §2.2.2).
func (f *Finder) host(ctx context.Context, c candidate, t target) hostFacts {
	h := hostFacts{candidate: c, lookups: make(lookups, 0, 4)}
	var wg guard.Group
	wg.Go(func() { h.v6, h.v6err = f.DNS.LookupAAAA(ctx, c.name) })
	h.v4, h.v4err = f.DNS.LookupA(ctx, c.name)
	wg.Wait()
	h.lookups.add(c.name, "A", h.v4.Security, describe(h.v4, h.v4err, netip.Addr.String))
	h.lookups.add(c.name, "AAAA", h.v6.Security, describe(h.v6, h.v6err, netip.Addr.String))
	h.v6.Records, h.v4.Records = f.shuffled(h.v6.Records), f.shuffled(h.v4.Records)
	// DANE-6; without MX the host is the recipient domain itself, and the
	// address answer below is what counts.
	if h.found() && (t.secure || !t.hasMX) {
		h.dane = f.dane(ctx, &h, t)
	}
	return h
}

// lookups gathers what explain shows.
type lookups []delivery.Lookup

func (l *lookups) add(name dns.Name, qtype string, sec dns.Security, result string) {
	*l = append(*l, delivery.Lookup{Name: name.ASCII(), Type: qtype, Security: sec, Result: result})
}

// maxDescribed bounds how many records of one answer are told.
const maxDescribed = 20

// describe is an answer in words.
func describe[T any](a dns.Answer[T], err error, text func(T) string) string {
	if err != nil {
		return err.Error()
	}
	s := ""
	for _, n := range a.Chain {
		s += "alias of " + n.ASCII() + ": "
	}
	switch {
	case a.NXDomain:
		return s + "no such name"
	case len(a.Records) == 0:
		return s + "no records"
	}
	for i, r := range a.Records {
		if i == maxDescribed {
			return s + fmt.Sprintf(", and %d more", len(a.Records)-i)
		}
		if i > 0 {
			s += ", "
		}
		s += text(r)
	}
	return s
}

func mxText(m dns.MX) string {
	switch {
	case m.Null:
		return fmt.Sprintf("%d . (takes no mail)", m.Pref)
	case m.Host.IsZero():
		return fmt.Sprintf("%d (a host that is no name)", m.Pref)
	}
	return fmt.Sprintf("%d %s", m.Pref, m.Host)
}
