package dnspublish_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/dnsplan"
	"waxwing/internal/dnspublish"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/dnsupdate"
	"waxwing/internal/dnsupdate/knottest"
	"waxwing/internal/metrics"
	"waxwing/internal/publication"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

var (
	zone = dns.MustParse(knottest.Zone)
	host = dns.MustParse("mx." + knottest.Zone)
)

// publishing is a service on a real primary, with a plan and a clock that a test sets.
type publishing struct {
	*dnspublish.Service
	t       *testing.T
	primary *knottest.Primary
	updater *dnsupdate.Dynamic
	step    func(context.Context) error

	plan     dnsplan.Plan
	now      time.Time
	unserved error // why the policy is not served
	told     []dnspublish.Notice
	sets     map[string]int
}

func (p *publishing) DNSPublished(time.Time)      {}
func (p *publishing) DNSSets(class string, n int) { p.sets[class] = n }

func newPublishing(t *testing.T, db *store.Store, primary *knottest.Primary) *publishing {
	t.Helper()
	p := &publishing{t: t, primary: primary, now: time.Now(), sets: map[string]int{}}
	p.updater = &dnsupdate.Dynamic{Server: primary.Addr.String(), KeyName: knottest.KeyName, Secret: knottest.Secret, Now: time.Now}
	zones := []dns.Name{zone}
	p.Service = &dnspublish.Service{DB: db, Host: host, Zones: zones, Updater: &dnsupdate.Only{Zones: zones, Updater: p.updater}, Asker: primary.Asker(), DNS: primary.Resolver,
		Plan:   func(context.Context) (dnsplan.Plan, error) { return p.plan, nil },
		Served: func(context.Context, dns.Name) error { return p.unserved },
		Areas:  []string{"signing"}, Metrics: p, Now: func() time.Time { return p.now }, Log: slog.New(slog.DiscardHandler),
		Tell: func(_ context.Context, n dnspublish.Notice) error { p.told = append(p.told, n); return nil }}
	p.step = p.Watcher()
	p.plan = dnsplan.Plan{
		Host: dnsrecords.Host{Name: host, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.25")}, Keys: []dnsrecords.Key{{SPKI: key(1)}, {SPKI: key(2), Next: true}}, Reports: "tlsrpt"},
		Domains: []dnsrecords.Domain{{Name: zone, DKIM: []dnsrecords.DKIMKey{{Selector: "s1", Text: "v=DKIM1; k=ed25519; p=AAAA"}}, DMARC: "quarantine",
			DMARCTo: "postmaster@" + knottest.Zone, TLSReports: "tlsrpt@" + knottest.Zone, STSID: "20260501", Services: []dnsrecords.ServicePort{{Label: "_submissions", Port: 465}}}}}
	return p
}

func key(n byte) []byte { return slices.Repeat([]byte{n}, 32) }

func tlsa(n byte) string { return "3 1 1 " + strings.Repeat(fmt.Sprintf("%02x", n), 32) }

// do publishes, and returns the items by name and type.
func (p *publishing) do(o dnspublish.Order) map[string]*dnspublish.Item {
	p.t.Helper()
	items, err := p.Do(p.t.Context(), o)
	if err != nil {
		p.t.Fatal(err)
	}
	all := map[string]*dnspublish.Item{}
	for _, i := range items {
		all[strings.TrimSuffix(strings.TrimSuffix(i.Name.ASCII(), knottest.Zone), ".")+" "+i.Type] = i
	}
	return all
}

// word expects a word of a set.
func word(t *testing.T, all map[string]*dnspublish.Item, set string, want publication.Word) {
	t.Helper()
	if i := all[set]; i == nil || i.Word != want {
		t.Errorf("%s: %+v, want %s", set, i, want)
	}
}

// has expects what the primary has.
func (p *publishing) has(name, kind string, want ...string) {
	p.t.Helper()
	full := strings.TrimPrefix(name+"."+knottest.Zone, ".")
	slices.Sort(want)
	if got := p.primary.Records(full, kind); !slices.Equal(got, want) {
		p.t.Errorf("%s %s: the zone has %q, want %q", full, kind, got, want)
	}
}

func (p *publishing) after(d time.Duration) { p.now = p.now.Add(d) }

// each runs a test on both stores, each with a primary of its own.
func each(t *testing.T, signed bool, records []string, fn func(t *testing.T, p *publishing)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		fn(t, newPublishing(t, db, knottest.Start(t, signed, records...)))
	})
}

