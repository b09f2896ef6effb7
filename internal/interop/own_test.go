//go:build linux

package interop

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/doctor"
	"waxwing/internal/explain"
	"waxwing/internal/health"
	"waxwing/internal/spool"
)

// Addresses of the resolvers that do not validate, and of the Waxwings that ask them.
const (
	forwarderIP = "127.0.0.3"  // dnsmasq, without validation
	plainIP     = "127.0.0.4"  // unbound behind it, without validation
	strippingIP = "192.0.2.53" // leaves DNSSEC records out; not on loopback, where it would be trusted
	ownIP       = "127.4.0.2"
	blindIP     = "127.4.0.3"
)

// own is a world whose Waxwing validates itself, over a forwarder that does not.
var own = sync.OnceValues(func() (*world, error) {
	w, err := shared()
	if err != nil {
		return nil, err
	}
	if _, err := startUnbound(filepath.Join(root, "dns"), plainIP, "iterator"); err != nil {
		return nil, err
	}
	if _, err := start("dnsmasq", forwarderIP+":53", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=",
		"--listen-address="+forwarderIP, "--bind-interfaces", "--server="+plainIP, "--log-facility=-"); err != nil {
		return nil, err
	}
	return w.second("own", ownIP, forwarderIP)
})

// second is the world with another Waxwing, which asks another resolver.
func (w *world) second(name, ip, ask string) (*world, error) {
	second := &world{peers: w.peers, ca: w.ca, issuer: w.issuer, nsd: w.nsd, dns: w.dns, corpus: w.corpus, waxCert: w.waxCert, ip: ip, waxLog: &process{name: name}}
	conf := fmt.Sprintf(waxConfig, waxHost, ip, ask, fmt.Sprintf("dnssec = \"auto\"\ntrust_anchors = %q", filepath.Join(root, "dns", "anchor")))
	var err error
	second.wax, err = w.startWaxwing(name, conf, w.waxCert, second.waxLog)
	return second, err
}

// TestOwnValidation: all that hangs on DNSSEC comes out the same with own validation over a
// forwarder that does not validate (VAL-1, VAL-2).
func TestOwnValidation(t *testing.T) {
	t.Parallel()
	open(t)
	need(t, "dnsmasq")
	w, err := own()
	if err != nil {
		t.Fatal(err)
	}
	if source, why := w.wax.DNS.Source(t.Context()); source != dns.SourceOwn {
		t.Fatalf("%s, not own validation: %s\n%s", source, why, tail(w.waxLog.log()))
	}
	for _, c := range allCases() {
		if !strings.HasPrefix(c.name, "dane") && !strings.Contains(c.name, "bogus") && c.name != "insecure-mx" {
			continue
		}
		t.Run(c.peer+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			p := w.peer(t, c.peer)
			if p.brokenTLS {
				c = c.broken()
			}
			token, to := newToken(), "alice@"+c.domain
			w.submit(t, mail{to: []string{to}, token: token})
			it := w.settled(t, to)
			c.check(t, w, it)
			c.checkPeer(t, p, token)
		})
	}
}

// strip is a forwarder that leaves DNSSEC records out, as many routers do.
func strip(t *testing.T) {
	t.Helper()
	if _, err := output("/", "ip", "address", "add", strippingIP+"/32", "dev", "lo"); err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", strippingIP+":53")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", strippingIP+":53")
	if err != nil {
		t.Fatal(err)
	}
	h := wire.HandlerFunc(func(rw wire.ResponseWriter, q *wire.Msg) {
		c := &wire.Client{Net: "tcp"}
		r, _, err := c.Exchange(q, plainIP+":53")
		if err != nil {
			r = new(wire.Msg).SetRcode(q, wire.RcodeServerFailure)
		}
		for _, section := range []*[]wire.RR{&r.Answer, &r.Ns} {
			*section = slices.DeleteFunc(*section, func(rr wire.RR) bool {
				t := rr.Header().Rrtype
				return t == wire.TypeRRSIG || t == wire.TypeNSEC || t == wire.TypeNSEC3
			})
		}
		_ = rw.WriteMsg(r)
	})
	for _, s := range []*wire.Server{{PacketConn: pc, Handler: h}, {Listener: l, Handler: h}} {
		go s.ActivateAndServe()
	}
}

// TestStrippingResolver: where the resolver leaves DNSSEC records out and is not trusted, DANE is off, and
// that is said everywhere (VAL-2).
func TestStrippingResolver(t *testing.T) {
	t.Parallel()
	open(t)
	need(t, "dnsmasq")
	if _, err := own(); err != nil {
		t.Fatal(err)
	}
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	strip(t)
	blind, err := w.second("blind", blindIP, strippingIP)
	if err != nil {
		t.Fatal(err)
	}
	to := "bob@bad.postfix.example" // with DANE it would wait
	p := blind.peer(t, "postfix")
	token := newToken()
	blind.submit(t, mail{to: []string{to}, token: token})
	if it := blind.settled(t, to); it.State != spool.Delivered || it.TLS != "unverified" {
		t.Errorf("%v, %s, %s %s", it.State, it.TLS, it.Word, it.Text)
	}
	p.await(t, token, 1)
	for what, said := range blind.saysOfDNSSEC(t) {
		if !strings.Contains(said, "DANE is off") && !strings.Contains(said, "no DANE") && !strings.Contains(said, `waxwing_dnssec_source{source="none"} 1`) {
			t.Errorf("%s does not say that DANE is off:\n%s", what, said)
		}
	}
}

// saysOfDNSSEC is what status, doctor, explain, self-test, log and metrics say.
func (w *world) saysOfDNSSEC(t *testing.T) map[string]string {
	t.Helper()
	ctx := t.Context()
	test := w.wax.DNS.SelfTest(ctx, dns.SelfTestNames{})
	out := map[string]string{"log": w.waxLog.log(), "selftest": test.String()}
	for _, f := range doctor.Resolver(test) {
		out["doctor"] += fmt.Sprintf("%s %s %s\n", f.Seen, f.Cause, f.Cure)
	}
	source, why := w.wax.DNS.Source(ctx)
	facts := health.DNSSEC{Source: string(source), Why: why}
	for _, f := range health.Findings(health.Facts{Now: time.Now(), DNSSEC: facts}) {
		out["status"] += f.What + "\n"
	}
	x := &explain.Explainer{Planner: w.wax.Direct, DNSSEC: func(context.Context) health.DNSSEC { return facts }}
	var b bytes.Buffer
	x.Domain(ctx, explain.Request{Domain: delivery.RecipientDomain{Name: dns.MustParse("bad.postfix.example")}}).Print(&b)
	out["explain"] = b.String()
	families, err := w.wax.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "waxwing_dnssec_source" {
				out["metrics"] += fmt.Sprintf("%s{source=%q} %v\n", f.GetName(), m.Label[0].GetValue(), m.Gauge.GetValue())
			}
		}
	}
	return out
}
