package smtpserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"waxwing/sasl"
	"waxwing/smtp"
)

// mailbox is a backend that keeps what it was given. Recipients whose local
// part begins with "no" are refused; "quota" ends DATA with 452.
type mailbox struct {
	mu       sync.Mutex
	messages []letter
	resets   int
	slow     time.Duration
}

type letter struct {
	mail  smtp.MailParams
	rcpts []smtp.RcptParams
	body  string
	conn  string
}

type mailboxSession struct {
	b    *mailbox
	conn Conn
	now  letter
}

func (b *mailbox) NewSession(_ context.Context, conn Conn) (Session, error) {
	if conn.HELO() == "refuse.test" {
		return nil, smtp.NewReply(550, status(5, 7, 1), "not you")
	}
	return &mailboxSession{b: b, conn: conn}, nil
}

func (s *mailboxSession) Mail(_ context.Context, p smtp.MailParams) error {
	if p.From.Local == "broken" {
		return fmt.Errorf("secret cause")
	}
	s.now = letter{mail: p}
	return nil
}

func (s *mailboxSession) Rcpt(_ context.Context, p smtp.RcptParams) error {
	if strings.HasPrefix(p.To.Local, "no") {
		return smtp.NewReply(550, status(5, 1, 1), "no such user")
	}
	s.now.rcpts = append(s.now.rcpts, p)
	return nil
}

func (s *mailboxSession) Data(_ context.Context, r io.Reader) (*smtp.Reply, error) {
	if s.now.rcpts[0].To.Local == "early" {
		return nil, smtp.NewReply(452, status(4, 2, 2), "mailbox full")
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	time.Sleep(s.b.slow)
	s.now.body = string(body)
	s.now.conn = fmt.Sprintf("helo=%s esmtp=%v tls=%v identity=%s", s.conn.HELO(), s.conn.ESMTP(), s.conn.TLS() != nil, s.conn.Identity())
	s.b.mu.Lock()
	s.b.messages = append(s.b.messages, s.now)
	s.b.mu.Unlock()
	return smtp.NewReply(250, status(2, 0, 0), "kept"), nil
}

func (s *mailboxSession) Reset() {
	s.b.mu.Lock()
	s.b.resets++
	s.b.mu.Unlock()
	s.now = letter{}
}

func (s *mailboxSession) Close() {}

func (b *mailbox) kept() []letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]letter(nil), b.messages...)
}

// doorman offers PLAIN and SCRAM over TLS, and PLAIN without if plain is set.
type doorman struct {
	plain bool
}

func (d doorman) Mechanisms(overTLS bool) []string {
	if !overTLS && !d.plain {
		return nil
	}
	return []string{sasl.ScramSHA256Plus, sasl.ScramSHA256, sasl.Plain, sasl.Login}
}

var scramKeys = sync.OnceValue(func() sasl.Credentials {
	c, err := sasl.NewCredentials(sasl.ScramSHA256, "secret", []byte("0123456789abcdef"), 4096)
	if err != nil {
		panic(err)
	}
	return c
})

func (d doorman) Start(_ context.Context, mech string, conn Conn) (sasl.Server, *smtp.Reply) {
	verify := func(user, password string) (string, error) {
		if user == "joe" && password == "secret" {
			return "joe", nil
		}
		return "", sasl.ErrFailed
	}
	switch mech {
	case sasl.Plain:
		return sasl.NewPlainServer(verify), nil
	case sasl.Login:
		return sasl.NewLoginServer(verify), nil
	}
	s := sasl.ScramServer{Mechanism: mech, PlusOffered: true, Lookup: func(user string) (sasl.Credentials, string, bool, error) {
		return scramKeys(), "joe", user == "joe", nil
	}}
	if cs := conn.TLS(); cs != nil {
		s.Bindings = sasl.TLSBindings(*cs, conn.ServerCertificate())
	}
	srv, err := sasl.NewScramServer(s)
	if err != nil {
		return nil, smtp.NewReply(504, status(5, 5, 4), "%s", err)
	}
	return srv, nil
}

var testCert = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.test"}, DNSNames: []string{"mx.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func testTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{testCert()}, MinVersion: tls.VersionTLS12}
}

// start serves s on loopback until the test ends.
func start(t testing.TB, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(2 * time.Minute):
			t.Error("Serve did not end")
		}
	})
	return l.Addr().String()
}

// peer is the client of a dialogue.
type peer struct {
	t  *testing.T
	nc net.Conn
	br *bufio.Reader
}

func dial(t *testing.T, addr string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	return &peer{t, nc, bufio.NewReader(nc)}
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.nc, s); err != nil {
		p.t.Fatalf("send %q: %v", s, err)
	}
}

