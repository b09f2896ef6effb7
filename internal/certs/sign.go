package certs

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"waxwing/cms"
)

// ErrNoAuthority: there is no certificate that anybody but the host vouches for.
var ErrNoAuthority = errors.New("the host has no certificate of an authority")

// Sign signs content with the host's certificate, as CMS that has the content in it.
// ErrNoAuthority where that would prove nothing: the host's key alone vouches for itself.
func (b *Book) Sign(content []byte, at time.Time) ([]byte, error) {
	for _, c := range b.own() {
		key, ok := c.PrivateKey.(crypto.Signer)
		chain, err := chainOf(c)
		if !ok || err != nil || bytes.Equal(chain[0].RawIssuer, chain[0].RawSubject) {
			continue
		}
		if signed, err := cms.Sign(content, chain, key, at); err == nil {
			return signed, nil
		}
	}
	return nil, ErrNoAuthority
}

// own are the host's certificates, those of files or of Set.
func (b *Book) own() []*tls.Certificate {
	if b.Host == nil {
		return b.Hosts()
	}
	c, err := b.Host(nil)
	if err != nil {
		return nil
	}
	return []*tls.Certificate{c}
}

func chainOf(c *tls.Certificate) (chain []*x509.Certificate, err error) {
	for _, der := range c.Certificate {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, x)
	}
	if len(chain) == 0 {
		return nil, errors.New("no certificate")
	}
	return chain, nil
}