// TestPublish (CRT-5): what is wanted is published, in a signed zone; a dry run writes
// nothing; what is there stays in place; the MTA-STS record waits for its policy (CRT-3).
func TestPublish(t *testing.T) {
	each(t, true, nil, func(t *testing.T, p *publishing) {
		p.unserved = errors.New("no certificate yet")
		all := p.do(dnspublish.Order{DryRun: true})
		word(t, all, " MX", publication.ToAdd)
		p.has("", "MX")
		all = p.do(dnspublish.Order{})
		for _, set := range []string{" MX", " TXT", "mx A", "mx TXT", "_25._tcp.mx TLSA", "s1._domainkey TXT", "_dmarc TXT", "_smtp._tls TXT", "_smtp._tls.mx TXT", "_submissions._tcp SRV", "mta-sts CNAME"} {
			word(t, all, set, publication.ToAdd)
			if i := all[set]; i != nil && !i.Done {
				t.Errorf("%s: %s", set, i.Detail)
			}
		}
		word(t, all, "_mta-sts TXT", publication.AwaitPolicy)
		p.has("", "MX", "10 mx.example.test.")
		p.has("_25._tcp.mx", "TLSA", tlsa(1), tlsa(2))
		p.has("_mta-sts", "TXT")
		if ns := p.primary.Records(knottest.Zone, "NS"); len(ns) != 1 {
			t.Errorf("the zone's own records are %q", ns)
		}

		p.unserved = nil
		all = p.do(dnspublish.Order{})
		word(t, all, " MX", publication.InPlace)
		word(t, all, "_mta-sts TXT", publication.ToAdd)
		p.has("_mta-sts", "TXT", "v=STSv1; id=20260501")

		p.plan.Domains[0].STSID, p.unserved = "20260502", errors.New("the old policy is served")
		word(t, p.do(dnspublish.Order{}), "_mta-sts TXT", publication.AwaitPolicy)
		p.has("_mta-sts", "TXT", "v=STSv1; id=20260501")
		p.unserved = nil
		p.do(dnspublish.Order{})
		p.has("_mta-sts", "TXT", "v=STSv1; id=20260502")

		rows, err := p.Published(t.Context())
		if err != nil || len(rows) != 12 {
			t.Errorf("ours are %d sets, want 12: %+v, %v", len(rows), rows, err)
		}
	})
}

// TestUnsignedZone: TLSA records would be worth nothing there, and are not published.
func TestUnsignedZone(t *testing.T) {
	each(t, false, nil, func(t *testing.T, p *publishing) {
		all := p.do(dnspublish.Order{})
		word(t, all, "_25._tcp.mx TLSA", publication.Unsigned)
		p.has("_25._tcp.mx", "TLSA")
		p.has("", "MX", "10 mx.example.test.")
	})
}

