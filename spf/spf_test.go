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

// FuzzCheck: whatever records three domains have that lead to each other, a check ends, keeps to
// the limits, and says why it came to nothing. A second check comes to the same.
func FuzzCheck(f *testing.F) {
	f.Add("v=spf1 include:b.test -all", "v=spf1 redirect=c.test", "v=spf1 mx ptr a:%{l}.a.test ?all", "joe@a.test", true)
	f.Add("v=spf1 include:a.test include:b.test", "v=spf1 exists:%{i}.b.test exp=c.test", "text %{s}", "a.test", false)
	f.Add("v=spf1 -all exp=b.test", "%{c} %{r} %{t} %{S}", "", "%@a.test", true)
	f.Fuzz(func(t *testing.T, a, b, c, from string, found bool) {
		z := web{texts: []string{a, b, c}, found: found}
		check := Checker{Resolver: z, Receiver: "r", Now: func() time.Time { return time.Unix(0, 0) }}
		for _, ip := range []string{"192.0.2.1", "2001:db8::1"} {
			q := Query{IP: netip.MustParseAddr(ip), Helo: "a.test", MailFrom: from}
			out := check.Check(t.Context(), q)
			if out.Lookups > maxLookups+1 || out.Void > maxVoid+1 || len(out.Explanation) > maxExplanation+len("…") {
				t.Fatalf("beyond the limits: %+v", out)
			}
			if bad := out.Result == None || out.Result == TempError || out.Result == PermError; bad != (out.Problem != "") {
				t.Fatalf("no reason, or one too many: %+v", out)
			}
			if strings.ContainsFunc(out.Explanation, func(r rune) bool { return r > '~' && r != '…' || r < ' ' }) {
				t.Fatalf("explanation %q", out.Explanation)
			}
			if again := check.Check(t.Context(), q); again != out {
				t.Fatalf("%+v, and then %+v", out, again)
			}
		}
	})
}

// web has TXT records at a.test, b.test and c.test, and any host, or none.
type web struct {
	dns.Resolver
	texts []string
	found bool
}

func (w web) LookupTXT(ctx context.Context, n dns.Name) (dns.Answer[string], error) {
	i := strings.Index("abc", strings.TrimSuffix(n.ASCII(), ".test"))
	if !n.Under(dns.MustParse("test")) || i < 0 || i >= len(w.texts) {
		return dns.Answer[string]{Name: n, NXDomain: true}, nil
	}
	return everything(w.texts[i]).LookupTXT(ctx, n)
}

func some[T any](w web, n dns.Name, v T) (dns.Answer[T], error) {
	a := dns.Answer[T]{Name: n}
	if w.found {
		a.Records = []T{v}
	}
	return a, nil
}

func (w web) LookupA(_ context.Context, n dns.Name) (dns.Answer[netip.Addr], error) {
	return some(w, n, netip.MustParseAddr("192.0.2.1"))
}
func (w web) LookupAAAA(_ context.Context, n dns.Name) (dns.Answer[netip.Addr], error) {
	return some(w, n, netip.MustParseAddr("2001:db8::2"))
}
func (w web) LookupMX(_ context.Context, n dns.Name) (dns.Answer[dns.MX], error) {
	return some(w, n, dns.MX{Host: dns.MustParse("a.test")})
}
func (w web) LookupPTR(context.Context, netip.Addr) (dns.Answer[dns.Name], error) {
	return some(w, dns.Name{}, dns.MustParse("c.test"))
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
func (everything) LookupCAA(_ context.Context, n dns.Name) (dns.Answer[dns.CAA], error) {
	return dns.Answer[dns.CAA]{Name: n}, nil
}
func (everything) LookupTLSA(_ context.Context, n dns.Name) (dns.Answer[dns.TLSA], error) {
	return dns.Answer[dns.TLSA]{Name: n}, nil
}
