package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"

	"waxwing/internal/config"
	"waxwing/internal/login"
	"waxwing/smtpserver"
)

// authenticator is who checks logins at a listener; where client certificates are
// taken (INB-5), srv asks for them.
func (f *front) authenticator(c config.Listen, srv *smtpserver.Server) (smtpserver.Authenticator, error) {
	if !c.TakesCertificates() {
		return f.logins, nil
	}
	trust, err := clientTrust(c)
	if err != nil {
		return nil, err
	}
	e := login.NewExternal(f.logins, trust)
	conf := &clientTLS{base: srv.TLS}
	conf.take(trust)
	srv.TLS = srv.TLS.Clone()
	srv.TLS.GetConfigForClient = conf.get
	f.onReload(func() error {
		trust, err := clientTrust(c)
		if err != nil {
			return fmt.Errorf("the client certificates stay as they were: %w", err)
		}
		e.SetTrust(trust)
		conf.take(trust)
		return nil
	})
	return e, nil
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
