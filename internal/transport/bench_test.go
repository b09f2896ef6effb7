package transport

import (
	"context"
	"net/netip"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/destination"
)

// known is a resolver that has every answer at hand: what is left is what
// finding and deciding cost themselves.
type known struct {
	dns.Resolver // no other lookup is made
	mx           dns.Answer[dns.MX]
	a, aaaa      dns.Answer[netip.Addr]
	tlsa         dns.Answer[dns.TLSA]
}

func newKnown(sec dns.Security) *known {
	host := dns.MustParse("mx.b.test")
	return &known{
		mx:   dns.Answer[dns.MX]{Name: dns.MustParse("b.test"), Security: sec, Records: []dns.MX{{Pref: 10, Host: host}}},
		a:    dns.Answer[netip.Addr]{Name: host, Security: sec, Records: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
		aaaa: dns.Answer[netip.Addr]{Name: host, Security: sec},
		tlsa: dns.Answer[dns.TLSA]{Security: sec, Records: []dns.TLSA{{Usage: 3, Selector: 1, MatchingType: 1, Data: make([]byte, 32)}}},
	}
}

func (k *known) LookupMX(context.Context, dns.Name) (dns.Answer[dns.MX], error) { return k.mx, nil }
func (k *known) LookupA(context.Context, dns.Name) (dns.Answer[netip.Addr], error) {
	return k.a, nil
}
func (k *known) LookupAAAA(context.Context, dns.Name) (dns.Answer[netip.Addr], error) {
	return k.aaaa, nil
}
func (k *known) LookupTLSA(context.Context, dns.Name) (dns.Answer[dns.TLSA], error) {
	return k.tlsa, nil
}

// noSTS says that no domain has MTA-STS.
type noSTS struct{}

func (noSTS) Find(context.Context, delivery.RecipientDomain) delivery.Finding {
	return delivery.Finding{}
}

// BenchmarkFind is what an attempt costs before anything is dialled, beside the
// lookups themselves.
func BenchmarkFind(b *testing.B) {
	for name, sec := range map[string]dns.Security{"opportunistic": dns.Insecure, "dane": dns.Secure} {
		b.Run(name, func(b *testing.B) {
			d := &Direct{Finder: &destination.Finder{DNS: newKnown(sec), AllowPrivate: true}, STS: noSTS{}}
			req := PlanRequest{Domain: delivery.RecipientDomain{Name: dns.MustParse("b.test")}}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, dec := d.Plan(b.Context(), req); dec.Stop != nil || len(dec.Plans) != 1 {
					b.Fatalf("%+v", dec)
				}
			}
		})
	}
}
