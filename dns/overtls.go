package dns

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// TLS is how a resolver is reached over TLS (RFC 7858). Its certificate must be for Name,
// or for the server's address where Name is empty; with Pins, its key must be
// among them, and the name does not matter (RFC 7858 §4.2).
type TLS struct {
	Name  string         `json:"name,omitempty"`
	Pins  [][]byte       `json:"pins,omitempty"` // SHA-256 of SubjectPublicKeyInfo
	Roots *x509.CertPool `json:"-"`              // nil: the system's
}

// ParseServer reads a resolver's address: an IP address, with a port if it is not 53;
// or tls:// before one, whose port is 853, with # and the name in its certificate, or
// with #sha256/ and the hash of its key in base64, several after commas.
func ParseServer(s string) (Server, error) {
	rest, overTLS := strings.CutPrefix(s, "tls://")
	port := uint16(53)
	var t *TLS
	if overTLS {
		port, t = 853, &TLS{}
		var who string
		rest, who, _ = strings.Cut(rest, "#")
		if err := t.identify(who); err != nil {
			return Server{}, fmt.Errorf("%q: %w", s, err)
		}
	}
	ap, err := netip.ParseAddrPort(rest)
	if err != nil {
		a, aerr := netip.ParseAddr(strings.Trim(rest, "[]"))
		if aerr != nil {
			return Server{}, fmt.Errorf("%q is no IP address; write \"127.0.0.1\", \"[::1]:53\", \"tls://9.9.9.9#dns.quad9.net\", or \"system\" alone", s)
		}
		ap = netip.AddrPortFrom(a, port)
	}
	if strings.ContainsAny(ap.Addr().Zone(), "[]") {
		return Server{}, fmt.Errorf("%q names a network interface with a bracket", s)
	}
	return Server{Addr: ap.String(), TLS: t}, nil
}

func (t *TLS) identify(who string) error {
	if who == "" {
		return nil
	}
	if !strings.HasPrefix(who, "sha256/") {
		n, err := ParseName(who)
		t.Name = n.ASCII()
		return err
	}
	for _, pin := range strings.Split(who, ",") {
		b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(pin, "sha256/"))
		if err != nil || len(b) != sha256.Size {
			return fmt.Errorf("%q is no SHA-256 of a key in base64", pin)
		}
		t.Pins = append(t.Pins, b)
	}
	return nil
}

// config is what a handshake with the server at addr must fulfil.
func (t *TLS) config(addr string) *tls.Config {
	host, _, _ := net.SplitHostPort(addr)
	c := &tls.Config{ServerName: host, RootCAs: t.Roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"dot"}}
	if t.Name != "" {
		c.ServerName = t.Name
	}
	if len(t.Pins) == 0 {
		return c
	}
	c.InsecureSkipVerify = true // the pins decide
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		// The handshake proves that the server has the key of the first certificate, and of no other.
		sum := sha256.Sum256(cs.PeerCertificates[0].RawSubjectPublicKeyInfo)
		if slices.ContainsFunc(t.Pins, func(pin []byte) bool { return string(pin) == string(sum[:]) }) {
			return nil
		}
		return errors.New("the key of the resolver's certificate is not pinned")
	}
	return c
}

// overTLS asks a server over TLS, on a connection that is open already if there is one. One
// that the server has closed meanwhile is no failure of the server: another is made.
func (c *Client) overTLS(ctx context.Context, s Server, m *wire.Msg, query []byte) (*wire.Msg, error) {
	end := c.deadline(ctx)
	for range 2 {
		conn := c.streams.take(s.Addr)
		if conn == nil {
			break
		}
		if r, err := c.converse(ctx, conn, s.Addr, asked{m, query}); err == nil {
			return r, nil
		} else if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	conn, err := c.handshake(ctx, s, end)
	if err != nil {
		return nil, err
	}
	return c.converse(ctx, conn, s.Addr, asked{m, query})
}

func (c *Client) handshake(ctx context.Context, s Server, end time.Time) (net.Conn, error) {
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	raw, err := dial(ctx, "tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, s.TLS.config(s.Addr))
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS with the resolver: %w", err)
	}
	return conn, nil
}

// asked is a question, and its octets.
type asked struct {
	m      *wire.Msg
	packed []byte
}

// converse asks one question on a connection, and keeps it for further ones if all went well.
func (c *Client) converse(ctx context.Context, conn net.Conn, addr string, q asked) (*wire.Msg, error) {
	_ = conn.SetDeadline(c.deadline(ctx))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	r, err := overTCP(conn, q.m, q.packed)
	if stop() && err == nil {
		c.streams.put(c.Guard, addr, conn)
		return r, nil
	}
	conn.Close()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return r, err
}

// padTo is the block to which questions over TLS are padded (RFC 8467 §4.1).
const padTo = 128

// padded is a question with as many octets as fill the block.
func padded(m *wire.Msg) *wire.Msg {
	opt := m.IsEdns0()
	if opt == nil {
		return m
	}
	m = m.Copy()
	opt = m.IsEdns0()
	pad := &wire.EDNS0_PADDING{}
	opt.Option = append(opt.Option, pad)
	if over := m.Len() % padTo; over != 0 {
		pad.Padding = make([]byte, padTo-over)
	}
	return m
}
