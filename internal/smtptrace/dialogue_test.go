package smtptrace

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/peers"
	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpclient"
	"waxwing/smtpserver"
)

// backend takes every message.
type backend struct{}

func (backend) NewSession(context.Context, smtpserver.Conn) (smtpserver.Session, error) {
	return backend{}, nil
}
func (backend) Mail(context.Context, smtp.MailParams) error { return nil }
func (backend) Rcpt(context.Context, smtp.RcptParams) error { return nil }
func (backend) Data(_ context.Context, r io.Reader) (*smtp.Reply, error) {
	_, err := io.Copy(io.Discard, r)
	return smtp.NewReply(250, smtp.Enhanced{Class: 2}, "queued as 1x"), err
}
func (backend) Reset() {}
func (backend) Close() {}

const password = "correct-horse-battery"

// logins offers PLAIN and LOGIN.
type logins struct{}

func (logins) Mechanisms(bool) []string { return []string{"PLAIN", "LOGIN"} }
func (logins) Start(_ context.Context, mech string, _ smtpserver.Conn) (sasl.Server, *smtp.Reply) {
	verify := func(user, pass string) (string, error) {
		if pass != password {
			return "", sasl.ErrFailed
		}
		return user, nil
	}
	if mech == "LOGIN" {
		return sasl.NewLoginServer(verify), nil
	}
	return sasl.NewPlainServer(verify), nil
}

// world is a server with a hub that watches it and its clients.
type world struct {
	hub  *Hub
	addr string
	t    *testing.T
}

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{hub: &Hub{Now: time.Now}, t: t}
	srv := &smtpserver.Server{Hostname: "mx.test", Backend: backend{}, Auth: logins{}, TLS: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		Limits: smtpserver.Limits{LoginFailures: 20, Errors: 100},
		Trace: smtpserver.Trace{Transcript: func(c smtpserver.Conn) smtp.Transcript {
			return w.hub.Transcript(Peer{Listener: "submission", Remote: c.Remote(), Local: c.Local()})
		}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

// client is a connection of ours to the server.
func (w *world) client(host string) *smtpclient.Conn {
	w.t.Helper()
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	return smtpclient.New(nc, smtpclient.Options{HELO: "client.test", Transcript: func(p smtpclient.Peer) smtp.Transcript {
		return w.hub.Transcript(Peer{Outgoing: true, Host: p.Host, Remote: p.Remote, Local: p.Local})
	}, Peer: smtpclient.Peer{Host: host, Remote: peers.AddrPort(nc.RemoteAddr()), Local: peers.AddrPort(nc.LocalAddr())}})
}

// seen is what a watcher got.
type seen struct {
	mu    sync.Mutex
	lines []Line
}

// follow watches until the test ends or stop is called.
func (w *world) follow(f Filter) (s *seen, stop func()) {
	w.t.Helper()
	s = &seen{}
	ctx, cancel := context.WithCancel(context.Background())
	begun, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- w.hub.Follow(ctx, f, func() error { close(begun); return nil }, func(l Line) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.lines = append(s.lines, l)
			return nil
		})
	}()
	<-begun
	return s, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
}

// text is what was seen of one direction, a line each.
func (s *seen) text(direction string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, l := range s.lines {
		if l.Direction == direction {
			fmt.Fprintf(&b, "%d %s: %s\n", l.Connection, l.From, l.Text)
		}
	}
	return b.String()
}

func (s *seen) wait(t *testing.T, direction, want string) string {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !strings.Contains(s.text(direction), want); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%q was not seen:\n%s", want, s.text(direction))
		}
	}
	return s.text(direction)
}

func loopback() Filter { return Filter{Nets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}} }

