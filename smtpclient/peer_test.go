package smtpclient_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"waxwing/smtpclient"
)

// backend keeps what a go-smtp server took.
type backend struct {
	mu   sync.Mutex
	mail []taken
}

type taken struct {
	from string
	size int64
	to   []string
	data []byte
}

func (b *backend) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return &session{b: b}, nil }

type session struct {
	b *backend
	m taken
}

func (s *session) Mail(from string, o *gosmtp.MailOptions) error {
	s.m = taken{from: from, size: o.Size}
	return nil
}

func (s *session) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if strings.HasPrefix(to, "no") {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "nobody"}
	}
	s.m.to = append(s.m.to, to)
	return nil
}

func (s *session) Data(r io.Reader) (err error) {
	if s.m.data, err = io.ReadAll(r); err != nil {
		return err
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.mail = append(s.b.mail, s.m)
	return nil
}

// last is the last message's data.
func (b *backend) last() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.mail) == 0 {
		return ""
	}
	return string(b.mail[len(b.mail)-1].data)
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"b.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func goSMTP(t *testing.T) (*backend, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{}
	srv := gosmtp.NewServer(b)
	srv.Domain, srv.TLSConfig = "b.test", &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return b, l.Addr().String()
}

// Another implementation takes what this one sends, in plaintext and over TLS.
func TestGoSMTP(t *testing.T) {
	t.Parallel()
	b, addr := goSMTP(t)
	for _, secure := range []bool{false, true} {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c := smtpclient.New(nc, smtpclient.Options{HELO: "client.test"})
		ctx := context.Background()
		if _, err := c.Greeting(ctx); err != nil {
			t.Fatal(err)
		}
		if err := c.Hello(ctx); err != nil {
			t.Fatal(err)
		}
		if secure {
			if err := c.StartTLS(ctx, &tls.Config{InsecureSkipVerify: true}); err != nil {
				t.Fatal(err)
			}
			if c.Extensions().Pipelining || c.HelloReply() != nil {
				t.Error("what was learnt before TLS is still known (RFC 3207 §4.2)")
			}
			if err := c.Hello(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if _, on := c.TLSState(); on != secure || !c.Extensions().Pipelining || c.Extensions().StartTLS == secure {
			t.Errorf("TLS %v, offers %+v", on, c.Extensions())
		}
		for range 2 {
			exchangeWith(t, ctx, c)
		}
		if err := c.Quit(ctx); err != nil {
			t.Error(err)
		}
	}
	if len(b.mail) != 4 {
		t.Errorf("the peer took %d messages, want 4", len(b.mail))
	}
	for _, m := range b.mail {
		if m.from != "from@a.test" || len(m.to) != 120 || !bytes.Equal(m.data, body) || m.size != int64(len(body)) {
			t.Errorf("the peer took a message of %d octets from %q for %d", len(m.data), m.from, len(m.to))
		}
	}
}

var body = bytes.Repeat([]byte("..\r\n.\r\n\r\nline of text\r\n"), 20000)

func exchangeWith(t *testing.T, ctx context.Context, c *smtpclient.Conn) {
	t.Helper()
	tr := smtpclient.Transaction{
		Mail: smtpclient.MailOptions{From: "from@a.test", Size: int64(len(body))}, Body: bytes.NewReader(body), Size: int64(len(body)),
	}
	for i := range 121 { // more than one window of pipelined commands
		to := "yes@b.test"
		if i == 60 {
			to = "no@b.test"
		}
		tr.Rcpts = append(tr.Rcpts, smtpclient.RcptOptions{To: to})
	}
	res, err := c.Transaction(ctx, tr)
	if err != nil {
		t.Fatal(err)
	}
	for i := range tr.Rcpts {
		if res.Accepted(i) != (i != 60) {
			t.Errorf("recipient %d: %v, data %v", i, res.Rcpts[i], res.Data)
		}
	}
}

// pair is a TCP connection with both its ends; unlike a net.Pipe it has buffers.
func pair(t *testing.T) (here, there net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if here, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if there, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return here, there
}

// startTLS runs a peer that offers STARTTLS and then does as told.
func startTLS(t *testing.T, reply string, then func(nc net.Conn)) error {
	t.Helper()
	here, there := pair(t)
	go func() {
		defer there.Close()
		there.SetDeadline(time.Now().Add(2 * time.Minute))
		buf := make([]byte, 1000)
		io.WriteString(there, "220 hi\r\n")
		there.Read(buf)
		io.WriteString(there, "250-hi\r\n250 STARTTLS\r\n")
		there.Read(buf)
		io.WriteString(there, reply)
		then(there)
	}()
	c := smtpclient.New(here, smtpclient.Options{HELO: "client.test", Timeouts: smtpclient.Timeouts{StartTLS: time.Second}})
	defer c.Close()
	ctx := context.Background()
	if _, err := c.Greeting(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Hello(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.StartTLS(ctx, &tls.Config{InsecureSkipVerify: true}); err != nil {
		return err
	}
	return c.Hello(ctx)
}

func TestStartTLSErrors(t *testing.T) {
	t.Parallel()
	var hs *smtpclient.HandshakeError
	var refused *smtpclient.StartTLSReplyError
	err := startTLS(t, "220 go\r\n250 injected\r\n", func(net.Conn) {})
	if !errors.As(err, &hs) || !errors.Is(err, smtpclient.ErrInjection) {
		t.Errorf("bytes after the reply: %v", err)
	}
	if err := startTLS(t, "454 4.7.0 no\r\n", func(net.Conn) {}); !errors.As(err, &refused) || refused.Reply.Code != 454 {
		t.Errorf("454: %v", err)
	}
	if err := startTLS(t, "220 go\r\n", func(nc net.Conn) { nc.Read(make([]byte, 5000)); io.WriteString(nc, "what? what?\r\n") }); !errors.As(err, &hs) || hs.After {
		t.Errorf("no TLS: %v", err)
	}
	began := time.Now()
	if err := startTLS(t, "220 go\r\n", func(nc net.Conn) { io.Copy(io.Discard, nc) }); !errors.As(err, &hs) || time.Since(began) > 4*time.Second {
		t.Errorf("silence: %v after %v", err, time.Since(began))
	}
	// TLS 1.3: the server refuses when the client believes all is well.
	cert := certificate(t)
	err = startTLS(t, "220 go\r\n", func(nc net.Conn) {
		tc := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert})
		tc.Handshake()
	})
	if !errors.As(err, &hs) || !hs.After {
		t.Fatalf("late alert: %v", err)
	}
	if n, name, ok := hs.Alert(); n != 116 || name != "certificate_required" || !ok {
		t.Errorf("late alert: %d %q %v", n, name, ok)
	}
}
