package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"waxwing/smtp"
	"waxwing/smtpserver"
)

// MXSpec says how a mail host behaves.
type MXSpec struct {
	Hostname   string                             // for its greeting
	Cert       tls.Certificate                    // zero: no STARTTLS
	StartTLS   *smtp.Reply                        // the answer to STARTTLS instead of 220
	BrokenTLS  bool                               // 220 to STARTTLS, then garbage instead of a handshake
	RequireTLS bool                               // offers REQUIRETLS
	Command    func(verb, arg string) *smtp.Reply // answers instead of the host; nil: none
}

// Received is a message that a mail host took.
type Received struct {
	From       string
	To         []string
	Data       []byte
	TLS        bool
	RequireTLS bool
}

// MX is a running mail host. Methods are safe for concurrent use.
type MX struct {
	Addr netip.Addr
	Spec MXSpec

	mu   sync.Mutex
	got  []Received
	tls  int // handshakes that succeeded
	seen int // connections
	stop func()
}

// StartMX starts a host at a fresh address, port 25.
func (n *Network) StartMX(ctx context.Context, spec MXSpec) (*MX, error) {
	m := &MX{Addr: n.Addr(), Spec: spec}
	l, err := n.Listen(netip.AddrPortFrom(m.Addr, 25))
	if err != nil {
		return nil, err
	}
	srv := &smtpserver.Server{
		Hostname: spec.Hostname, Backend: mxBackend{m},
		Offer:    smtpserver.Offer{RequireTLS: spec.RequireTLS},
		Timeouts: smtpserver.Timeouts{Drain: time.Millisecond},
		Hooks:    smtpserver.Hooks{Command: m.command},
		Trace: smtpserver.Trace{
			Connected: func(netip.Addr, string) { m.count(&m.seen) },
			TLS: func(_ netip.Addr, _ *tls.ConnectionState, err error) {
				if err == nil {
					m.count(&m.tls)
				}
			},
		},
	}
	if len(spec.Cert.Certificate) > 0 || spec.BrokenTLS || spec.StartTLS != nil {
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{spec.Cert}, MinVersion: tls.VersionTLS12}
	}
	if spec.BrokenTLS {
		srv.Hooks.TLS = garbage
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(ctx, l)
	}()
	m.stop = func() { cancel(); <-done }
	return m, nil
}

// Close stops the host.
func (m *MX) Close() { m.stop() }

func (m *MX) count(n *int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*n++
}

// Received is what the host took so far.
func (m *MX) Received() []Received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Received(nil), m.got...)
}

// Connections and handshakes so far.
func (m *MX) Connections() (all, withTLS int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen, m.tls
}

func (m *MX) command(_ smtpserver.Conn, verb, arg string) *smtp.Reply {
	if m.Spec.Command != nil {
		if r := m.Spec.Command(verb, arg); r != nil {
			return r
		}
	}
	if verb == "STARTTLS" && m.Spec.StartTLS != nil {
		return m.Spec.StartTLS
	}
	return nil
}

// garbage stands for a TLS stack that is broken.
func garbage(_ context.Context, nc net.Conn) (*tls.Conn, error) {
	nc.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := nc.Read(make([]byte, 1)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(nc, "this is no TLS record\r\n"); err != nil {
		return nil, err
	}
	return nil, errors.New("broken on purpose")
}

type mxBackend struct{ m *MX }

func (b mxBackend) NewSession(_ context.Context, conn smtpserver.Conn) (smtpserver.Session, error) {
	return &mxSession{m: b.m, conn: conn}, nil
}

type mxSession struct {
	m    *MX
	conn smtpserver.Conn
	msg  Received
}

func (s *mxSession) Mail(_ context.Context, p smtp.MailParams) error {
	s.msg = Received{From: p.From.String(), TLS: s.conn.TLS() != nil, RequireTLS: p.RequireTLS}
	return nil
}

func (s *mxSession) Rcpt(_ context.Context, p smtp.RcptParams) error {
	if strings.HasPrefix(p.To.Local, "nobody") {
		return smtp.NewReply(550, smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}, "nobody of that name lives here")
	}
	s.msg.To = append(s.msg.To, p.To.String())
	return nil
}

func (s *mxSession) Data(_ context.Context, r io.Reader) (*smtp.Reply, error) {
	var b bytes.Buffer
	if _, err := io.Copy(&b, r); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	s.msg.Data = b.Bytes()
	s.m.mu.Lock()
	s.m.got = append(s.m.got, s.msg)
	s.m.mu.Unlock()
	return smtp.NewReply(250, smtp.Enhanced{Class: 2, Subject: 0, Detail: 0}, "taken by the lab"), nil
}

func (s *mxSession) Reset() { s.msg = Received{} }
func (s *mxSession) Close() {}
