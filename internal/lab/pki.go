package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// Authority is a certificate authority of the lab.
type Authority struct {
	Cert *x509.Certificate
	key  crypto.Signer
	up   *Authority // who signed it; nil for a root
}

// NewRoot makes a self-signed authority that is valid around now.
func NewRoot(name string, now time.Time) (*Authority, error) {
	return newAuthority(name, now, nil)
}

// Intermediate makes an authority below a.
func (a *Authority) Intermediate(name string, now time.Time) (*Authority, error) {
	return newAuthority(name, now, a)
}

func newAuthority(name string, now time.Time, up *Authority) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-48 * time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	parent, signer := tmpl, crypto.Signer(key)
	if up != nil {
		parent, signer = up.Cert, up.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("lab authority %q: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{Cert: cert, key: key, up: up}, nil
}

// Pool is a trust store that holds a alone.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.Cert)
	return p
}

// Leaf issues a server certificate for names, valid from begin to end. The
// chain holds the intermediates and, for a DANE-TA story, may hold the root too.
func (a *Authority) Leaf(begin, end time.Time, names ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	return a.LeafFor(key, begin, end, names...)
}

// LeafFor is Leaf for a key that is there.
func (a *Authority) LeafFor(key crypto.Signer, begin, end time.Time, names ...string) (tls.Certificate, error) {
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: begin, NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.Cert, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("lab certificate for %v: %w", names, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	chain := [][]byte{der}
	for up := a; up.up != nil; up = up.up {
		chain = append(chain, up.Cert.Raw)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, nil
}

// SelfSigned makes a certificate that nobody vouches for.
func SelfSigned(now time.Time, names ...string) (tls.Certificate, error) {
	a, err := newAuthority(names[0], now, nil)
	if err != nil {
		return tls.Certificate{}, err
	}
	return a.Leaf(now.Add(-time.Hour), now.AddDate(0, 6, 0), names...)
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail on any system Go runs on
	}
	return n
}
