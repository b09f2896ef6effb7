package machine_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/doctor"
	"waxwing/internal/machine"
)

func (w *world) run() []doctor.Finding {
	nothing := func(machine.Check) {}
	return machine.Do(w.t.Context(), w.out.Checks(w.subject), nothing, func(machine.Check, []doctor.Finding) {})
}

// TestAllIsWell (SET-2): of a machine without a fault nothing is found, and every check
// says so; again and again.
func TestAllIsWell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 2 {
		seen := map[string]bool{}
		for _, f := range w.run() {
			seen[f.Check] = true
			if f.Level != doctor.OK {
				t.Errorf("%+v", f)
			}
		}
		for _, name := range machine.Names() {
			if !seen[name] {
				t.Errorf("the check %s says nothing", name)
			}
		}
	}
}

// fault is one that is planted into a world where all is well.
type fault struct {
	plant func(w *world)
	check string // that finds it
	level doctor.Level
	seen  string // what it says
	cure  string // and what is to be done
	also  string // another check that finds it too
}

// milter is one that does not answer.
func milter(failure string) func(context.Context) []doctor.Milter {
	return func(context.Context) []doctor.Milter {
		return []doctor.Milter{{Name: "av", Address: "/run/av", About: "servers", Failure: failure, Trouble: "refused"}}
	}
}

