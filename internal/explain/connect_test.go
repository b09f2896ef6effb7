package explain_test

import (
	"bytes"
	"context"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/delivery"
	"waxwing/internal/destination"
	"waxwing/internal/explain"
	"waxwing/internal/lab"
	"waxwing/internal/posture"
	"waxwing/internal/session"
	"waxwing/internal/store/storetest"
	"waxwing/internal/stspolicy"
	"waxwing/internal/transport"
	"waxwing/mtasts"
)

// inLab is an Explainer that lives in the lab's internet: real DNS, real TLS.
func inLab(t *testing.T, n *lab.Internet) *explain.Explainer {
	resolver := dnstest.Client(t, n.DNS)
	fetch := &mtasts.Fetcher{Resolver: resolver, Dial: n.Network.DialContext, Roots: n.Pool(), AllowPrivate: true, Now: n.Clock.Now}
	client := &session.Client{Dialer: n.Network, HELO: "mx.sender.test", Roots: n.Pool(), Now: n.Clock.Now}
	direct := &transport.Direct{
		Finder:  &destination.Finder{DNS: resolver, AllowPrivate: true, Shuffle: func(int, func(int, int)) {}},
		STS:     &stspolicy.Cache{Store: storetest.Open(t), DNS: resolver, Fetcher: fetch, Now: n.Clock.Now},
		Session: client, Now: n.Clock.Now,
	}
	return &explain.Explainer{Planner: direct, DNS: resolver, Prober: client, Fetcher: fetch, Now: n.Clock.Now}
}

