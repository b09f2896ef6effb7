package dns_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
)

// tlsServer is a resolver over TLS with one answer.
type tlsServer struct {
	addr        string
	roots       *x509.CertPool
	pin         []byte
	connections atomic.Int32
	questions   atomic.Int32
	sizes       atomic.Int32 // of questions that are no multiple of the block
	close       atomic.Bool  // after each answer
}

func startTLS(t *testing.T) *tlsServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dns.test"}, DNSNames: []string{"dns.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &tlsServer{addr: l.Addr().String(), roots: x509.NewCertPool(), pin: sum[:]}
	s.roots.AddCert(cert)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(nc)
		}
	}()
	return s
}

func (s *tlsServer) serve(nc net.Conn) {
	defer nc.Close()
	s.connections.Add(1)
	conn := &wire.Conn{Conn: nc}
	for {
		size := make([]byte, 2)
		if _, err := io.ReadFull(nc, size); err != nil {
			return
		}
		b := make([]byte, int(size[0])<<8|int(size[1]))
		if _, err := io.ReadFull(nc, b); err != nil {
			return
		}
		q := new(wire.Msg)
		if q.Unpack(b) != nil {
			return
		}
		s.questions.Add(1)
		if len(b)%128 != 0 {
			s.sizes.Add(1)
		}
		r := new(wire.Msg)
		r.SetReply(q)
		r.AuthenticatedData = true
		rr, _ := wire.NewRR(q.Question[0].Name + " 0 IN A 127.0.0.9")
		r.Answer = []wire.RR{rr}
		if conn.WriteMsg(r) != nil || s.close.Load() {
			return
		}
	}
}

func (s *tlsServer) client(t *dns.TLS) *dns.Client {
	return &dns.Client{Servers: []dns.Server{{Addr: s.addr, Trusted: true, TLS: t}}, Attempts: 1}
}

// VAL-12: questions over TLS share a connection, are padded, and go to nobody but the server that is meant.
func TestOverTLS(t *testing.T) {
	t.Parallel()
	s := startTLS(t)
	name := dns.MustParse("a.test")
	c := s.client(&dns.TLS{Name: "dns.test", Roots: s.roots})
	for range 5 {
		if a, err := c.LookupA(t.Context(), name); err != nil || a.Security != dns.Secure || len(a.Records) != 1 {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	if n, q := s.connections.Load(), s.questions.Load(); n != 1 || q != 5 || s.sizes.Load() != 0 {
		t.Errorf("%d connections, %d questions, %d of them not padded", n, q, s.sizes.Load())
	}
	// A connection that the server closes is made again, without a failure.
	s.close.Store(true)
	for range 3 {
		if _, err := c.LookupA(t.Context(), name); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Millisecond) // the server's end comes through
	}
	for what, who := range map[string]*dns.TLS{
		"the address": {Roots: s.roots}, "a pin": {Pins: [][]byte{bytes.Repeat([]byte{1}, 32), s.pin}},
	} {
		if _, err := s.client(who).LookupA(t.Context(), name); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	asked := s.questions.Load()
	for what, who := range map[string]*dns.TLS{
		"another name": {Name: "other.test", Roots: s.roots}, "another pin": {Pins: [][]byte{bytes.Repeat([]byte{1}, 32)}}, "the system's roots": {Name: "dns.test"},
	} {
		if a, err := s.client(who).LookupA(t.Context(), name); err == nil {
			t.Errorf("%s: %+v", what, a)
		}
	}
	if s.questions.Load() != asked {
		t.Error("a server that is not the one meant was told a question")
	}
}

// VAL-12: how a resolver is written.
func TestParseServer(t *testing.T) {
	t.Parallel()
	pin := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	for in, want := range map[string]string{
		"127.0.0.1": "127.0.0.1:53", "[::1]": "[::1]:53", "::1": "[::1]:53", "192.0.2.1:5353": "192.0.2.1:5353",
		"tls://9.9.9.9": "9.9.9.9:853 tls", "tls://9.9.9.9#dns.quad9.net": "9.9.9.9:853 tls dns.quad9.net", "tls://[2620:fe::fe]:8853": "[2620:fe::fe]:8853 tls",
		"tls://192.0.2.1#sha256/" + pin + ",sha256/" + pin: "192.0.2.1:853 tls 2 pins",
	} {
		s, err := dns.ParseServer(in)
		got := s.Addr
		if s.TLS != nil {
			got += strings.TrimRight(" tls "+s.TLS.Name, " ")
			if n := len(s.TLS.Pins); n > 0 {
				got += " " + string(rune('0'+n)) + " pins"
			}
		}
		if err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "dns.quad9.net", "tls://dns.quad9.net", "tls://9.9.9.9#sha256/AAAA", "tls://9.9.9.9#no name", "https://9.9.9.9"} {
		if s, err := dns.ParseServer(bad); err == nil {
			t.Errorf("%q is %+v", bad, s)
		}
	}
}