func faults() map[string]fault {
	mx, zone := "mx.example.org", "example.org"
	return map[string]fault{
		// DNSSEC
		"no validation":   {plant: func(w *world) { w.zones.Validate(false) }, check: "resolver", level: doctor.Warning, seen: "no AD bit", cure: "unbound", also: "addresses"},
		"not trusted":     {plant: func(w *world) { w.distrust() }, check: "resolver", level: doctor.Warning, seen: "not trusted", cure: "[resolver]", also: "addresses"},
		"no resolver":     {plant: func(w *world) { w.out.SelfTest = noResolver }, check: "resolver", level: doctor.Failed, seen: "no answer", cure: "apt install unbound"},
		"zone not signed": {plant: func(w *world) { w.zones.SetSecurity(mx, "A", dns.Insecure) }, check: "addresses", level: doctor.Warning, seen: "is not signed", cure: "registrar"},
		"zone bogus":      {plant: func(w *world) { w.zones.SetSecurity(mx, "AAAA", dns.Bogus) }, check: "addresses", level: doctor.Failed, seen: "DNSSEC of mx.example.org is broken", cure: "signatures", also: "reverse"},
		// addresses
		"no address":            {plant: func(w *world) { w.zones.Remove(mx, "A"); w.zones.Remove(mx, "AAAA") }, check: "addresses", level: doctor.Failed, seen: "no address for", cure: "5.9.1.1, 2a01:4f8::1", also: "reverse"},
		"another's address":     {plant: func(w *world) { w.add(zone, "mx A 5.9.9.9") }, check: "addresses", level: doctor.Warning, seen: "not this machine's: 5.9.9.9", cure: "take these addresses out"},
		"address not published": {plant: func(w *world) { w.zones.Remove(mx, "AAAA") }, check: "addresses", level: doctor.Warning, seen: "not in DNS: 2a01:4f8::1", cure: "publish", also: "reverse"},
		"behind a router":       {plant: func(w *world) { w.own("10.0.0.1") }, check: "addresses", level: doctor.Warning, seen: "no public address", cure: "25, 465, 587 and 443"},
		"no full name":          {plant: func(w *world) { w.subject.Hostname = dns.MustParse("mail") }, check: "addresses", level: doctor.Failed, seen: "the host's name is mail", cure: "below a domain", also: "reverse domain server"},
		"name server silent":    {plant: func(w *world) { w.zones.Fail(dnstest.Failure{Name: mx, Type: "A", RCode: "SERVFAIL"}) }, check: "addresses", level: doctor.Warning, seen: "could not be seen", cure: "again", also: "reverse"},
		"Debian's /etc/hosts":   {plant: func(w *world) { w.text["/etc/hosts"] = "127.0.1.1 mx.example.org mx\n" }, check: "hosts-file", level: doctor.Warning, seen: "127.0.1.1", cure: "/etc/hosts"},
		// names of addresses
		"no PTR":              {plant: func(w *world) { w.zones.Remove("1.1.9.5.in-addr.arpa", "PTR") }, check: "reverse", level: doctor.Failed, seen: "5.9.1.1 has no name", cure: "whoever gave you the address"},
		"PTR of the provider": {plant: func(w *world) { w.ptr("static.provider.example.") }, check: "reverse", level: doctor.Failed, seen: "does not lead back", cure: "PTR record of 5.9.1.1"},
		"PTR of another name": {plant: func(w *world) { w.ptr("old.example.org.") }, check: "reverse", level: doctor.Warning, seen: "old.example.org and not mx.example.org", cure: "PTR"},
		"PTR not to be had": {plant: func(w *world) {
			w.zones.Fail(dnstest.Failure{Name: "1.1.9.5.in-addr.arpa", Type: "PTR", RCode: "SERVFAIL"})
		}, check: "reverse", level: doctor.Warning, seen: "could not be seen", cure: "again"},
		"no address, anywhere": {plant: func(w *world) { w.own("10.0.0.1"); w.zones.Remove(mx, "A"); w.zones.Remove(mx, "AAAA") }, check: "reverse", level: doctor.Warning, seen: "could not be seen", cure: "again", also: "addresses"},
		// ports
		"port taken":       {plant: func(w *world) { w.server.Runs = false }, check: "ports", level: doctor.Failed, seen: "exim4 has [::]:25 for mx", cure: "stop exim4", also: "server"},
		"port denied":      {plant: func(w *world) { w.listen["[::]:25"] = syscall.EACCES }, check: "ports", level: doctor.Warning, seen: "may not listen on [::]:25", cure: "CAP_NET_BIND_SERVICE"},
		"address not here": {plant: func(w *world) { w.listen["[::]:443"] = syscall.EADDRNOTAVAIL }, check: "ports", level: doctor.Failed, seen: "has not the address", cure: "[[listen]]"},
		"port, oddly":      {plant: func(w *world) { w.listen["[::]:443"] = errors.New("odd") }, check: "ports", level: doctor.Warning, seen: "odd", cure: "again"},
		// port 25 out
		"port 25 blocked":     {plant: func(w *world) { w.hosts[gmail].silent = true; w.hurry() }, check: "port-25-out", level: doctor.Failed, seen: "mx.gmail.com (no answer)", cure: "smarthost"},
		"port 25 refused":     {plant: func(w *world) { delete(w.hosts, gmail) }, check: "port-25-out", level: doctor.Failed, seen: "connection refused", cure: "open outgoing port 25"},
		"port 25 turned away": {plant: func(w *world) { w.hosts[gmail].greeting = "554 go away" }, check: "port-25-out", level: doctor.Failed, seen: "554 go away", cure: "open outgoing port 25"},
		"port 25, no end":     {plant: func(w *world) { w.hosts[gmail].greeting = "220 " + strings.Repeat("x", 1<<20) }, check: "port-25-out", level: doctor.Failed, seen: "greeting does not end", cure: "open outgoing port 25"},
		"no mail host found":  {plant: func(w *world) { w.zones.Remove("gmail.com", "MX") }, check: "port-25-out", level: doctor.Warning, seen: "could not be seen", cure: "again"},
		// blocklists
		"listed":        {plant: func(w *world) { w.add("zen.spamhaus.org", "1.1.9.5 A 127.0.0.2") }, check: "blocklists", level: doctor.Failed, seen: "5.9.1.1 is on the blocklist zen.spamhaus.org", cure: "taken off"},
		"list refuses":  {plant: func(w *world) { w.refuse() }, check: "blocklists", level: doctor.Warning, seen: "could not be seen", cure: "again"},
		"resolver lies": {plant: func(w *world) { w.lie() }, check: "blocklists", level: doctor.Warning, seen: "could not be seen", cure: "again"},
		// the machine
		"clock not kept":    {plant: func(w *world) { w.clock.Synced = false }, check: "clock", level: doctor.Warning, seen: "nothing keeps the clock right", cure: "chrony"},
		"clock never set":   {plant: func(w *world) { w.clock.Now = time.Unix(0, 0) }, check: "clock", level: doctor.Failed, seen: "1970", cure: "chrony"},
		"clock not told of": {plant: func(w *world) { w.clock.Known = false }, check: "clock", level: doctor.Warning, seen: "could not be seen", cure: "again"},
		"disk full":         {plant: func(w *world) { w.disk.Free = 1 << 29 }, check: "disk", level: doctor.Failed, seen: "512 MiB left", cure: "make room"},
		"disk nearly full":  {plant: func(w *world) { w.disk.Free = 4 << 30 }, check: "disk", level: doctor.Warning, seen: "4096 MiB left of 100 GiB", cure: "make room"},
		"no inodes":         {plant: func(w *world) { w.disk.FreeFiles = 10 }, check: "disk", level: doctor.Warning, seen: "10 more files", cure: "make room"},
		"disk in memory":    {plant: func(w *world) { w.disk.Type = "tmpfs" }, check: "disk", level: doctor.Failed, seen: "in memory", cure: "data_dir"},
		"disk of others":    {plant: func(w *world) { w.disk.Type = "nfs" }, check: "disk", level: doctor.Warning, seen: "nfs", cure: "PostgreSQL"},
		"disk not told of":  {plant: func(w *world) { w.disk.Err = "odd" }, check: "disk", level: doctor.Warning, seen: "odd", cure: "again"},
		"no memory":         {plant: func(w *world) { w.text["/proc/meminfo"] = "MemTotal: 500000 kB\nMemAvailable: 90000 kB\n" }, check: "memory", level: doctor.Failed, seen: "87 MiB", cure: "swap"},
		"little memory":     {plant: func(w *world) { w.text["/proc/meminfo"] = "MemTotal: 500000 kB\nMemAvailable: 300000 kB\n" }, check: "memory", level: doctor.Warning, seen: "292 MiB", cure: "swap"},
		"memory not told":   {plant: func(w *world) { delete(w.text, "/proc/meminfo") }, check: "memory", level: doctor.Warning, seen: "could not be seen", cure: "again"},
		// what the domain publishes
		"no MX":         {plant: func(w *world) { w.zones.Remove(zone, "MX") }, check: "domain", level: doctor.Warning, seen: "has no MX record", cure: "MX 10 mx.example.org."},
		"null MX":       {plant: func(w *world) { w.zones.Remove(zone, "MX"); w.add(zone, "@ MX 0 .") }, check: "domain", level: doctor.Failed, seen: "null MX", cure: "MX 10 mx.example.org."},
		"MX elsewhere":  {plant: func(w *world) { w.zones.Remove(zone, "MX"); w.add(zone, "@ MX 10 mx.other.example.") }, check: "domain", level: doctor.Warning, seen: "goes to mx.other.example", cure: "when you are ready"},
		"MX also other": {plant: func(w *world) { w.add(zone, "@ MX 20 mx.other.example.") }, check: "domain", level: doctor.Warning, seen: "goes also to mx.other.example", cure: "take these out"},
		"two SPF":       {plant: func(w *world) { w.add(zone, `@ TXT "v=spf1 -all"`) }, check: "domain", level: doctor.Failed, seen: "2 SPF records", cure: "into one record"},
		"two DMARC":     {plant: func(w *world) { w.add(zone, `_dmarc TXT "v=DMARC1; p=none"`) }, check: "domain", level: doctor.Failed, seen: "2 DMARC records", cure: "into one record"},
		"CAA forbids":   {plant: func(w *world) { w.zones.Remove(mx, "CAA"); w.add(zone, `@ CAA 0 issue "other.example"`) }, check: "domain", level: doctor.Failed, seen: "do not let letsencrypt.org", cure: `CAA 0 issue "letsencrypt.org"`},
		"CAA of nobody": {plant: func(w *world) { w.zones.Remove(mx, "CAA"); w.add(zone, `mx CAA 0 issue ";"`) }, check: "domain", level: doctor.Failed, seen: "do not let", cure: "CAA"},
		"domain silent": {plant: func(w *world) { w.zones.Fail(dnstest.Failure{Name: zone, Type: "MX", RCode: "SERVFAIL"}) }, check: "domain", level: doctor.Warning, seen: "could not be seen", cure: "again"},
		"no domain":     {plant: func(w *world) { w.subject.Domains = nil }, check: "domain", level: doctor.Warning, seen: "no domain is hosted here", cure: "again"},
		// the server
		"fault in the configuration": {plant: func(w *world) { w.files.Faults = []string{"waxwing.toml:3: hostnam: unknown key"} }, check: "files", level: doctor.Failed, seen: "unknown key", cure: "config check"},
		"no data directory":          {plant: func(w *world) { w.files.Owner = "" }, check: "files", level: doctor.Failed, seen: "is not there", cure: "mounted"},
		"no store":                   {plant: func(w *world) { w.files.Store = false }, check: "files", level: doctor.Failed, seen: "no store", cure: "store init"},
		"data are root's":            {plant: func(w *world) { w.files.Owner = "root" }, check: "files", level: doctor.Warning, seen: "belongs to root", cure: "chown -R waxwing:"},
		"data open":                  {plant: func(w *world) { w.files.Open = true }, check: "files", level: doctor.Warning, seen: "everybody may look", cure: "chmod 700"},
		"milter, defer":              {plant: func(w *world) { w.subject.Milters = milter("defer") }, check: "milters", level: doctor.Failed, seen: "the milter av does not answer: refused", cure: "/run/av"},
		"milter, accept":             {plant: func(w *world) { w.subject.Milters = milter("accept") }, check: "milters", level: doctor.Warning, seen: "the milter av does not answer: refused", cure: "/run/av"},
		"server does not run":        {plant: func(w *world) { w.server.Runs = false; clear(w.listen) }, check: "server", level: doctor.Failed, seen: "does not run", cure: "systemctl start"},
		"server may not be asked":    {plant: func(w *world) { w.server.Err = "permission denied" }, check: "server", level: doctor.Warning, seen: "permission denied", cure: "as root"},
		"server of before":           {plant: func(w *world) { w.server.Version = "0" }, check: "server", level: doctor.Warning, seen: "version 0, this program 1", cure: "restart"},
		"listener dead":              {plant: func(w *world) { delete(w.hosts, "127.0.0.1:587") }, check: "server", level: doctor.Failed, seen: "submission at 127.0.0.1:587 does not answer", cure: "journalctl"},
		"listener hangs":             {plant: func(w *world) { w.hosts["127.0.0.1:25"].silent = true; w.hurry() }, check: "server", level: doctor.Failed, seen: "no answer", cure: "journalctl"},
		"listener turns away":        {plant: func(w *world) { w.hosts["127.0.0.1:25"].greeting = "421 busy" }, check: "server", level: doctor.Failed, seen: "421 busy", cure: "journalctl"},
		"no STARTTLS":                {plant: func(w *world) { w.hosts["127.0.0.1:25"].plain = true }, check: "server", level: doctor.Failed, seen: "offers no TLS", cure: "dns check"},
		"certificate expired":        {plant: func(w *world) { w.cert("mx.example.org", -1) }, check: "server", level: doctor.Failed, seen: "ended on 2026-11-28", cure: "certificate"},
		"certificate ends soon":      {plant: func(w *world) { w.cert("mx.example.org", 5) }, check: "server", level: doctor.Warning, seen: "ends on 2026-12-04", cure: "certificate"},
		"certificate of another":     {plant: func(w *world) { w.cert("www.example.org", 60) }, check: "server", level: doctor.Failed, seen: "another name", cure: "certificate"},
		"certificate of nobody":      {plant: func(w *world) { w.ca = newCA(w.t); w.cert("mx.example.org", 60) }, check: "server", level: doctor.Warning, seen: "signed by no authority", cure: "[tls]"},
	}
}