// TestRoll (CRT-6): records of keys that go stay until nobody relies on them; those whose
// time is over by their stages go at once.
func TestRoll(t *testing.T) {
	each(t, true, nil, func(t *testing.T, p *publishing) {
		p.do(dnspublish.Order{})
		p.do(dnspublish.Order{})
		d := &p.plan.Domains[0]
		p.plan.Host.Keys = []dnsrecords.Key{{SPKI: key(2)}, {SPKI: key(3), Next: true}}
		d.DKIM = []dnsrecords.DKIMKey{{Selector: "s2", Text: "v=DKIM1; k=ed25519; p=BBBB"}}
		all := p.do(dnspublish.Order{})
		p.has("_25._tcp.mx", "TLSA", tlsa(1), tlsa(2), tlsa(3))
		word(t, all, "s1._domainkey TXT", publication.AwaitStay)
		p.has("s2._domainkey", "TXT", "v=DKIM1; k=ed25519; p=BBBB")
		p.after(23 * time.Hour)
		p.do(dnspublish.Order{})
		p.has("_25._tcp.mx", "TLSA", tlsa(1), tlsa(2), tlsa(3))
		p.after(2 * time.Hour)
		p.do(dnspublish.Order{})
		p.has("_25._tcp.mx", "TLSA", tlsa(2), tlsa(3))
		p.has("s1._domainkey", "TXT", "v=DKIM1; k=ed25519; p=AAAA")
		p.after(13 * 24 * time.Hour)
		p.do(dnspublish.Order{})
		p.has("s1._domainkey", "TXT")

		d.DKIM = []dnsrecords.DKIMKey{{Selector: "s3", Text: "v=DKIM1; k=ed25519; p=CCCC"}}
		p.plan.Gone = dnsrecords.ForKey(zone, dnsrecords.DKIMKey{Selector: "s2", Text: "v=DKIM1; k=ed25519; p=BBBB"})
		p.do(dnspublish.Order{})
		p.has("s2._domainkey", "TXT")
		p.has("s3._domainkey", "TXT", "v=DKIM1; k=ed25519; p=CCCC")
	})
}

// TestRemove: a domain that is hosted no more takes its records with it; the host's stay.
func TestRemove(t *testing.T) {
	each(t, true, nil, func(t *testing.T, p *publishing) {
		p.do(dnspublish.Order{})
		p.do(dnspublish.Order{})
		p.plan.Domains = nil
		p.do(dnspublish.Order{})
		all := p.do(dnspublish.Order{})
		p.has("", "MX")
		p.has("", "TXT")
		p.has("_mta-sts", "TXT")
		p.has("mx", "A", "192.0.2.25")
		word(t, all, "s1._domainkey TXT", publication.AwaitStay)
		p.plan.Host.Addrs = nil // an interface that is down for a moment
		p.do(dnspublish.Order{})
		p.has("mx", "A", "192.0.2.25")
	})
}

