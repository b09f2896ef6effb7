package dnsplan

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/hostkeys"
	"waxwing/internal/route"
	"waxwing/internal/routes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

const publicHost = `
hostname = "mx.example.org"
[[listen]]
address = "192.0.2.25:25"
kind = "mx"
[[listen]]
address = "[2001:db8::25]:25"
kind = "mx"
[[listen]]
address = "192.0.2.25:465"
kind = "submissions"
[[listen]]
address = "127.0.0.1:587"
kind = "submission"
[[listen]]
address = "192.0.2.25:443"
kind = "https"
[delivery]
allow_private = true
[acme]
directory = "https://acme-v02.api.letsencrypt.org/directory"
agree_terms = true
`

// planned is a store with a hosted domain, and a planner over it.
func planned(t *testing.T, db *store.Store, text string) *Planner {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "waxwing.toml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hostkeys.Make(cfg.HostKeysDir()); err != nil {
		t.Fatal(err)
	}
	if err := (&accounts.Store{DB: db}).AddDomain(t.Context(), dns.MustParse("example.org")); err != nil {
		t.Fatal(err)
	}
	return New(cfg, db, time.Now)
}

func zoneLines(records []dnsrecords.Record) string {
	var b strings.Builder
	for _, r := range records {
		b.WriteString(r.Zone() + "\n")
	}
	return b.String()
}

// DNS-R: what is to be published follows from the configuration and the store: addresses
// of the mail listeners, keys in use and next, the authority with our account and our ways
// of validation, the services that can be reached from elsewhere.
func TestPlanDNS(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		p := planned(t, db, publicHost)
		get := func() string {
			plan, err := p.Plan(t.Context(), dns.MustParse("example.org"))
			if err != nil {
				t.Fatal(err)
			}
			return zoneLines(plan.Records())
		}
		got := get()
		for _, want := range []string{
			"mx.example.org.\t3600\tIN\tA\t192.0.2.25\n", "mx.example.org.\t3600\tIN\tAAAA\t2001:db8::25\n",
			"25.2.0.192.in-addr.arpa.\t3600\tIN\tPTR\tmx.example.org.\n",
			"example.org.\t3600\tIN\tMX\t10 mx.example.org.\n",
			"mx.example.org.\t3600\tIN\tCAA\t0 issue \"letsencrypt.org; validationmethods=tls-alpn-01\"\n",
			"_submissions._tcp.example.org.\t3600\tIN\tSRV\t0 1 465 mx.example.org.\n",
			"_dmarc.example.org.\t3600\tIN\tTXT\t\"v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@example.org\"\n", // DMR-6
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is missing in\n%s", want, got)
			}
		}
		if n := strings.Count(got, "\tTLSA\t3 1 1 "); n != 4 {
			t.Errorf("%d TLSA records, want two of each algorithm (CRT-1)", n)
		}
		if strings.Contains(got, "_submission._tcp") || strings.Contains(got, "127.0.0.1") {
			t.Errorf("what cannot be reached from elsewhere is published:\n%s", got)
		}
		kept := certs.Store{DB: db, Now: time.Now}
		account := certs.Account{Directory: p.cfg.ACME.Directory, Key: "k", Location: "https://le.example/acct/7"}
		if _, err := kept.Account(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		if want := "issue \"letsencrypt.org; accounturi=https://le.example/acct/7; validationmethods=tls-alpn-01\""; !strings.Contains(get(), want) {
			t.Errorf("%q is missing in\n%s", want, get())
		}
		if _, err := p.Plan(t.Context(), dns.MustParse("example.net")); err == nil || !strings.Contains(err.Error(), "not hosted here") {
			t.Errorf("a domain of others: %v", err)
		}
	})
}

