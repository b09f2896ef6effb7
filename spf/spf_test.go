package spf

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
)

func txt(s dns.Security, texts ...string) dns.Answer[string] {
	return dns.Answer[string]{Records: texts, Security: s}
}

// TestSecure: the outcome is Secure only if every answer is that it rests on.
func TestSecure(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct {
		record, host dns.Security
		want         bool
	}{
		{dns.Secure, dns.Secure, true},
		{dns.Insecure, dns.Secure, false},
		{dns.Secure, dns.Insecure, false},
		{dns.Indeterminate, dns.Indeterminate, false},
	} {
		r := &dnstest.Resolver{T: t, Replies: map[string]any{
			"TXT example.org":  txt(tt.record, "v=spf1 a:mx.example.org -all", "unrelated"),
			"A mx.example.org": dns.Answer[netip.Addr]{Records: []netip.Addr{addr}, Security: tt.host},
		}}
		c := Checker{Resolver: r, Now: time.Now}
		got := c.Check(t.Context(), Query{IP: addr, Helo: "mx.example.org", MailFrom: "joe@example.org"})
		if got.Result != Pass || got.Secure != tt.want || got.Mechanism != "a:mx.example.org" || got.At != "example.org" || got.Lookups != 1 {
			t.Errorf("record %s, host %s: %+v", tt.record, tt.host, got)
		}
	}
}

// TestErrors: a failed lookup is temporary, and says which; an error behind a
// match is never asked for.
func TestErrors(t *testing.T) {
	t.Parallel()
	fault := &dns.Error{Name: dns.MustParse("mx.example.org"), Type: "A", RCode: "SERVFAIL"}
	r := &dnstest.Resolver{T: t, Replies: map[string]any{
		"TXT example.org":  txt(dns.Secure, "v=spf1 ip4:192.0.2.1 a:mx.example.org -all"),
		"A mx.example.org": fault,
	}}
	c := Checker{Resolver: r, Now: time.Now}
	if got := c.Check(t.Context(), Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "joe@example.org"}); got.Result != Pass {
		t.Errorf("a fault behind the match counts: %+v", got)
	}
	got := c.Check(t.Context(), Query{IP: netip.MustParseAddr("192.0.2.2"), MailFrom: "joe@example.org"})
	if got.Result != TempError || !strings.Contains(got.Problem, "mx.example.org") {
		t.Errorf("%+v", got)
	}
}

// slow never answers.
type slow struct{ dns.Resolver }

func (slow) LookupTXT(ctx context.Context, n dns.Name) (dns.Answer[string], error) {
	<-ctx.Done()
	return dns.Answer[string]{}, &dns.Error{Name: n, Type: "TXT", Timeout: true, Err: ctx.Err()}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := Checker{Resolver: slow{}, Now: time.Now}
		got := c.Check(t.Context(), Query{IP: netip.MustParseAddr("192.0.2.1"), MailFrom: "joe@example.org"})
		if took := time.Since(start); got.Result != TempError || took != timeout {
			t.Errorf("%+v after %s", got, took)
		}
	})
}

// FuzzParse: what is parsed has terms that can be evaluated, for any client.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"v=spf1 a:%{l1r-}.x.%{d2}/24//64 mx ptr:example.org ip4:192.0.2.0/24 ip6:2001:db8::/32 exists:%{ir}.%{v}.x.org include:y.org -all",
		"v=spf1 redirect=_spf.%{d} exp=e.%{o} x=%{h}%%%_%-", "v=spf1 a:foo:bar/baz.example.com ~all", "v=spf1 ip4:1.2.3.4/0 a///24",
	} {
		f.Add(s, "joe.user+x@a.example.org")
	}
	f.Fuzz(func(t *testing.T, text, from string) {
		if _, err := Parse(text); err != nil {
			return
		}
		c := Checker{Resolver: everything(text), Receiver: "r", Now: func() time.Time { return time.Unix(0, 0) }}
		for _, ip := range []string{"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"} {
			out := c.Check(t.Context(), Query{IP: netip.MustParseAddr(ip), Helo: "h.example.org", MailFrom: from})
			if out.Lookups > maxLookups+1 || out.Void > maxVoid+1 || len(out.Explanation) > maxExplanation+len("…") {
				t.Fatalf("beyond the limits: %+v", out)
			}
			if out.Result == Fail && out.Mechanism == "" {
				t.Fatalf("a fail that nothing decided: %+v", out)
			}
		}
	})
}

// everything answers each TXT question with the same text, and each other with nothing.
type everything string

func (e everything) LookupTXT(_ context.Context, n dns.Name) (dns.Answer[string], error) {
	return dns.Answer[string]{Name: n, Records: []string{string(e)}}, nil
}
func (everything) LookupA(_ context.Context, n dns.Name) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{Name: n}, nil
}
func (everything) LookupAAAA(_ context.Context, n dns.Name) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{Name: n}, nil
}
func (everything) LookupMX(_ context.Context, n dns.Name) (dns.Answer[dns.MX], error) {
	return dns.Answer[dns.MX]{Name: n}, nil
}
func (everything) LookupPTR(context.Context, netip.Addr) (dns.Answer[dns.Name], error) {
	return dns.Answer[dns.Name]{}, nil
}
func (everything) LookupCNAME(_ context.Context, n dns.Name) (dns.Answer[dns.Name], error) {
	return dns.Answer[dns.Name]{Name: n}, nil
}
func (everything) LookupNS(_ context.Context, n dns.Name) (dns.Answer[dns.Name], error) {
	return dns.Answer[dns.Name]{Name: n}, nil
}
func (everything) LookupSRV(_ context.Context, n dns.Name) (dns.Answer[dns.SRV], error) {
	return dns.Answer[dns.SRV]{Name: n}, nil
}
func (everything) LookupTLSA(_ context.Context, n dns.Name) (dns.Answer[dns.TLSA], error) {
	return dns.Answer[dns.TLSA]{Name: n}, nil
}
