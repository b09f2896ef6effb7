package wire

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"

	"waxwing/internal/config"
	"waxwing/internal/login"
	"waxwing/smtpserver"
)

// Logins is who checks logins at a listener, and its TLS: where client certificates are
// taken (INB-5), that asks for them.
type Logins struct {
	Auth smtpserver.Authenticator
	TLS  *tls.Config

	listen   config.Listen
	external *login.External // nil: no certificates are taken
	client   *clientTLS
}

// NewLogins makes them for a listener with a certificate.
func NewLogins(c config.Listen, checker *login.Checker, conf *tls.Config) (*Logins, error) {
	l := &Logins{Auth: checker, TLS: conf, listen: c}
	if !c.TakesCertificates() {
		return l, nil
	}
	trust, err := clientTrust(c)
	if err != nil {
		return nil, err
	}
	l.external, l.client = login.NewExternal(checker, trust), &clientTLS{base: conf}
	l.client.take(trust)
	l.TLS = conf.Clone()
	l.TLS.GetConfigForClient = l.client.get
	l.Auth = l.external
	return l, nil
}

// Reload reads again whose certificates log in.
func (l *Logins) Reload() error {
	if l.external == nil {
		return nil
	}
	trust, err := clientTrust(l.listen)
	if err != nil {
		return fmt.Errorf("the client certificates stay as they were: %w", err)
	}
	l.external.SetTrust(trust)
	l.client.take(trust)
	return nil
}

// clientTrust reads whose certificates log in at a listener.
func clientTrust(c config.Listen) (login.Trust, error) {
	roots, err := c.ClientRoots()
	if err != nil {
		return login.Trust{}, fmt.Errorf("listen on %s: client_ca: %w", c.Where(), err)
	}
	pinned, err := c.Pinned()
	if err != nil {
		return login.Trust{}, fmt.Errorf("listen on %s: %w", c.Where(), err)
	}
	return login.Trust{Roots: roots, Pinned: pinned}, nil
}

// clientTLS is the TLS of such a listener. Certificates are asked for and not
// demanded, nor verified here: programs show what certificates they have, and then use
// a password.
type clientTLS struct {
	base *tls.Config
	now  atomic.Pointer[tls.Config]
}

func (c *clientTLS) take(t login.Trust) {
	conf := c.base.Clone()
	conf.ClientAuth, conf.ClientCAs = tls.RequestClientCert, t.Roots
	conf.VerifyPeerCertificate = smallChain
	c.now.Store(conf)
}

func (c *clientTLS) get(*tls.ClientHelloInfo) (*tls.Config, error) { return c.now.Load(), nil }

// maxChain is what the certificates that a client shows may have, in octets: they are
// kept as long as the connection. Go's own bound is 256 KiB.
const maxChain = 32 << 10

// smallChain ends the handshake of a client that shows more.
func smallChain(chain [][]byte, _ [][]*x509.Certificate) error {
	size := 0
	for _, c := range chain {
		size += len(c)
	}
	if size > maxChain {
		return fmt.Errorf("the client's certificates have %d octets, %d are allowed", size, maxChain)
	}
	return nil
}