// TestConflict (CRT-5): nothing of others is undone: records that were there, records that
// were changed by hand since, and what stands beside ours. An operator may take them over,
// or leave them for good; new conflicts are told once.
func TestConflict(t *testing.T) {
	records := []string{`@ TXT "verify=1" "2"`, "@ MX 5 mail.example.net.", `_dmarc TXT "v=DMARC1; p=none"`}
	each(t, true, records, func(t *testing.T, p *publishing) {
		if err := p.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(p.told) != 0 || p.sets["conflict"] != 3 {
			t.Errorf("what was there from the start is told: %+v, counted %v", p.told, p.sets)
		}
		p.has("", "MX", "5 mail.example.net.")
		p.has("_dmarc", "TXT", "v=DMARC1; p=none")
		all := p.do(dnspublish.Order{TakeOver: []publication.Key{{Name: zone, Type: "TXT"}, {Name: zone, Type: "MX"}}})
		word(t, all, "_dmarc TXT", publication.NotOurs)
		p.has("", "TXT", "v=spf1 mx -all", "verify=12")
		p.has("", "MX", "10 mx.example.test.")

		p.primary.ByHand("_smtp._tls.example.test", "TXT", `_smtp._tls.example.test. 60 IN TXT "v=TLSRPTv1; rua=mailto:me@example.net"`)
		p.primary.ByHand("_submissions._tcp.example.test", "SRV")
		for range 3 {
			p.after(2 * time.Hour)
			if err := p.step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		p.has("_smtp._tls", "TXT", "v=TLSRPTv1; rua=mailto:me@example.net")
		p.has("_submissions._tcp", "SRV")
		if len(p.told) != 1 || !strings.Contains(p.told[0].Text, "changed-by-hand") || !strings.Contains(p.told[0].Text, "rua=mailto:me@example.net") || p.told[0].Event != "dns.conflict" {
			t.Errorf("told %+v", p.told)
		}
		st, err := dnspublish.StandingOf(t.Context(), p.DB, host)
		if err != nil || st.Conflicts != 3 || st.Succeeded.IsZero() {
			t.Errorf("it stands so: %+v, %v", st, err)
		}

		if err := p.Release(t.Context(), publication.Key{Name: dns.MustParse("_submissions._tcp.example.test"), Type: "SRV"}); err != nil {
			t.Fatal(err)
		}
		all = p.do(dnspublish.Order{TakeOver: []publication.Key{{Name: dns.MustParse("_smtp._tls.example.test"), Type: "TXT"}}})
		word(t, all, "_submissions._tcp SRV", publication.Released)
		p.has("_smtp._tls", "TXT", "v=TLSRPTv1; rua=mailto:tlsrpt@example.test")
		p.has("_submissions._tcp", "SRV")
		if _, err := p.Do(t.Context(), dnspublish.Order{TakeOver: []publication.Key{{Name: zone, Type: "SOA"}}}); err == nil {
			t.Error("the SOA record was taken over")
		}
	})
}

// TestPrimaryFails: an update that is refused, or that nobody answers, changes nothing of
// what is known, is told once it lasts, and is made up for when the primary is back.
func TestPrimaryFails(t *testing.T) {
	each(t, true, nil, func(t *testing.T, p *publishing) {
		p.updater.Secret = "d3Jvbmc="
		for range 4 {
			if err := p.step(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.after(10 * time.Minute)
		}
		p.has("", "MX")
		if len(p.told) != 1 || p.told[0].Event != "dns.publishing" || !strings.Contains(p.told[0].Text, "TSIG key") {
			t.Errorf("told %+v of a wrong key", p.told)
		}
		p.updater.Secret = knottest.Secret
		p.after(20 * time.Minute)
		if err := p.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.has("", "MX", "10 mx.example.test.")

		p.primary.Stop()
		p.plan.Domains[0].DMARC = "reject"
		p.after(2 * time.Hour)
		p.step(t.Context())
		p.primary.Run()
		p.has("_dmarc", "TXT", "v=DMARC1; p=quarantine; rua=mailto:postmaster@example.test")
		want := []string{"v=DMARC1; p=reject; rua=mailto:postmaster@example.test"}
		for end := time.Now().Add(time.Minute); !slices.Equal(p.primary.Records("_dmarc."+knottest.Zone, "TXT"), want) && time.Now().Before(end); time.Sleep(time.Second) {
			p.after(20 * time.Minute) // unbound itself does not ask for a while
			if err := p.step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		p.has("_dmarc", "TXT", "v=DMARC1; p=reject; rua=mailto:postmaster@example.test")
		st, err := dnspublish.StandingOf(t.Context(), p.DB, host)
		if err != nil || !st.Failing.IsZero() {
			t.Errorf("it stands so: %+v, %v", st, err)
		}
	})
}

// TestMetrics (OPS-1): when all was written last, and how the sets stand.
func TestMetrics(t *testing.T) {
	each(t, true, []string{"@ MX 5 mail.example.net."}, func(t *testing.T, p *publishing) {
		m := metrics.New()
		p.Metrics = m
		if err := p.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := m.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range all {
			for _, x := range f.GetMetric() {
				name := f.GetName()
				for _, l := range x.GetLabel() {
					name += " " + l.GetValue()
				}
				got[name] = x.GetGauge().GetValue()
			}
		}
		if got["waxwing_dns_publish_sets conflict"] != 1 || got["waxwing_dns_publish_sets waiting"] != 11 || got["waxwing_dns_publish_sets due"] != 0 {
			t.Errorf("counted %v", got)
		}
		if at := got["waxwing_dns_publish_success_timestamp_seconds"]; at != float64(p.now.Unix()) {
			t.Errorf("written at %v, want %v", at, p.now.Unix())
		}
	})
}

// TestCrash: what was written and not noted as done is known to be ours.
func TestCrash(t *testing.T) {
	each(t, true, nil, func(t *testing.T, p *publishing) {
		p.Updater = crash{p.Updater}
		all := p.do(dnspublish.Order{})
		if i := all[" MX"]; i.Done || i.Detail == "" {
			t.Errorf("an update without an answer: %+v", i)
		}
		p.has("", "MX", "10 mx.example.test.")
		p.Updater = p.updater
		word(t, p.do(dnspublish.Order{}), " MX", publication.InPlace)
		p.plan.Domains = nil
		p.do(dnspublish.Order{})
		p.has("", "MX")
	})
}

// crash writes, and loses the answer.
type crash struct{ dnsupdate.Updater }

func (c crash) Update(ctx context.Context, changes []dnsupdate.Change) error {
	return errors.Join(c.Updater.Update(ctx, changes), errors.New("the connection was lost"))
}

// TestTurns: two at once do not write at the same time, and machines of one store leave each
// other's records alone.
func TestTurns(t *testing.T) {
	each(t, true, nil, func(t *testing.T, p *publishing) {
		in, out := make(chan bool), make(chan bool)
		plan := p.Plan
		p.Plan = func(ctx context.Context) (dnsplan.Plan, error) { close(in); <-out; return plan(ctx) }
		done := make(chan error)
		go func() { _, err := p.Do(t.Context(), dnspublish.Order{}); done <- err }()
		<-in
		second := *p.Service
		second.Plan = plan
		if _, err := second.Do(t.Context(), dnspublish.Order{}); !errors.Is(err, dnspublish.ErrBusy) {
			t.Errorf("a second one: %v", err)
		}
		close(out)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		other := *p.Service
		other.Host = dns.MustParse("mx2.example.test")
		other.Plan = func(context.Context) (dnsplan.Plan, error) {
			return dnsplan.Plan{Host: dnsrecords.Host{Name: other.Host, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.26")}},
				Domains: []dnsrecords.Domain{{Name: zone}}}, nil
		}
		items, err := other.Do(t.Context(), dnspublish.Order{})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range items {
			if i.Type == "MX" && i.Word != publication.OtherMachine {
				t.Errorf("the other machine's MX: %s", i.Word)
			}
		}
		p.has("", "MX", "10 mx.example.test.")
		p.has("mx2", "A", "192.0.2.26")
		p.has("mx", "A", "192.0.2.25")
	})
}

// TestNobodyAnswers (CRT-5): name servers that do not answer are a failure: nobody knows
// then whether anything is due. It is told once it lasts, and no success is counted.
func TestNobodyAnswers(t *testing.T) {
	each(t, true, nil, func(t *testing.T, p *publishing) {
		if err := p.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		before, err := dnspublish.StandingOf(t.Context(), p.DB, host)
		if err != nil {
			t.Fatal(err)
		}
		p.primary.Stop()
		for range 2 {
			p.after(2 * time.Hour)
			if err := p.step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		st, err := dnspublish.StandingOf(t.Context(), p.DB, host)
		if err != nil || st.Failing.IsZero() || !st.Succeeded.Equal(before.Succeeded) {
			t.Errorf("it stands so: %+v, before %+v, %v", st, before, err)
		}
		if len(p.told) != 1 || p.told[0].Event != "dns.publishing" {
			t.Errorf("told %+v", p.told)
		}
		items, err := p.Do(t.Context(), dnspublish.Order{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(items, func(i *dnspublish.Item) bool { return i.Word == publication.Unseen }) {
			t.Error("every set was seen: the test proves nothing")
		}
		if r := dnspublish.NewReport(items, nil, false); r.Error == "" {
			t.Error("the report knows no error")
		}
		if r := dnspublish.NewReport(items, nil, true); r.Error != "" {
			t.Errorf("the report of a dry run: %s", r.Error)
		}
	})
}

// TestTakeOverElsewhere: what is for another domain than the one that is asked for is not
// taken over, and that is said.
func TestTakeOverElsewhere(t *testing.T) {
	each(t, false, []string{"sub MX 5 mail.example.net."}, func(t *testing.T, p *publishing) {
		sub := dns.MustParse("sub.example.test")
		p.plan.Domains = append(p.plan.Domains, dnsrecords.Domain{Name: sub})
		order := dnspublish.Order{Domain: zone, TakeOver: []publication.Key{{Name: sub, Type: "MX"}}}
		if _, err := p.Do(t.Context(), order); err == nil || !strings.Contains(err.Error(), "for example.test and this host") {
			t.Errorf("another domain's set is taken over: %v", err)
		}
		p.has("sub", "MX", "5 mail.example.net.")
		order.Domain = sub
		p.do(order)
		p.has("sub", "MX", "10 mx.example.test.")
	})
}
