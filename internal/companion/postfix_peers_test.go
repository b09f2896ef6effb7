//go:build linux

package companion_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink is the mail hosts: they take everything and remember the TLS reports.
type sink struct {
	mu    sync.Mutex
	about []string
}

func (s *sink) reports() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.about)
	slices.Sort(out)
	return out
}

func (s *sink) listen(t *testing.T, addr string, conf *tls.Config) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.converse(c, conf)
		}
	}()
}

// converse is the SMTP of the recording's hosts.
func (s *sink) converse(c net.Conn, conf *tls.Config) {
	defer func() { c.Close() }()
	buf := []byte{}
	line := func() (string, bool) {
		for {
			if i := bytes.Index(buf, []byte("\r\n")); i >= 0 {
				l := string(buf[:i])
				buf = buf[i+2:]
				return l, true
			}
			b := make([]byte, 4096)
			n, err := c.Read(b)
			if err != nil {
				return "", false
			}
			buf = append(buf, b[:n]...)
		}
	}
	fmt.Fprint(c, "220 sink ESMTP\r\n")
	secure, data := false, false
	for {
		l, ok := line()
		verb, _, _ := strings.Cut(strings.ToUpper(l), " ")
		switch {
		case !ok:
			return
		case data && l == ".":
			data = false
			fmt.Fprint(c, "250 2.0.0 ok\r\n")
		case data:
			if name, value, _ := strings.Cut(l, ":"); strings.EqualFold(name, "TLS-Report-Domain") {
				s.mu.Lock()
				s.about = append(s.about, strings.TrimSpace(value))
				s.mu.Unlock()
			}
		case verb == "EHLO":
			offer := "250-STARTTLS\r\n"
			if secure || conf == nil {
				offer = ""
			}
			fmt.Fprint(c, "250-sink.example\r\n"+offer+"250-PIPELINING\r\n250 SIZE 1000000\r\n")
		case verb == "STARTTLS":
			fmt.Fprint(c, "220 go\r\n")
			c, secure, buf = tls.Server(c, conf), true, nil
		case verb == "DATA":
			data = true
			fmt.Fprint(c, "354 go\r\n")
		case verb == "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "250 2.1.0 ok\r\n")
		}
	}
}

// pki is a certificate authority.
type pki struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newPKI(t *testing.T) *pki {
	key := newKey(t)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &pki{cert, key}
}

func (p *pki) issue(t *testing.T, names ...string) tls.Certificate {
	key := newKey(t)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, p.cert, &key.PublicKey, p.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (p *pki) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw}))
}
