package smtpserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync/atomic"

	"waxwing/peers"
)

// Wire is the raw connection. crypto/tls does not say which certificate a
// server presented, and tls-server-end-point (RFC 5929 §4) is its hash: so it
// is noted here when the handshake asks for it.
type Wire struct {
	net.Conn
	presented atomic.Pointer[tls.Certificate]
	lane      peers.Lane // of the TLS handshake that is under way; nil: none is
}

// Read leaves the handshake's place on the processors to others while it waits.
func (w *Wire) Read(p []byte) (int, error) {
	if w.lane == nil {
		return w.Conn.Read(p)
	}
	w.lane.Leave()
	defer w.lane.Enter()
	return w.Conn.Read(p)
}

// NewWire is for servers of other protocols that check logins as this one does.
func NewWire(nc net.Conn) *Wire { return &Wire{Conn: nc} }

// Handshake is the server's side of the handshake of tc, which is over w. While it
// computes, it has a place in lane.
func (w *Wire) Handshake(ctx context.Context, tc *tls.Conn, lane peers.Lane) error {
	lane.Enter()
	w.lane = lane
	defer func() {
		w.lane = nil
		lane.Leave()
	}()
	return tc.HandshakeContext(ctx)
}

// Presented is the certificate that the handshake showed; nil where that is not known.
func (w *Wire) Presented() *x509.Certificate {
	c := w.presented.Load()
	switch {
	case c == nil:
		return nil
	case c.Leaf != nil:
		return c.Leaf
	case len(c.Certificate) == 0:
		return nil
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}

// Noting returns a copy of cfg that notes the certificate chosen. A config that
// GetConfigForClient gives instead is not covered.
func Noting(cfg *tls.Config) *tls.Config {
	n := cfg.Clone()
	n.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := choose(cfg, hello)
		if w, ok := hello.Conn.(*Wire); ok && err == nil {
			w.presented.Store(cert)
		}
		return cert, err
	}
	// With one certificate and no GetCertificate crypto/tls would not ask.
	n.Certificates = nil
	return n
}

// choose is what crypto/tls does with cfg.
func choose(cfg *tls.Config, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if cfg.GetCertificate != nil && (len(cfg.Certificates) == 0 || hello.ServerName != "") {
		if cert, err := cfg.GetCertificate(hello); cert != nil || err != nil {
			return cert, err
		}
	}
	if len(cfg.Certificates) == 0 {
		return nil, errors.New("no certificate is configured")
	}
	for i := range cfg.Certificates {
		if hello.SupportsCertificate(&cfg.Certificates[i]) == nil {
			return &cfg.Certificates[i], nil
		}
	}
	return &cfg.Certificates[0], nil
}
