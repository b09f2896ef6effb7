// Package knottest runs a real primary server for tests of what is written into DNS: Knot,
// which signs its zone and takes dynamic updates (RFC 2136) with TSIG, and unbound as the
// resolver that validates. Both listen on loopback addresses.
package knottest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/internal/freeport"
	"waxwing/internal/guard"
	"waxwing/internal/zones"
)

// The TSIG key that may update the zone.
const (
	KeyName = "waxwing"
	Secret  = "c2VjcmV0IG9mIHRoZSB0ZXN0cyBvbmx5"
)

// Zone is the name of the zone.
const Zone = "example.test"

// Primary is a running server with one zone.
type Primary struct {
	Addr     netip.AddrPort // of the primary
	Resolver *dns.Client    // validates

	t    testing.TB
	dir  string
	stop func()
}

// Start runs both until the test ends, with records as lines below the zone's SOA and NS
// records; signed says whether the zone is signed. The test is skipped where Knot or
// unbound is not installed.
func Start(t testing.TB, signed bool, records ...string) *Primary {
	t.Helper()
	for _, program := range []string{"knotd", "keymgr", "unbound"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (packages knot, unbound)", program)
		}
	}
	p := &Primary{Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(freeport.Port(t))), t: t, dir: t.TempDir()}
	p.write("zone/"+Zone+".zone", strings.Join(append([]string{"$TTL 60", "$ORIGIN " + Zone + ".",
		"@ SOA ns hostmaster 1 3600 600 864000 60", "@ NS ns", "ns A " + p.Addr.Addr().String()}, records...), "\n")+"\n")
	p.write("knot.conf", fmt.Sprintf(`server:
    rundir: %[1]q
    listen: %[2]s
log:
  - target: stderr
    any: info
database:
    storage: %[1]q
key:
  - id: %[3]s
    algorithm: hmac-sha256
    secret: %[4]s
acl:
  - id: update
    key: %[3]s
    action: update
policy:
  - id: short
    algorithm: ecdsap256sha256
    single-type-signing: on
zone:
  - domain: %[5]s
    storage: %[6]q
    acl: update
    dnssec-signing: %[7]v
    dnssec-policy: short
    zonefile-load: difference
    zonefile-sync: -1
    journal-content: changes
`, p.dir, at(p.Addr), KeyName, Secret, Zone, filepath.Join(p.dir, "zone"), map[bool]string{true: "on", false: "off"}[signed]))
	p.Run()
	p.Resolver = &dns.Client{Servers: []dns.Server{{Addr: p.validate(signed).String(), Trusted: true}}, Timeout: 5 * time.Second}
	return p
}

// at is an address as Knot and unbound write it.
func at(a netip.AddrPort) string { return fmt.Sprintf("%s@%d", a.Addr(), a.Port()) }

func (p *Primary) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// Run starts the primary, anew after Stop.
func (p *Primary) Run() {
	p.t.Helper()
	p.stop = p.start("knotd", p.Addr, "-c", filepath.Join(p.dir, "knot.conf"))
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if len(p.Records(Zone, "SOA")) > 0 {
			return
		}
	}
	p.t.Fatal("knotd does not serve its zone")
}

// Stop stops the primary.
func (p *Primary) Stop() { p.stop() }

// validate starts the resolver, which has the zone's key as its anchor.
func (p *Primary) validate(signed bool) netip.AddrPort {
	p.t.Helper()
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(freeport.Port(p.t)))
	anchor := ""
	if signed {
		ds, err := exec.Command("keymgr", "-c", filepath.Join(p.dir, "knot.conf"), Zone, "ds").Output()
		if err != nil {
			p.t.Fatalf("keymgr: %v", err)
		}
		p.write("anchor", string(ds))
		anchor = " trust-anchor-file: anchor\n"
	}
	p.write("unbound.conf", fmt.Sprintf(`server:
 interface: %s
 do-ip6: no
 do-not-query-localhost: no
 local-zone: "test." nodefault
 username: ""
 chroot: ""
 directory: %q
 pidfile: unbound.pid
 module-config: "validator iterator"
 cache-max-ttl: 0
 cache-max-negative-ttl: 0
 use-syslog: no
 num-threads: 1
%sstub-zone:
 name: %q
 stub-addr: %s
remote-control:
 control-enable: no
`, at(addr), p.dir, anchor, Zone+".", at(p.Addr)))
	p.start("unbound", addr, "-d", "-c", filepath.Join(p.dir, "unbound.conf"))
	return addr
}

// output keeps what a server says, up to a bound.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.b.Len() < 1<<20 {
		o.b.Write(b)
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs a program until the test ends or stop is called, and waits until it listens.
func (p *Primary) start(program string, addr netip.AddrPort, args ...string) (stop func()) {
	p.t.Helper()
	said := &output{}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		cmd.Wait()
		if p.t.Failed() {
			p.t.Logf("%s said:\n%s", program, said)
		}
	})
	p.t.Cleanup(stop)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if nc, err := net.Dial("tcp", addr.String()); err == nil {
			nc.Close()
			return stop
		}
	}
	p.t.Fatalf("%s does not listen on %s: %s", program, addr, said)
	return nil
}

// Asker asks the primary as the zone's only server.
func (p *Primary) Asker() *zones.Asker {
	return &zones.Asker{DNS: p.Resolver, Port: p.Addr.Port(), Guard: &guard.Guard{}}
}

// KeyFile is the TSIG key as nsupdate reads it.
func (p *Primary) KeyFile() string {
	p.t.Helper()
	p.write("tsig.key", "hmac-sha256:"+KeyName+":"+Secret+"\n")
	return filepath.Join(p.dir, "tsig.key")
}

// Records are the data of a name's records of a type, as the primary has them, sorted.
func (p *Primary) Records(name, kind string) []string {
	m := new(wire.Msg)
	m.SetQuestion(wire.Fqdn(name), wire.StringToType[kind])
	r, err := wire.Exchange(m, p.Addr.String())
	if err != nil {
		return nil
	}
	var all []string
	for _, rr := range r.Answer {
		if rr.Header().Rrtype == m.Question[0].Qtype {
			all = append(all, zones.Value(rr))
		}
	}
	slices.Sort(all)
	return all
}

// ByHand changes the zone as an operator would, with another tool: records of a name and
// a type are removed, and those given are written, as lines of a zone file.
func (p *Primary) ByHand(name, kind string, lines ...string) {
	p.t.Helper()
	m := new(wire.Msg)
	m.SetUpdate(Zone + ".")
	m.RemoveRRset([]wire.RR{&wire.ANY{Hdr: wire.RR_Header{Name: wire.Fqdn(name), Rrtype: wire.StringToType[kind], Class: wire.ClassANY}}})
	for _, line := range lines {
		rr, err := wire.NewRR(line)
		if err != nil {
			p.t.Fatal(err)
		}
		m.Insert([]wire.RR{rr})
	}
	m.SetTsig(KeyName+".", wire.HmacSHA256, 300, time.Now().Unix())
	c := &wire.Client{Net: "tcp", TsigSecret: map[string]string{KeyName + ".": Secret}}
	r, _, err := c.Exchange(m, p.Addr.String())
	if err != nil || r.Rcode != wire.RcodeSuccess {
		p.t.Fatalf("by hand: %v, %v", r, err)
	}
}