var scrubs = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`[0-9a-f]{64}`), "(hex)"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d([ T][\d:]+Z)?`), "(date)"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "(address)"},
	{regexp.MustCompile(`TLS_[A-Z0-9_]+, [A-Za-z0-9]+`), "(cipher)"},
}

func scrub(s string) string {
	for _, x := range scrubs {
		s = x.re.ReplaceAllString(s, x.with)
	}
	return s
}

// TestConnect: over real sockets, what hosts show and what their operators are told.
func TestConnect(t *testing.T) {
	t.Parallel()
	one := func(h lab.Host) []lab.Host { return []lab.Host{h} }
	good := lab.Host{Cert: lab.GoodCert}
	for _, c := range []struct {
		name    string
		publish lab.Publish
		need    delivery.TLSNeed
		change  func(*testing.T, *lab.Domain)
		must    []string
	}{
		{name: "dane", publish: lab.Publish{Zone: dns.Secure, Hosts: one(lab.Host{TLSA: lab.EEMatch, RequireTLS: true})},
			must: []string{"by TLSA records: verified", "REQUIRETLS", "the mail would go here"}},
		{name: "dane-mismatch", publish: lab.Publish{Zone: dns.Secure, Hosts: one(lab.Host{Cert: lab.GoodCert, TLSA: lab.EEMismatch})},
			must: []string{"the mail would not go here: dane-no-match", "publish _25._tcp.mx1.a.test. IN TLSA 3 1 1 "}},
		{name: "tlsa-unusable", publish: lab.Publish{Zone: dns.Secure, Hosts: one(lab.Host{TLSA: lab.UnusableTLSA})},
			must: []string{"none of its TLSA records"}},
		{name: "signed-without-tlsa", publish: lab.Publish{Zone: dns.Secure, Hosts: one(good)},
			must: []string{"a TLSA record is all that DANE still needs"}},
		{name: "sts-untrusted", publish: lab.Publish{Hosts: one(lab.Host{Cert: lab.UntrustedCert}), STS: &lab.STS{Mode: mtasts.ModeEnforce}},
			must: []string{"by public authorities: cert-unknown-authority", "it was fetched just now and is the same"}},
		{name: "sts-expired", publish: lab.Publish{Hosts: one(lab.Host{Cert: lab.ExpiredCert}), STS: &lab.STS{Mode: mtasts.ModeEnforce}},
			must: []string{"cert-expired"}},
		{name: "sts-changed", publish: lab.Publish{Hosts: one(good), STS: &lab.STS{Mode: mtasts.ModeTesting}},
			change: func(t *testing.T, d *lab.Domain) {
				d.PolicyHost.Set(200, "version: STSv1\nmode: enforce\nmx: mx1.a.test\nmax_age: 604800\n")
			},
			must: []string{"fetched just now it is another: mode enforce", "has not, so that senders keep to the old one"}},
		{name: "plaintext", publish: lab.Publish{Hosts: one(lab.Host{StartTLS: lab.NotOffered})},
			must: []string{"it does not offer STARTTLS", "the mail would go here"}},
		{name: "broken-tls", publish: lab.Publish{Hosts: []lab.Host{{StartTLS: lab.Broken}, {StartTLS: lab.Refused}, {Silent: true}}},
			must: []string{"TLS failed: ", "starttls-reply-554", "connect-refused"}},
		{name: "requiretls", publish: lab.Publish{Zone: dns.Secure, Hosts: one(lab.Host{TLSA: lab.EEMatch})}, need: delivery.RequireTLS,
			must: []string{"the mail would not go here: requiretls-not-offered", "it does not offer REQUIRETLS"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, err := lab.NewInternet()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(n.Close)
			d, err := n.Publish(t.Context(), dns.MustParse("a.test"), c.publish, "mailto:reports@a.test")
			if err != nil {
				t.Fatal(err)
			}
			x := inLab(t, n)
			req := explain.Request{Domain: delivery.RecipientDomain{Name: d.Name}, Need: c.need}
			if c.change != nil {
				x.Domain(t.Context(), req) // fetches the policy as it was
				c.change(t, d)
			}
			req.Connect = true
			e := x.Domain(t.Context(), req)
			var text bytes.Buffer
			e.Print(&text)
			for _, m := range c.must {
				if !strings.Contains(text.String(), m) {
					t.Errorf("no %q in\n%s", m, text.String())
				}
			}
			golden(t, "connect-"+c.name, []byte(scrub(text.String())))
			agree(t, e, text.String())
			for _, mx := range d.Hosts {
				if len(mx.Received()) > 0 {
					t.Errorf("%s received mail", mx.Addr)
				}
			}
		})
	}
}

// Certificates that end soon, seen ahead of time.
func TestExpiresSoon(t *testing.T) {
	t.Parallel()
	n, err := lab.NewInternet()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	d, err := n.Publish(t.Context(), dns.MustParse("a.test"), lab.Publish{Hosts: []lab.Host{{Cert: lab.GoodCert}}}, "mailto:reports@a.test")
	if err != nil {
		t.Fatal(err)
	}
	n.Clock.Advance(80 * 24 * time.Hour)
	e := inLab(t, n).Domain(t.Context(), explain.Request{Domain: delivery.RecipientDomain{Name: d.Name}, Connect: true})
	found := false
	for _, a := range e.Advice {
		found = found || a.Word == "certificate-expires-soon" && a.For == "mx1.a.test" && !a.Fault
	}
	if !found {
		t.Errorf("%+v", e.Advice)
	}
}

// What deliveries have seen is told, and a store that fails is not the end.
func TestSeen(t *testing.T) {
	t.Parallel()
	x := explainer(t)
	at := time.Date(2026, 1, 30, 8, 0, 0, 0, time.UTC)
	x.Seen = func(context.Context, dns.Name) (posture.Facts, error) {
		return posture.Facts{StartTLS: posture.Fact{Word: posture.Yes, At: at}, DANE: posture.Fact{Word: posture.Broken, At: at}}, nil
	}
	d, _ := delivery.ParseRecipientDomain("plain.test")
	var text bytes.Buffer
	x.Domain(t.Context(), explain.Request{Domain: d}).Print(&text)
	for _, want := range []string{"Last seen by deliveries from here:", "STARTTLS   yes      2026-01-30 08:00:00Z", "DANE       broken   2026"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if strings.Contains(text.String(), "REQUIRETLS ") {
		t.Error("what is not known is told")
	}
	x.Seen = func(context.Context, dns.Name) (posture.Facts, error) {
		return posture.Facts{}, context.DeadlineExceeded
	}
	if e := x.Domain(t.Context(), explain.Request{Domain: d}); e.SeenFail == "" || e.Summary == "" {
		t.Errorf("%+v", e)
	}
}

// A host with very many addresses is not dialled at all of them.
func TestContactsBounded(t *testing.T) {
	t.Parallel()
	var plans []delivery.Plan
	for range 10 {
		p := delivery.Plan{}
		for i := range 20 {
			p.Host.Addrs = append(p.Host.Addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
		}
		plans = append(plans, p)
	}
	count := make(counter, 1000)
	x := &explain.Explainer{Planner: fixed{delivery.Decision{Plans: plans}}, Prober: count}
	d, _ := delivery.ParseRecipientDomain("a.test")
	x.Domain(t.Context(), explain.Request{Domain: d, Connect: true})
	if len(count) != 40 {
		t.Errorf("%d connections", len(count))
	}
}

type fixed struct{ dec delivery.Decision }

func (f fixed) Plan(context.Context, transport.PlanRequest) (delivery.Destination, delivery.Finding, delivery.Decision) {
	return delivery.Destination{}, delivery.Finding{}, f.dec
}

type counter chan netip.Addr

func (c counter) Probe(_ context.Context, _ delivery.Plan, a netip.Addr) session.Probe {
	c <- a
	return session.Probe{Session: delivery.Session{Addr: a, Err: &delivery.Failure{Word: "connect-refused"}}}
}