// DNS-C2: mail of a domain may come from the machine's own addresses and from those of
// the transports that a route can choose; of relays nobody knows them.
func TestSources(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		p := planned(t, db, publicHost)
		out := &routes.Store{DB: db}
		for _, tr := range []route.Transport{
			{Name: "second", Kind: route.Direct, Sources: []netip.Addr{netip.MustParseAddr("198.51.100.2")}, EHLO: dns.MustParse("out.example.org")},
			{Name: "tor", Kind: route.SOCKS5, Proxy: "127.0.0.1:9050", EHLO: dns.MustParse("tor.example.org"), Public: []netip.Addr{netip.MustParseAddr("198.51.100.3")}},
			{Name: "hidden", Kind: route.SOCKS5, Proxy: "127.0.0.1:9051", EHLO: dns.MustParse("tor.example.org")},
			{Name: "isp", Kind: route.Smarthost, Host: route.Host{Name: dns.MustParse("relay.example.net")}},
			{Name: "unused", Kind: route.Direct, Sources: []netip.Addr{netip.MustParseAddr("198.51.100.9")}},
		} {
			if err := out.AddTransport(t.Context(), tr); err != nil {
				t.Fatal(err)
			}
		}
		rule := func(transport string, to string) {
			t.Helper()
			r := route.Rule{Scope: route.OfServer, Transport: transport}
			if to != "" {
				r.Recipient.Domain = dns.MustParse(to)
			}
			if _, err := out.AddRule(t.Context(), r, false); err != nil {
				t.Fatal(err)
			}
		}
		for i, name := range []string{"second", "tor", "hidden", "isp"} {
			rule(name, []string{"a.example", "b.example", "c.example", "d.example"}[i])
		}
		w, err := p.Wanted(t.Context(), dns.MustParse("example.org"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range w.Sources {
			got = append(got, s.Addr.String()+" "+s.EHLO.ASCII()+" "+s.Transport)
		}
		want := []string{"192.0.2.25 mx.example.org ", "2001:db8::25 mx.example.org ", "198.51.100.2 out.example.org second", "198.51.100.3 tor.example.org tor"}
		if !slices.Equal(got, want) || !slices.Equal(w.Smarthosts, []string{"hidden", "isp"}) || w.Relayed {
			t.Errorf("sources %q, relays %q, relayed %v", got, w.Smarthosts, w.Relayed)
		}
		if len(w.CAs) != 1 || !slices.Equal(w.CAs[0].Methods, []string{"tls-alpn-01"}) {
			t.Errorf("authorities %+v", w.CAs)
		}
		if spf := zoneLines(dnsrecords.All(w.Host, w.Domain)); !strings.Contains(spf, "\"v=spf1 mx ip4:198.51.100.2 ip4:198.51.100.3 -all\"") {
			t.Errorf("SPF does not have the addresses of transports:\n%s", spf)
		}

		rule("isp", "") // everything else
		if w, err = p.Wanted(t.Context(), dns.MustParse("example.org")); err != nil || !w.Relayed || len(w.Sources) != 2 {
			t.Errorf("with all mail routed: %+v, %v", w.Sources, err)
		}
	})
}

// Addresses that the world cannot reach are none to be published, unless mail goes to such
// ones as well.
func TestPublicAddrs(t *testing.T) {
	t.Parallel()
	interfaces := func() (out []net.Addr, err error) {
		for _, a := range []string{"127.0.0.1/8", "10.0.0.5/24", "8.8.4.4/24", "fe80::1/64", "fd00::1/64", "2a00:1450::1/64"} {
			p := netip.MustParsePrefix(a)
			out = append(out, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
		}
		return out, nil
	}
	cfg := &config.Config{Listen: []config.Listen{{Kind: config.MX, Address: netip.MustParseAddrPort("[::]:25")}}, Delivery: config.Delivery{Port: 25}}
	for private, want := range map[bool]string{false: "[8.8.4.4 2a00:1450::1]", true: "[10.0.0.5 8.8.4.4 fd00::1 2a00:1450::1]"} {
		cfg.Delivery.AllowPrivate = private
		got := publicAddrs(cfg, interfaces)
		var all []string
		for _, a := range got {
			all = append(all, a.String())
		}
		if "["+strings.Join(all, " ")+"]" != want {
			t.Errorf("private %v: %v, want %s", private, all, want)
		}
	}
}

// A report address at a domain of ours is somebody's or not; one elsewhere is not ours to
// know.
func TestMailboxOfReports(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		p := planned(t, db, publicHost)
		for address, want := range map[string][2]bool{
			"tls-reports@example.org": {true, true}, "TLS-Reports@mx.example.org": {true, true}, "nobody@example.org": {true, false},
			"nobody@mx.example.org": {true, false}, "a@example.net": {}, "nobody": {}, "@example.org": {}, "a@-": {},
		} {
			hosted, there, err := p.Mailbox(t.Context(), address)
			if err != nil || [2]bool{hosted, there} != want {
				t.Errorf("%s: hosted %v, there %v, %v; want %v", address, hosted, there, err, want)
			}
		}
	})
}

