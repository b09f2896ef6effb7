package dnspublish_test

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/dnspublish"
	"waxwing/internal/dnsupdate"
	"waxwing/internal/dnsupdate/knottest"
	"waxwing/internal/publication"
)

// atOnce does something in the middle of a look: what the servers show of a set has been
// seen, and what is to be done is not decided.
type atOnce struct {
	dns.Resolver
	do func()
}

func (a atOnce) LookupNS(ctx context.Context, name dns.Name) (dns.Answer[dns.Name], error) {
	a.do()
	return a.Resolver.LookupNS(ctx, name)
}

// hosts are the machines that keep sets, by the sets' names.
func (p *publishing) hosts() map[string]string {
	p.t.Helper()
	rows, err := p.Published(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	all := map[string]string{}
	for _, r := range rows {
		all[r.Name+" "+r.Type] = r.Machine
	}
	return all
}

// TestAtOnce (CRT-5): two machines of one store see at the same time that a set is missing.
// One of them adds it, and keeps it; the other one leaves it alone.
func TestAtOnce(t *testing.T) {
	each(t, true, nil, func(t *testing.T, p *publishing) {
		other := *p.Service
		other.Host = dns.MustParse("mx2.example.test")
		var once sync.Once
		other.DNS = atOnce{p.DNS, func() { once.Do(func() { p.do(dnspublish.Order{}) }) }}
		items, err := other.Do(t.Context(), dnspublish.Order{})
		if err != nil {
			t.Fatal(err)
		}
		lost := 0
		for _, i := range items {
			if i.Done || i.Action != publication.None {
				t.Errorf("%s: the second machine does %s, done %v: %s", i.Key, i.Action, i.Done, i.Detail)
			}
			if i.Word == publication.OtherMachine {
				lost++
			}
		}
		if lost == 0 {
			t.Error("no set was lost to the other machine: the test proves nothing")
		}
		hosts := p.hosts()
		if len(hosts) != len(items) {
			t.Errorf("%d sets have a machine, of %d", len(hosts), len(items))
		}
		for set, machine := range hosts {
			if machine != p.Host.ASCII() {
				t.Errorf("%s is kept by %q", set, machine)
			}
		}
		for _, i := range p.do(dnspublish.Order{}) {
			if i.Word != publication.InPlace {
				t.Errorf("%s afterwards: %s", i.Key, i.Word)
			}
		}
	})
}

// TestSharedHost (CRT-5): of a host that several machines are, the addresses are neither
// changed nor removed; everything else is published. An operator may have one write its own.
func TestSharedHost(t *testing.T) {
	each(t, false, nil, func(t *testing.T, p *publishing) {
		p.do(dnspublish.Order{})
		p.do(dnspublish.Order{})
		p.plan.Shared = true
		p.plan.Host.Addrs = []netip.Addr{netip.MustParseAddr("192.0.2.26")}
		p.plan.Domains[0].DMARC = "reject"
		all := p.do(dnspublish.Order{})
		word(t, all, "mx A", publication.AwaitMachines)
		word(t, all, "_dmarc TXT", publication.ToReplace)
		p.has("mx", "A", "192.0.2.25")
		p.plan.Host.Addrs = nil
		for range 2 {
			p.do(dnspublish.Order{})
			p.after(48 * time.Hour)
		}
		p.has("mx", "A", "192.0.2.25")
		p.plan.Host.Addrs = []netip.Addr{netip.MustParseAddr("192.0.2.26")}
		p.do(dnspublish.Order{TakeOver: []publication.Key{{Name: host, Type: "A"}}})
		p.has("mx", "A", "192.0.2.26")
	})
}

// TestRenamed (CRT-5): after a change of hostname the sets of domains are another machine's,
// and what is shown says how to have them follow; taken over, they are this one's.
func TestRenamed(t *testing.T) {
	each(t, false, nil, func(t *testing.T, p *publishing) {
		p.do(dnspublish.Order{})
		p.do(dnspublish.Order{})
		renamed := dns.MustParse("mail.example.test")
		p.Host, p.plan.Host.Name = renamed, renamed
		items, err := p.Do(t.Context(), dnspublish.Order{})
		if err != nil {
			t.Fatal(err)
		}
		r := dnspublish.NewReport(items, nil, false)
		var shown strings.Builder
		r.Print(&shown)
		if cure := "waxwing dns apply --take-over example.test/MX\n"; !strings.Contains(shown.String(), cure) {
			t.Errorf("no %q in:\n%s", cure, shown.String())
		}
		p.has("", "MX", "10 mx.example.test.")
		mx := publication.Key{Name: zone, Type: "MX"}
		all := p.do(dnspublish.Order{TakeOver: []publication.Key{mx}})
		word(t, all, " MX", publication.ToReplace)
		p.has("", "MX", "10 mail.example.test.")
		if m := p.hosts()["example.test MX"]; m != renamed.ASCII() {
			t.Errorf("the set is kept by %q", m)
		}
		word(t, p.do(dnspublish.Order{}), " MX", publication.InPlace)
	})
}

// before does something between the look and the update.
type before struct {
	dnsupdate.Updater
	do func()
}

func (b before) Update(ctx context.Context, changes []dnsupdate.Change) error {
	b.do()
	return b.Updater.Update(ctx, changes)
}

// TestTakeOverRefused: where the server refuses what was to be taken over, the set stays the
// other machine's.
func TestTakeOverRefused(t *testing.T) {
	each(t, false, nil, func(t *testing.T, p *publishing) {
		p.do(dnspublish.Order{})
		p.Host = dns.MustParse("mail.example.test")
		p.plan.Host.Name = p.Host
		p.Updater = before{p.Updater, func() {
			p.primary.ByHand(knottest.Zone, "MX", "example.test. 60 IN MX 5 mail.example.net.")
		}}
		all := p.do(dnspublish.Order{TakeOver: []publication.Key{{Name: zone, Type: "MX"}}})
		if i := all[" MX"]; i.Done || i.Detail == "" {
			t.Errorf("what was changed meanwhile is taken over: %+v", i)
		}
		p.has("", "MX", "5 mail.example.net.")
		if m := p.hosts()["example.test MX"]; m != host.ASCII() {
			t.Errorf("the set is kept by %q", m)
		}
	})
}