// want reads one line and compares its beginning; "CLOSED" wants the end.
func (p *peer) want(prefix string) string {
	p.t.Helper()
	line, err := p.br.ReadString('\n')
	if prefix == "CLOSED" {
		if err == nil {
			p.t.Fatalf("got %q, want the connection closed", line)
		}
		return ""
	}
	if err != nil {
		p.t.Fatalf("want %q, got %v (%q)", prefix, err, line)
	}
	line = strings.TrimSuffix(line, "\r\n")
	if !strings.HasPrefix(line, prefix) {
		p.t.Fatalf("got %q, want %q", line, prefix)
	}
	return line
}

// ehlo says EHLO and returns the keywords.
func (p *peer) ehlo() []string {
	p.t.Helper()
	p.send("EHLO client.test\r\n")
	var words []string
	for {
		line := p.want("250")
		words = append(words, line[4:])
		if line[3] == ' ' {
			return words[1:]
		}
	}
}

func (p *peer) tls() {
	p.t.Helper()
	tc := tls.Client(p.nc, &tls.Config{InsecureSkipVerify: true})
	if err := tc.Handshake(); err != nil {
		p.t.Fatalf("handshake: %v", err)
	}
	p.nc, p.br = tc, bufio.NewReader(tc)
}

// TestDialogues plays the scripts in testdata. A script's comment may hold
// "key: value" options; the file "dialogue" holds lines: "C: " sent with CRLF,
// "C+ " sent together with the next, "R: " sent raw after unquoting \r \n,
// "S: " the beginning of a line expected, "TLS" a handshake, "CLOSED" the end.
// The file "kept", if there, is what the backend must have.
func TestDialogues(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(f)
			if err != nil {
				t.Fatal(err)
			}
			play(t, a)
		})
	}
}

func play(t *testing.T, a *txtar.Archive) {
	box := &mailbox{}
	p := dial(t, start(t, scripted(string(a.Comment), box)))
	kept := "-"
	for _, f := range a.Files {
		switch f.Name {
		case "dialogue":
			for i, line := range strings.Split(strings.TrimRight(string(f.Data), "\n"), "\n") {
				p.line(i+1, line)
			}
		case "kept":
			kept = string(f.Data)
		}
	}
	p.nc.Close()
	if kept == "-" {
		return
	}
	var got bytes.Buffer
	for _, m := range box.kept() {
		fmt.Fprintf(&got, "from %s size=%d body=%s utf8=%v requiretls=%v %s\n", m.mail.From, m.mail.Size, m.mail.Body, m.mail.SMTPUTF8, m.mail.RequireTLS, m.conn)
		for _, r := range m.rcpts {
			fmt.Fprintf(&got, "to %s notify=%v\n", r.To, r.Notify)
		}
		fmt.Fprintf(&got, "%q\n", m.body)
	}
	if got.String() != kept {
		t.Errorf("kept:\n%s\nwant:\n%s", got.String(), kept)
	}
}

func scripted(options string, box *mailbox) *Server {
	has := func(o string) bool { return strings.Contains(options, "option: "+o+"\n") }
	s := &Server{Hostname: "mx.test", Backend: box, TLS: testTLS()}
	s.Offer.RequireTLS = has("requiretls")
	s.LMTP = has("lmtp")
	if has("no-tls") {
		s.TLS = nil
	}
	if has("auth") {
		s.Auth = doorman{}
	}
	if has("auth-plain") {
		s.Auth = doorman{plain: true}
	}
	if has("small") {
		s.Limits = Limits{MessageSize: 40, Recipients: 2, Transactions: 3, Commands: 12, Errors: 4, LoginFailures: 2}
	}
	if has("hooks") {
		s.Hooks.Command = func(_ Conn, verb, arg string) *smtp.Reply {
			switch {
			case verb == "STARTTLS":
				return smtp.NewReply(454, status(4, 7, 0), "TLS not available")
			case verb == "RCPT" && strings.Contains(arg, "drop"):
				return Drop
			case verb == "." || verb == "BDAT":
				return smtp.NewReply(451, status(4, 7, 1), "greylisted")
			}
			return nil
		}
	}
	return s
}

func (p *peer) line(n int, line string) {
	p.t.Helper()
	op, rest, _ := strings.Cut(line, " ")
	unquote := strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\0`, "\x00")
	switch op {
	case "C:":
		p.send(rest + "\r\n")
	case "R:":
		p.send(unquote.Replace(rest))
	case "S:":
		p.want(rest)
	case "TLS":
		p.tls()
	case "CLOSED":
		p.want("CLOSED")
	case "", "#":
	default:
		p.t.Fatalf("line %d: unknown %q", n, line)
	}
}