// TLSA records are those of the keys' stages: current and next of both algorithms (SET-6).
func TestPlannedKeys(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "waxwing.toml"), []byte("hostname = \"mail.example.test\"\n"+
		"[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"mx\"\n[tls]\nhost_keys = true\n"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := hostkeys.Make(cfg.HostKeysDir())
	if err != nil {
		t.Fatal(err)
	}
	got, err := New(cfg, storetest.Open(t), time.Now).hostKeys(t.Context())
	if err != nil || len(got) != len(keys) {
		t.Fatalf("%d keys, %v", len(got), err)
	}
	for i, k := range keys {
		if string(got[i].SPKI) != string(k.SPKI) || got[i].Next != (k.Number == 2) {
			t.Errorf("%s: next %v", k.ID, got[i].Next)
		}
	}
}

// TestShared: a plan says whether other machines of the database had the host's name within
// a week; this one's earlier runs are none.
func TestShared(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		p := planned(t, db, publicHost)
		now := time.Now()
		p.now = func() time.Time { return now }
		p.Machine, p.Boot = "a:/srv", hostkeys.Boot{ID: "2", At: now.Add(-time.Minute)}
		p.cfg.Postgres = "postgres://db.example.org/waxwing"
		heard := func(machine, boot string) {
			t.Helper()
			s := hostkeys.Stages{DB: db, Host: p.cfg.Hostname.ASCII(), Dir: p.cfg.HostKeysDir(), Machine: machine, Boot: hostkeys.Boot{ID: boot, At: now}, Now: p.now}
			if _, err := s.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		want := func(about string, want bool) {
			t.Helper()
			if plan, err := p.Plan(t.Context(), dns.Name{}); err != nil || plan.Shared != want {
				t.Errorf("%s: shared %v, want %v, %v", about, plan.Shared, want, err)
			}
		}
		now = now.Add(-time.Hour)
		heard("a:/srv", "1")
		now = now.Add(time.Hour)
		heard("a:/srv", "2")
		want("an earlier run", false)
		heard("b:/srv", "7")
		want("another machine", true)
		p.cfg.Postgres = ""
		want("a store of one machine", false)
		p.cfg.Postgres = "postgres://db.example.org/waxwing"
		now = now.Add(8 * 24 * time.Hour)
		want("a week later", false)
	})
}

// DMR-4: records ask for failure reports where the configuration says so, and only there.
func TestPlanFailureReports(t *testing.T) {
	t.Parallel()
	p := planned(t, storetest.Open(t), publicHost+"[dmarc]\nask_failure_reports = true\naddress = \"dmarc\"\n")
	plan, err := p.Plan(t.Context(), dns.MustParse("example.org"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "_dmarc.example.org.\t3600\tIN\tTXT\t\"v=DMARC1; p=quarantine; rua=mailto:dmarc@example.org; ruf=mailto:dmarc@example.org\"\n"
	if got := zoneLines(plan.Records()); !strings.Contains(got, want) {
		t.Errorf("no %s in\n%s", want, got)
	}
}

// RPT-21: records have the report addresses that a domain has for itself, and these are somebody's.
func TestPlanReportAddresses(t *testing.T) {
	t.Parallel()
	p := planned(t, storetest.Open(t), publicHost+"[[report_address]]\ndomain = \"example.org\"\nof = \"dmarc\"\naddress = \"rua\"\n[[report_address]]\ndomain = \"example.org\"\nof = \"tlsrpt\"\naddress = \"tls\"\n")
	plan, err := p.Plan(t.Context(), dns.MustParse("example.org"))
	if err != nil {
		t.Fatal(err)
	}
	got := zoneLines(plan.Records())
	for _, want := range []string{"rua=mailto:rua@example.org\"", "_smtp._tls.example.org.\t3600\tIN\tTXT\t\"v=TLSRPTv1; rua=mailto:tls@example.org\"", "rua=mailto:tls-reports@mx.example.org\""} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	for address, there := range map[string]bool{"rua@example.org": true, "tls@example.org": true, "dmarc-reports@example.org": true, "tls-reports@example.org": true, "other@example.org": false, "rua@mx.example.org": false} {
		if _, got, err := p.Mailbox(t.Context(), address); err != nil || got != there {
			t.Errorf("%s: %v, %v", address, got, err)
		}
	}
}