// TestFaults (SET-2): each planted fault is found by the check that looks for it, with its
// level and its cure, and no other check cries.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, f := range faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			f.plant(w)
			hit := false
			for _, got := range w.run() {
				switch {
				case got.Level == doctor.OK:
				case got.Check == f.check && got.Level == f.level && strings.Contains(got.Seen, f.seen) && strings.Contains(got.Cure, f.cure):
					hit = true
				case got.Check != f.check && !strings.Contains(f.also, got.Check):
					t.Errorf("also: %+v", got)
				}
			}
			if !hit {
				t.Errorf("not found; found was %+v", w.run())
			}
		})
	}
}

func noResolver(context.Context) dns.SelfTestResult {
	return dns.SelfTestResult{Servers: []dns.ServerTest{{Server: dns.Server{Addr: "127.0.0.1:53", Trusted: true}, Signed: "no answer for the signed name"}}}
}

func (w *world) add(zone string, records ...string) {
	if err := w.zones.Add(zone, records...); err != nil {
		w.t.Fatal(err)
	}
}

// distrust has the resolver be one that nobody vouches for.
func (w *world) distrust() {
	c := &dns.Client{Servers: []dns.Server{{Addr: w.zones.Addr()}}, Timeout: 2 * time.Second, Attempts: 1}
	o := machine.World(c, dns.SelfTestNames{Signed: dns.MustParse("signed.test")})
	w.out.DNS, w.out.SelfTest = o.DNS, o.SelfTest
}

