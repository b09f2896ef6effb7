package dns_test

import (
	"crypto"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/internal/freeport"
)

// signer is an authoritative server for "signed.test", which it signs as it
// answers, and for "plain.test", which it does not. Names under
// bad.signed.test get signatures that are wrong.
type signer struct {
	key     *wire.DNSKEY
	private crypto.Signer
	records map[string][]wire.RR
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	s := &signer{records: make(map[string][]wire.RR)}
	s.key = &wire.DNSKEY{
		Hdr:   wire.RR_Header{Name: "signed.test.", Rrtype: wire.TypeDNSKEY, Class: wire.ClassINET, Ttl: 300},
		Flags: 257, Protocol: 3, Algorithm: wire.ECDSAP256SHA256,
	}
	private, err := s.key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	s.private = private.(crypto.Signer)
	lines := []string{
		"signed.test. 300 IN SOA ns.signed.test. h.signed.test. 1 3600 600 86400 300", "signed.test. 300 IN NS ns.signed.test.",
		"plain.test. 300 IN SOA ns.plain.test. h.plain.test. 1 3600 600 86400 300", "plain.test. 300 IN NS ns.plain.test.",
		"signed.test. 300 IN MX 10 mx.signed.test.", "mx.signed.test. 300 IN A 127.0.0.2", "bad.signed.test. 300 IN A 127.0.0.3",
		"alias.signed.test. 300 IN CNAME mx.plain.test.", "mx.plain.test. 300 IN A 127.0.0.4",
		"_25._tcp.mx.signed.test. 300 IN TLSA 3 1 1 000102",
	}
	for i := range 100 {
		lines = append(lines, fmt.Sprintf("big.signed.test. 300 IN A 127.1.0.%d", i))
	}
	for _, line := range lines {
		rr, err := wire.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		s.records[rr.Header().Name] = append(s.records[rr.Header().Name], rr)
	}
	s.records["signed.test."] = append(s.records["signed.test."], s.key)
	return s
}

// sign returns rrs with their signature.
func (s *signer) sign(rrs []wire.RR, name string) []wire.RR {
	if !wire.IsSubDomain("signed.test.", name) {
		return rrs
	}
	now := uint32(time.Now().Unix())
	sig := &wire.RRSIG{
		Algorithm: s.key.Algorithm, KeyTag: s.key.KeyTag(), SignerName: "signed.test.",
		Inception: now - 3600, Expiration: now + 3600,
	}
	if err := sig.Sign(s.private, rrs); err != nil {
		return nil
	}
	if strings.HasPrefix(name, "bad.") {
		sig.Expiration++
	}
	return append(rrs, sig)
}

func (s *signer) ServeDNS(w wire.ResponseWriter, q *wire.Msg) {
	r := new(wire.Msg).SetReply(q)
	r.Authoritative = true
	name, qtype := strings.ToLower(q.Question[0].Name), q.Question[0].Qtype
	zone := "signed.test."
	if wire.IsSubDomain("plain.test.", name) {
		zone = "plain.test."
	}
	var found []wire.RR
	for _, rr := range s.records[name] {
		if t := rr.Header().Rrtype; t == qtype || t == wire.TypeCNAME {
			found = append(found, rr)
		}
	}
	switch {
	case len(found) > 0:
		r.Answer = s.sign(found, name)
	default:
		soa := s.records[zone][:1]
		r.Ns = s.sign([]wire.RR{soa[0]}, zone)
		if zone == "signed.test." {
			// There is the name, with no other types.
			r.Ns = append(r.Ns, s.sign([]wire.RR{&wire.NSEC{
				Hdr:        wire.RR_Header{Name: name, Rrtype: wire.TypeNSEC, Class: wire.ClassINET, Ttl: 300},
				NextDomain: `\000.` + name, TypeBitMap: []uint16{wire.TypeRRSIG, wire.TypeNSEC},
			}}, name)...)
		}
	}
	if opt := q.IsEdns0(); opt != nil {
		r.SetEdns0(4096, opt.Do())
	}
	if w.RemoteAddr().Network() == "udp" {
		r.Truncate(1232)
	}
	_ = w.WriteMsg(r)
}

