package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"waxwing/internal/sound"
)

// ALPN is the protocol in which an authority asks for the proof of tls-alpn-01
// (RFC 8737 §6.2).
const ALPN = "acme-tls/1"

// Book is the certificates that the server shows: of the host, and of further names.
// An unknown or absent name gets the host's (CRT-2). It is safe for concurrent use.
type Book struct {
	// Host, where set, is asked for the host's certificate instead: that of files.
	Host func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Proof answers an authority that asks for tls-alpn-01; nil: nobody does.
	Proof func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	pages atomic.Pointer[pages]
}

type pages struct {
	host  []*tls.Certificate // in the order of preference
	names map[string]*tls.Certificate
}

// Set replaces all certificates.
func (b *Book) Set(host []*tls.Certificate, names map[string]*tls.Certificate) {
	b.pages.Store(&pages{host, names})
}

// Get is for tls.Config.GetCertificate.
func (b *Book) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if b.Proof != nil && len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == ALPN {
		return b.Proof(hello)
	}
	p := b.pages.Load()
	if p != nil {
		if c := p.names[strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))]; c != nil && hello.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	if b.Host != nil {
		return b.Host(hello)
	}
	if p == nil || len(p.host) == 0 {
		return nil, errors.New("this server has no key to show a certificate for")
	}
	for _, c := range p.host {
		if hello.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	return p.host[0], nil
}

// Hosts are the host's certificates of Set.
func (b *Book) Hosts() []*tls.Certificate {
	if p := b.pages.Load(); p != nil {
		return p.host
	}
	return nil
}

// Pair is a chain with its key, to be shown.
func Pair(chain []*x509.Certificate, key crypto.Signer) (*tls.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("no certificate")
	}
	if k, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(chain[0].PublicKey) {
		return nil, errors.New("the certificate is for another key")
	}
	c := &tls.Certificate{PrivateKey: key, Leaf: chain[0], SupportedSignatureAlgorithms: sound.Signatures()}
	for _, x := range chain {
		c.Certificate = append(c.Certificate, x.Raw)
	}
	return c, nil
}

// SelfSigned is a certificate of a key by itself: for the time until an authority has
// issued one. DANE needs no other (RFC 7672 §3.1.1).
func SelfSigned(name string, key crypto.Signer, now time.Time) (*tls.Certificate, error) {
	t := template(now, name)
	t.DNSNames, t.BasicConstraintsValid = []string{name}, true
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("a certificate of the host's key by itself: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return Pair([]*x509.Certificate{leaf}, key)
}