func (w *world) own(addrs ...string) {
	w.out.Interfaces = func() (out []netip.Addr, _ error) {
		for _, a := range addrs {
			out = append(out, netip.MustParseAddr(a))
		}
		return out, nil
	}
}

func (w *world) ptr(to string) {
	w.zones.Remove("1.1.9.5.in-addr.arpa", "PTR")
	w.add("in-addr.arpa", "1.1.9.5 PTR "+to)
}

// refuse has every list say that it answers nobody who asks in this way.
func (w *world) refuse() {
	w.own(v4.String())
	for _, list := range []string{"zen.spamhaus.org", "bl.spamcop.net", "b.barracudacentral.org"} {
		w.add(list, "1.1.9.5 A 127.255.255.254")
	}
	w.zones.Remove("mx.example.org", "AAAA")
}

// lie has a resolver answer for names that are not there, as some providers' do.
func (w *world) lie() {
	w.own(v4.String())
	for _, list := range []string{"zen.spamhaus.org", "bl.spamcop.net", "b.barracudacentral.org"} {
		w.add(list, "1.1.9.5 A 62.138.0.1")
	}
	w.zones.Remove("mx.example.org", "AAAA")
}

// cert gives the server's listeners another certificate.
func (w *world) cert(name string, days int) {
	c := w.ca.issue(w.t, name, w.now.AddDate(0, 0, days))
	for at, h := range w.hosts {
		if at != gmail {
			h.cert = c
		}
	}
}

// hurry has connections give up soon.
func (w *world) hurry() {
	dial := w.out.Dial
	w.out.Dial = func(ctx context.Context, network, address string) (c netConn, err error) {
		c, err = dial(ctx, network, address)
		if err == nil {
			c = impatient{c}
		}
		return c, err
	}
}
