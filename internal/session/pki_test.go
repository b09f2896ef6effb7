package session

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"time"
)

// pki is one authority with what the tests need of certificates.
type pki struct {
	root                        *x509.Certificate
	key                         *ecdsa.PrivateKey
	good, expired, wrong, alone tls.Certificate
}

var makePKI = sync.OnceValues(func() (*pki, error) {
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root"}, NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	p := &pki{}
	made, err := p.issue(root, nil)
	if err != nil {
		return nil, err
	}
	p.root, p.key = made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)
	for _, c := range []struct {
		into  *tls.Certificate
		name  string
		end   time.Time
		alone bool
	}{
		{&p.good, mxName, now.Add(24 * time.Hour), false}, {&p.expired, mxName, now.Add(-time.Hour), false},
		{&p.wrong, "other.test", now.Add(24 * time.Hour), false}, {&p.alone, mxName, now.Add(24 * time.Hour), true},
	} {
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: c.name}, DNSNames: []string{c.name}, NotBefore: now.Add(-40 * time.Hour), NotAfter: c.end,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		parent := p.root
		if c.alone {
			parent = nil
		}
		if *c.into, err = p.issue(tmpl, parent); err != nil {
			return nil, err
		}
	}
	return p, nil
})

// issue makes a certificate that parent signs; nil: that signs itself.
func (p *pki) issue(tmpl, parent *x509.Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	signer := p.key
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

func (p *pki) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.root)
	return pool
}