// TestDialogue (OPS-1): both sides of a session with STARTTLS, a login and messages by DATA and
// by BDAT are shown line by line; no password, in no form, and nothing of the mail.
func TestDialogue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, stop := w.follow(loopback())
	defer stop()
	c, ctx := w.client("mx.test"), t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\n%s", err, s.text("out"))
		}
	}
	_, err := c.Greeting(ctx)
	must(err)
	must(c.Hello(ctx))
	must(c.StartTLS(ctx, &tls.Config{InsecureSkipVerify: true, ServerName: "mx.test"}))
	must(c.Hello(ctx))
	if err := c.Auth(ctx, sasl.NewPlainClient("", "joe", "wrong-"+password)); err == nil {
		t.Error("a wrong password was taken")
	}
	must(c.Auth(ctx, sasl.NewLoginClient("joe", password)))
	secretMail := "Subject: secret-subject\r\n\r\nsecret-body\r\n"
	for _, chunk := range []bool{false, true} {
		_, err = c.Transaction(ctx, smtpclient.Transaction{Mail: smtpclient.MailOptions{From: "joe@a.test"}, Rcpts: []smtpclient.RcptOptions{{To: "you@b.test"}},
			Body: strings.NewReader(secretMail), Size: int64(len(secretMail)), Chunk: chunk})
		must(err)
	}
	must(c.Quit(ctx))
	in, out := s.wait(t, "in", "ended: quit"), s.wait(t, "out", "closed")
	for direction, got := range map[string]string{"in": in, "out": out} {
		at := 0
		for _, want := range []string{
			"connection: connected", "server: 220 mx.test ESMTP", "client: EHLO client.test", "server: 250-mx.test greets client.test", "client: STARTTLS", "server: 220 2.0.0 go ahead",
			`connection: TLS 1.3 TLS_`, `asked for "mx.test"`, "client: EHLO client.test",
			"client: AUTH PLAIN [44 octets]", "server: 535 5.7.8 ", "client: AUTH LOGIN", "server: 334 [", "client: [4 octets]", "server: 334 [", "client: [28 octets]", "server: 235 2.7.0",
			"client: MAIL FROM:<joe@a.test>", "client: RCPT TO:<you@b.test>", "client: DATA", "server: 354 ", "octets of message data]", "server: 250 2.0.0 queued as 1x",
			"client: MAIL FROM:<joe@a.test>", "client: BDAT 40 LAST", "server: 250 2.0.0 queued as 1x", "client: QUIT", "server: 221 2.0.0",
		} {
			if strings.HasPrefix(want, "server: 250 2.0.0 queued") || direction == "in" || !strings.Contains(want, "DATA") {
				i := strings.Index(got[at:], want)
				if i < 0 {
					t.Fatalf("%s: %q does not follow:\n%s", direction, want, got)
				}
				at += i
			}
		}
		mustNotLeak(t, got, password, "wrong-"+password, "joe\x00"+password, "\x00joe\x00wrong-"+password)
		if strings.Contains(got, "secret-") {
			t.Errorf("%s: the mail is shown:\n%s", direction, got)
		}
	}
	if n := fmt.Sprintf("[%d octets of message data]", len(secretMail)+len(".\r\n")); !strings.Contains(in, n) || !strings.Contains(out, n) {
		t.Errorf("%s is missing:\n%s\n%s", n, in, out)
	}
}

// mustNotLeak looks for secrets as they are and in base64, whatever their place in the octets.
func mustNotLeak(t *testing.T, got string, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if strings.Contains(got, s) || strings.Contains(got, base64.StdEncoding.EncodeToString([]byte(s))) {
			t.Errorf("%q is shown:\n%s", s, got)
		}
	}
}

// TestPasswordThatIsNoCommand (OPS-1): what a client says after its AUTH was refused, or in
// AUTH wrongly, is not shown: it may be a password.
func TestPasswordThatIsNoCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, stop := w.follow(loopback())
	defer stop()
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	coded := base64.StdEncoding.EncodeToString([]byte("\x00joe\x00" + password))
	letters := "QWxsTGV0dGVycw" // base64 that looks like a verb
	for _, line := range []string{"", "EHLO client.test", "AUTH CRAM-MD5 " + coded, coded, password, letters, "AUTH " + coded, "AUTH PLAIN " + coded + "!!", "AUTH PLAIN\r\n" + coded, "AUTH LOGIN\r\n*", "QUIT"} {
		if line != "" {
			fmt.Fprintf(nc, "%s\r\n", line)
		}
		for {
			reply, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if reply[3] == ' ' && !strings.HasPrefix(reply, "334") {
				break
			}
		}
	}
	got := s.wait(t, "in", "ended: quit")
	mustNotLeak(t, got, password, coded, letters)
	for _, want := range []string{"client: AUTH [", fmt.Sprintf("client: AUTH PLAIN [%d octets]", len(coded)+2), fmt.Sprintf("client: [%d octets that are no command]", len(password)), "server: 500 "} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing:\n%s", want, got)
		}
	}
}

// TestPeerRepeatsSecret: a host that answers with what it was sent in AUTH shows nothing of it.
func TestPeerRepeatsSecret(t *testing.T) {
	t.Parallel()
	coded := base64.StdEncoding.EncodeToString([]byte(password))
	lines := smtp.ShownReply(&smtp.Reply{Code: 500, Lines: []string{"unknown: AUTH PLAIN " + coded, "go away"}}, coded)
	if len(lines) != 2 || strings.Contains(lines[0], coded) || lines[1] != "500 go away" {
		t.Errorf("%q", lines)
	}
}

// TestWatchBeginsAndEnds: lines are seen from the moment of the watch on, also of a connection
// that is open, and of the peer alone.
func TestWatchBeginsAndEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, ctx := w.client("mx.test"), t.Context()
	if _, err := c.Greeting(ctx); err != nil {
		t.Fatal(err)
	}
	byName, stop := w.follow(Filter{Host: "MX.test"})
	other, stopOther := w.follow(Filter{Host: "other.test", Nets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	defer stopOther()
	if err := c.Hello(ctx); err != nil {
		t.Fatal(err)
	}
	byName.wait(t, "out", "client: EHLO client.test")
	stop()
	before := byName.text("out")
	if err := c.Quit(ctx); err != nil {
		t.Fatal(err)
	}
	if got := byName.text("out"); got != before || strings.Contains(got, "220 ") || byName.text("in") != "" {
		t.Errorf("%s", got)
	}
	if got := other.text("in") + other.text("out"); got != "" {
		t.Errorf("another peer's watcher saw %s", got)
	}
}
