package imapserver

import (
	"bufio"
	"compress/flate"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/annotations"
	"waxwing/internal/certs"
	"waxwing/internal/guard"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/wire"
	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// testCert is what test servers show.
var testCert = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c, err := certs.SelfSigned("imap.example.test", key, time.Now())
	if err != nil {
		panic(err)
	}
	return *c
})

// anybody lets everybody in whose password is "secret".
type anybody struct{}

func (anybody) Mechanisms(tls bool) []string {
	if !tls {
		return nil
	}
	return []string{sasl.Plain, sasl.Login}
}

func (anybody) Start(_ context.Context, mech string, _ smtpserver.Conn) (sasl.Server, *smtp.Reply) {
	verify := func(user, password string) (string, error) {
		if password != "secret" {
			return "", sasl.ErrFailed
		}
		return user, nil
	}
	if mech == sasl.Login {
		return sasl.NewLoginServer(verify), nil
	}
	return sasl.NewPlainServer(verify), nil
}

// world is a server with its store.
type world struct {
	t   testing.TB
	db  *store.Store
	srv *Server
	net *wire.Server
}

func newWorld(t testing.TB, db *store.Store) *world {
	g := &guard.Guard{}
	w := &world{t: t, db: db}
	w.srv = &Server{Hostname: "imap.example.test", Boxes: &mailboxes.Store{DB: db}, Annotations: &annotations.Store{DB: db}, TempDir: t.TempDir(), Guard: g}
	w.net = &wire.Server{
		Protocol: account.IMAP, TLS: &tls.Config{Certificates: []tls.Certificate{testCert()}}, ImplicitTLS: true, Auth: anybody{},
		Guard: g, Area: guard.IMAP, Handle: w.srv.Handle,
	}
	return w
}

// each runs fn with a server on either database, with an account joe.
func each(t *testing.T, fn func(w *world)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		w.account("joe")
		fn(w)
	})
}

// credentials are made once: that is slow.
var credentials = sync.OnceValues(func() (account.Credentials, error) { return account.NewCredentials("correct horse battery") })

func (w *world) account(name string) {
	w.t.Helper()
	c, err := credentials()
	if err == nil {
		err = w.db.Write(w.t.Context(), func(tx *store.Tx) error {
			return (&accounts.Store{DB: w.db}).Within(tx).AddAccount(name, c.Stored())
		})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// client speaks with the server.
type client struct {
	t   testing.TB
	nc  net.Conn
	br  *bufio.Reader
	w   *flate.Writer // nil: not compressed
	tag int
}

// dial connects, and reads the greeting.
func (w *world) dial() *client { w.t.Helper(); return w.dialUntil(w.t.Context()) }

// dialUntil is dial to a server that stops when ctx ends.
func (w *world) dialUntil(ctx context.Context) *client {
	w.t.Helper()
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() { //nolint:guard // a test's own
		defer close(done)
		w.net.ServeConn(ctx, there)
	}()
	w.t.Cleanup(func() { here.Close(); <-done })
	c := &client{t: w.t, nc: tls.Client(here, &tls.Config{InsecureSkipVerify: true})}
	c.br = bufio.NewReader(c.nc)
	c.line()
	return c
}

// login is dial and LOGIN as joe.
func (w *world) login() *client {
	w.t.Helper()
	c := w.dial()
	c.ok("LOGIN joe secret")
	return c
}

func (c *client) send(s string) {
	c.t.Helper()
	c.nc.SetDeadline(time.Now().Add(20 * time.Second))
	if c.w != nil {
		io.WriteString(c.w, s)
		c.w.Flush()
		return
	}
	if _, err := io.WriteString(c.nc, s); err != nil {
		c.t.Fatal(err)
	}
}

// line reads a response with its literals, without the line's end.
func (c *client) line() string {
	c.t.Helper()
	c.nc.SetDeadline(time.Now().Add(20 * time.Second))
	s, err := readResponse(c.br)
	if err != nil {
		c.t.Fatalf("read a response: %v after %q", err, s)
	}
	return s
}

func readResponse(br *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := br.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return b.String(), err
		}
		var n int64
		i := strings.LastIndexByte(line, '{')
		if i < 0 || !strings.HasSuffix(line, "}\r\n") {
			return strings.TrimSuffix(b.String(), "\r\n"), nil
		}
		if _, err := fmt.Sscanf(line[i:], "{%d}", &n); err != nil {
			return strings.TrimSuffix(b.String(), "\r\n"), nil
		}
		if _, err := io.CopyN(&b, br, n); err != nil {
			return b.String(), err
		}
	}
}

// do sends a command and returns the untagged responses and the tagged one, without
// its tag.
func (c *client) do(command string) (untagged []string, tagged string) {
	c.t.Helper()
	c.tag++
	tag := fmt.Sprintf("a%d", c.tag)
	c.send(tag + " " + command + "\r\n")
	for {
		l := c.line()
		if rest, ok := strings.CutPrefix(l, tag+" "); ok {
			return untagged, rest
		}
		untagged = append(untagged, l)
	}
}

func (c *client) ok(command string) []string { c.t.Helper(); return c.expect("OK", command) }

func (c *client) expect(condition, command string) []string {
	c.t.Helper()
	untagged, tagged := c.do(command)
	if !strings.HasPrefix(tagged, condition+" ") {
		c.t.Fatalf("%.200s\n%s\ngot %s, want %s", command, strings.Join(untagged, "\n"), tagged, condition)
	}
	return untagged
}

// append stores a message.
func (c *client) append(box, message string) {
	c.t.Helper()
	c.ok(fmt.Sprintf("APPEND %s {%d+}\r\n%s", box, len(message), message))
}

const hello = "From: Joe <joe@example.net>\r\nTo: ann@example.com\r\nSubject: hello\r\nDate: Sat, 24 Mar 2007 23:00:00 +0200\r\nMessage-ID: <1@example.net>\r\n\r\nhow are you?\r\n"

// compress has all that follows compressed.
func (c *client) compress() {
	w, _ := flate.NewWriter(c.nc, 6)
	c.w = w
	c.br = bufio.NewReader(flate.NewReader(c.br))
}
