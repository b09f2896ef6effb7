package dnstest

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"waxwing/dns"
)

// Resolver is a dns.Resolver that knows only what a test expects to be asked,
// and fails the test on any other question (DNS-8). Its Replies are keyed
// "TYPE name" ("MX example.org"); a value is the dns.Answer of that type
// (dns.Answer[dns.MX] for MX, and so on; Name is filled in) or an error.
type Resolver struct {
	T       TB
	Replies map[string]any

	mu    sync.Mutex
	asked []string
}

var _ dns.Resolver = (*Resolver)(nil)

// Asked is the keys asked for so far, in order.
func (r *Resolver) Asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.asked...)
}

func reply[T any](ctx context.Context, r *Resolver, qtype string, name dns.Name) (dns.Answer[T], error) {
	if err := ctx.Err(); err != nil {
		return dns.Answer[T]{}, &dns.Error{Name: name, Type: qtype, Err: err}
	}
	key := qtype + " " + name.ASCII()
	r.mu.Lock()
	r.asked = append(r.asked, key)
	v, ok := r.Replies[key]
	r.mu.Unlock()
	switch v := v.(type) {
	case dns.Answer[T]:
		v.Name = name
		return v, nil
	case error:
		return dns.Answer[T]{Name: name}, v
	}
	r.T.Helper()
	if ok {
		r.T.Errorf("dnstest: the reply for %q is a %T", key, v)
	} else {
		r.T.Errorf("dnstest: nobody expected the question %q", key)
	}
	return dns.Answer[T]{}, &dns.Error{Name: name, Type: qtype, Err: fmt.Errorf("unexpected question %q", key)}
}

// LookupA answers "A name".
func (r *Resolver) LookupA(ctx context.Context, name dns.Name) (dns.Answer[netip.Addr], error) {
	return reply[netip.Addr](ctx, r, "A", name)
}

// LookupAAAA answers "AAAA name".
func (r *Resolver) LookupAAAA(ctx context.Context, name dns.Name) (dns.Answer[netip.Addr], error) {
	return reply[netip.Addr](ctx, r, "AAAA", name)
}

// LookupMX answers "MX name".
func (r *Resolver) LookupMX(ctx context.Context, name dns.Name) (dns.Answer[dns.MX], error) {
	return reply[dns.MX](ctx, r, "MX", name)
}

// LookupTXT answers "TXT name".
func (r *Resolver) LookupTXT(ctx context.Context, name dns.Name) (dns.Answer[string], error) {
	return reply[string](ctx, r, "TXT", name)
}

// LookupCNAME answers "CNAME name".
func (r *Resolver) LookupCNAME(ctx context.Context, name dns.Name) (dns.Answer[dns.Name], error) {
	return reply[dns.Name](ctx, r, "CNAME", name)
}

// LookupPTR answers "PTR name", the name as dns.ReverseName makes it.
func (r *Resolver) LookupPTR(ctx context.Context, addr netip.Addr) (dns.Answer[dns.Name], error) {
	name, err := dns.ReverseName(addr)
	if err != nil {
		return dns.Answer[dns.Name]{}, &dns.Error{Type: "PTR", Err: err}
	}
	return reply[dns.Name](ctx, r, "PTR", name)
}

// LookupNS answers "NS name".
func (r *Resolver) LookupNS(ctx context.Context, name dns.Name) (dns.Answer[dns.Name], error) {
	return reply[dns.Name](ctx, r, "NS", name)
}

// LookupSRV answers "SRV name".
func (r *Resolver) LookupSRV(ctx context.Context, name dns.Name) (dns.Answer[dns.SRV], error) {
	return reply[dns.SRV](ctx, r, "SRV", name)
}

// LookupTLSA answers "TLSA name".
func (r *Resolver) LookupTLSA(ctx context.Context, name dns.Name) (dns.Answer[dns.TLSA], error) {
	return reply[dns.TLSA](ctx, r, "TLSA", name)
}

// LookupCAA answers "CAA name".
func (r *Resolver) LookupCAA(ctx context.Context, name dns.Name) (dns.Answer[dns.CAA], error) {
	return reply[dns.CAA](ctx, r, "CAA", name)
}
