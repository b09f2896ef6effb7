package explain

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"

	"waxwing/dane"
)

// TestNewTLSA: usage 3 speaks of the host's own certificate, usage 2 of an authority's.
func TestNewTLSA(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	make := func(authority bool, names ...string) *x509.Certificate {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(int64(1 + len(names))), DNSNames: names, IsCA: authority, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	leaf, ca, nameless := make(false, "mx.test", "b.test"), make(true), make(false)
	for _, tt := range []struct {
		chain []*x509.Certificate
		c     TLSAChoice
		of    *x509.Certificate
		name  string
		err   string
	}{
		{[]*x509.Certificate{leaf, ca}, TLSAChoice{Usage: 3, Selector: 0, Matching: 1, Port: 25}, leaf, "_25._tcp.mx.test", ""},
		{[]*x509.Certificate{leaf, ca}, TLSAChoice{Usage: 2, Selector: 0, Matching: 1, Port: 465, Host: "c.test"}, ca, "_465._tcp.c.test", ""},
		{[]*x509.Certificate{leaf}, TLSAChoice{Usage: 2, Port: 25}, nil, "", "no certificate of an authority"},
		{[]*x509.Certificate{nameless}, TLSAChoice{Usage: 3, Port: 25}, nil, "", "names no host"},
		{nil, TLSAChoice{Usage: 3, Selector: 1, Matching: 1, Port: 25, Host: "mx.test"}, leaf, "_25._tcp.mx.test", ""}, // its key alone
		{nil, TLSAChoice{Usage: 3, Selector: 1, Matching: 1, Port: 25}, nil, "", "names no host"},
		{nil, TLSAChoice{Usage: 3, Selector: 0, Matching: 1, Port: 25, Host: "mx.test"}, nil, "", "a key alone"},
		{nil, TLSAChoice{Usage: 2, Selector: 1, Matching: 1, Port: 25, Host: "mx.test"}, nil, "", "a key alone"},
	} {
		r, err := NewTLSA(tt.chain, leaf.RawSubjectPublicKeyInfo, tt.c)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%+v: %v", tt.c, err)
			}
			continue
		}
		rr := dane.Generate(tt.of, tt.c.Usage, tt.c.Selector, tt.c.Matching)
		want := rr.String()
		if err != nil || r.Name != tt.name || r.Record != want || r.Line != tt.name+". IN TLSA "+want {
			t.Errorf("%+v: %+v, %v", tt.c, r, err)
		}
	}
}