// listen serves h on UDP and TCP of a free port.
func listen(t *testing.T, h wire.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", freeport.Addr(t))
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, srv := range []*wire.Server{{Listener: l, Handler: h}, {PacketConn: pc, Handler: h}} {
		up := make(chan struct{})
		srv.NotifyStartedFunc = func() { close(up) }
		go func() { _ = srv.ActivateAndServe() }()
		<-up
		t.Cleanup(func() { _ = srv.Shutdown() })
	}
	return l.Addr().String()
}

// startUnbound runs a real validating resolver over the authoritative server
// at upstream, and returns its address.
func startUnbound(t *testing.T, upstream string, anchor *wire.DS) string {
	t.Helper()
	path, err := exec.LookPath("unbound")
	if err != nil {
		t.Skip("unbound: install it to run this test")
	}
	addr := freeport.Addr(t)
	_, port, _ := net.SplitHostPort(addr)
	upstream = strings.Replace(upstream, ":", "@", 1)
	conf := filepath.Join(t.TempDir(), "unbound.conf")
	text := fmt.Sprintf(`server:
	interface: 127.0.0.1
	port: %s
	chroot: ""
	username: ""
	directory: %q
	pidfile: ""
	use-syslog: no
	do-daemonize: no
	do-ip6: no
	num-threads: 1
	do-not-query-localhost: no
	module-config: "validator iterator"
	trust-anchor: "%s"
	local-zone: "test." nodefault
stub-zone:
	name: "signed.test."
	stub-addr: %s
stub-zone:
	name: "plain.test."
	stub-addr: %s
remote-control:
	control-enable: no
`, port, filepath.Dir(conf), strings.ReplaceAll(anchor.String(), "\t", " "), upstream, upstream)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.Command(path, "-d", "-p", "-c", conf)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	for range 100 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("unbound does not start")
	return ""
}

// TestUnbound: the same states come from a real validating resolver and real
// signatures as from dnstest (DNS-3, DNS-4, DNS-6).
func TestUnbound(t *testing.T) {
	t.Parallel()
	auth := newSigner(t)
	addr := startUnbound(t, listen(t, auth), auth.key.ToDS(wire.SHA256))
	c := &dns.Client{Servers: []dns.Server{{Addr: addr, Trusted: true}}}
	for _, tt := range []struct{ name, want string }{
		{"mx.signed.test", "1 secure"},
		{"signed.test", "0 secure"},
		{"none.signed.test", "0 secure"},
		{"alias.signed.test", "1 insecure"},
		{"mx.plain.test", "1 insecure"},
		{"big.signed.test", "100 secure"},
		{"bad.signed.test", "dns-bogus"},
	} {
		a, err := c.LookupA(t.Context(), dns.MustParse(tt.name))
		got := fmt.Sprint(len(a.Records), " ", a.Security)
		if e, ok := err.(*dns.Error); ok {
			got = string(e.Word())
		}
		if got != tt.want {
			t.Errorf("%s: got %s, %v, want %s", tt.name, got, err, tt.want)
		}
	}
	if a, err := c.LookupCNAME(t.Context(), dns.MustParse("alias.signed.test")); err != nil || a.Security != dns.Secure || len(a.Records) != 1 {
		t.Errorf("alias alone: %+v, %v", a, err)
	}
	if a, err := c.LookupTLSA(t.Context(), dns.MustParse("_25._tcp.mx.signed.test")); err != nil || a.Security != dns.Secure || len(a.Records) != 1 {
		t.Errorf("TLSA: %+v, %v", a, err)
	}
	r := c.SelfTest(t.Context(), dns.SelfTestNames{
		Signed: dns.MustParse("mx.signed.test"), Bogus: dns.MustParse("bad.signed.test"), Large: dns.MustParse("signed.test"),
	})
	if !r.DANE() {
		t.Errorf("self-test: %v", r)
	}
}
