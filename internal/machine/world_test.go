package machine_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
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

// world is a machine and the world around it in which all is well, until a test plants a
// fault.
type world struct {
	t       *testing.T
	zones   *dnstest.Server
	subject machine.Subject
	out     *machine.Outside
	now     time.Time

	files  doctor.Files
	server doctor.Server
	disk   doctor.Disk
	clock  doctor.Clock
	text   map[string]string // files of the system
	listen map[string]error  // by address: what listening comes to; nil: the port is free
	hosts  map[string]*host  // by address: what answers
	ca     *ca
}

// host is what answers at an address.
type host struct {
	greeting string
	silent   bool // it never says anything
	plain    bool // it has no STARTTLS
	implicit bool // TLS from the start
	cert     tls.Certificate
}

var (
	v4 = netip.MustParseAddr("5.9.1.1")
	v6 = netip.MustParseAddr("2a01:4f8::1")
)

const gmail = "142.250.1.26:25"

func newWorld(t *testing.T) *world {
	t.Helper()
	back := func(a netip.Addr) string {
		n, err := dns.ReverseName(a)
		if err != nil {
			t.Fatal(err)
		}
		return n.ASCII() + "."
	}
	zones, err := dnstest.Start(
		dnstest.Zone{Name: "example.org", Security: dns.Secure, Records: []string{"@ MX 10 mx", "mx A " + v4.String(), "mx AAAA " + v6.String(),
			`@ TXT "v=spf1 mx -all"`, `_dmarc TXT "v=DMARC1; p=reject"`, `mx CAA 0 issue "letsencrypt.org"`, "old A " + v4.String()}},
		dnstest.Zone{Name: "in-addr.arpa", Security: dns.Insecure, Records: []string{back(v4) + " PTR mx.example.org."}},
		dnstest.Zone{Name: "ip6.arpa", Security: dns.Insecure, Records: []string{back(v6) + " PTR mx.example.org."}},
		dnstest.Zone{Name: "gmail.com", Security: dns.Insecure, Records: []string{"@ MX 5 mx", "mx A " + strings.TrimSuffix(gmail, ":25")}},
		dnstest.Zone{Name: "zen.spamhaus.org", Security: dns.Insecure}, dnstest.Zone{Name: "bl.spamcop.net", Security: dns.Insecure},
		dnstest.Zone{Name: "b.barracudacentral.org", Security: dns.Insecure},
		dnstest.Zone{Name: "signed.test", Security: dns.Secure, Records: []string{"@ A 127.0.0.1", "@ DNSKEY 257 3 8 AwEAAag="}},
		dnstest.Zone{Name: "bogus.test", Security: dns.Bogus, Records: []string{"@ A 127.0.0.1"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(zones.Close)
	w := &world{t: t, zones: zones, now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), ca: newCA(t),
		disk:   doctor.Disk{Type: "ext4", Free: 50 << 30, Total: 100 << 30, Files: 1e6, FreeFiles: 9e5},
		files:  doctor.Files{Path: "/etc/waxwing/waxwing.toml", Dir: "/var/lib/waxwing", Owner: "waxwing", Store: true},
		text:   map[string]string{"/etc/hosts": "127.0.0.1 localhost\n# 127.0.1.1 mx.example.org\n", "/proc/meminfo": "MemTotal: 4000000 kB\nMemFree: 1 kB\nMemAvailable: 3000000 kB\n"},
		server: doctor.Server{Runs: true, Version: "1", Program: "1"}, hosts: map[string]*host{}, listen: map[string]error{}}
	w.clock = doctor.Clock{Now: w.now, Known: true, Synced: true}
	w.subject = machine.Subject{Hostname: dns.MustParse("mx.example.org"), Domains: []dns.Name{dns.MustParse("example.org")}, DataDir: "/", Reserve: 1 << 30, CA: "letsencrypt.org",
		Files: func() doctor.Files { return w.files }, Server: func(context.Context) doctor.Server { return w.server }}
	good := w.ca.issue(t, "mx.example.org", w.now.AddDate(0, 0, 60))
	for port, kind := range map[uint16]string{25: "mx", 587: "submission", 465: "submissions", 443: "https"} {
		at := netip.AddrPortFrom(netip.IPv6Unspecified(), port)
		w.subject.Listen = append(w.subject.Listen, machine.Place{Kind: kind, Addr: at})
		w.listen[at.String()] = syscall.EADDRINUSE
		w.hosts[fmt.Sprintf("127.0.0.1:%d", port)] = &host{greeting: "220 mx.example.org ESMTP", implicit: kind == "submissions", cert: good}
	}
	w.hosts[gmail] = &host{greeting: "220 mx.google.com ESMTP"}
	client := &dns.Client{Servers: []dns.Server{{Addr: zones.Addr(), Trusted: true}}, Timeout: 2 * time.Second, Attempts: 1}
	names := dns.SelfTestNames{Signed: dns.MustParse("signed.test"), Bogus: dns.MustParse("bogus.test"), Large: dns.MustParse("signed.test")}
	w.out = machine.World(client, names)
	w.fake()
	return w
}

// fake has everything outside be the world's.
func (w *world) fake() {
	o := w.out
	o.Interfaces = func() ([]netip.Addr, error) { return []netip.Addr{v4, v6, netip.MustParseAddr("10.0.0.1")}, nil }
	o.ReadFile = func(path string) ([]byte, error) {
		text, ok := w.text[path]
		if !ok {
			return nil, errors.New(path + " is not there")
		}
		return []byte(text), nil
	}
	o.Disk = func(dir string) doctor.Disk { w.disk.Dir = dir; return w.disk }
	o.Clock = func() doctor.Clock { return w.clock }
	o.Holder = func(port uint16) string { return map[uint16]string{25: "exim4"}[port] }
	o.Now = func() time.Time { return w.now }
	o.Roots = w.ca.pool
	o.Listen = func(_, address string) (io.Closer, error) {
		return io.NopCloser(nil), w.listen[address]
	}
	o.Dial = func(ctx context.Context, _, address string) (net.Conn, error) {
		h := w.hosts[address]
		if h == nil {
			return nil, syscall.ECONNREFUSED
		}
		ours, theirs := net.Pipe()
		go h.serve(theirs)
		return ours, nil
	}
}

// serve speaks as much SMTP as is asked for.
func (h *host) serve(c net.Conn) {
	defer c.Close()
	conf := &tls.Config{Certificates: []tls.Certificate{h.cert}}
	if h.silent {
		_, _ = io.Copy(io.Discard, c)
		return
	}
	if h.implicit {
		_ = tls.Server(c, conf).Handshake()
		return
	}
	fmt.Fprintf(c, "%s\r\n", h.greeting)
	r := bufio.NewScanner(c)
	for r.Scan() {
		switch {
		case strings.HasPrefix(r.Text(), "EHLO") && h.plain:
			fmt.Fprintf(c, "250 mx.example.org\r\n")
		case strings.HasPrefix(r.Text(), "EHLO"):
			fmt.Fprintf(c, "250-mx.example.org\r\n250-SIZE\r\n250 STARTTLS\r\n")
		case r.Text() == "STARTTLS":
			fmt.Fprintf(c, "220 go ahead\r\n")
			_ = tls.Server(c, conf).Handshake()
			return
		}
	}
}

// ca is an authority.
type ca struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newCA(t *testing.T) *ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c := &ca{key: key, pool: x509.NewCertPool()}
	if c.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	c.pool.AddCert(c.cert)
	return c
}

func (c *ca) issue(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: c.cert.NotBefore, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, c.cert, key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
