package sieveserver

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/certs"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/scripts"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/wire"
	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

var testCert = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c, err := certs.SelfSigned("sieve.example.test", key, time.Now())
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

// client is one connection with a server of its own.
type client struct {
	t    testing.TB
	nc   net.Conn
	br   *bufio.Reader
	done chan struct{}
}

func dial(t testing.TB, db *store.Store, g *guard.Guard) *client {
	t.Helper()
	if err := (&accounts.Store{DB: db}).AddAccount(t.Context(), "joe", "correct horse"); err != nil && !strings.Contains(err.Error(), "exists") {
		t.Fatal(err)
	}
	s := &Server{Scripts: &scripts.Store{DB: db}, Version: "1", Log: slog.New(slog.DiscardHandler)}
	srv := &wire.Server{Protocol: account.IMAP, TLS: &tls.Config{Certificates: []tls.Certificate{testCert()}}, Auth: anybody{}, Guard: g, Area: guard.ManageSieve, Handle: s.Handle, Refuse: Refuse}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &client{t: t, done: make(chan struct{})}
	go func() { defer close(c.done); _ = srv.Serve(ctx, l) }()
	if c.nc, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	_ = c.nc.SetDeadline(time.Now().Add(30 * time.Second))
	c.br = bufio.NewReader(c.nc)
	t.Cleanup(func() { cancel(); c.nc.Close(); <-c.done })
	return c
}

func (c *client) send(s string) {
	if _, err := io.WriteString(c.nc, s); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads up to the line that ends an answer, and gives it all.
func (c *client) answer() string {
	c.t.Helper()
	var all strings.Builder
	for {
		line, err := c.br.ReadString('\n')
		if all.WriteString(strings.ReplaceAll(line, "\r", "")); err != nil {
			return all.String() + err.Error()
		}
		for _, end := range []string{"OK", "NO", "BYE"} {
			if strings.HasPrefix(line, end) {
				return strings.TrimSpace(all.String())
			}
		}
	}
}

// talk sends and expects an answer that has each of the words, with commas between.
func (c *client) talk(send, words string) {
	c.t.Helper()
	c.send(send)
	got := c.answer()
	for _, w := range strings.Split(words, "|") {
		if !strings.Contains(got, w) {
			c.t.Errorf("%.80q: %q, want %q", send, got, w)
		}
	}
}

func (c *client) login() {
	c.t.Helper()
	c.answer()
	c.talk("STARTTLS\r\n", "OK")
	tc := tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true})
	c.nc, c.br = tc, bufio.NewReader(tc)
	c.answer()
	c.talk("AUTHENTICATE \"PLAIN\" \""+base64.StdEncoding.EncodeToString([]byte("\x00joe\x00secret"))+"\"\r\n", "OK")
}

// SIV-2: a session as RFC 5804 has it, on both engines.
func TestSession(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		c := dial(t, db, &guard.Guard{})
		c.talk("", `"IMPLEMENTATION" "Waxwing 1"|"SIEVE" "fileinto|"STARTTLS"|"SASL" ""|"VERSION" "1.0"|OK`)
		c.talk("LISTSCRIPTS\r\n", `NO "log in first"`)
		c.talk("AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\"\r\n", "NO (ENCRYPT-NEEDED)")
		c.talk("STARTTLS\r\n", "OK")
		tc := tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true})
		c.nc, c.br = tc, bufio.NewReader(tc)
		c.talk("", `"SASL" "PLAIN LOGIN"|OK`)
		c.talk("STARTTLS\r\n", "NO")
		c.talk("AUTHENTICATE \"PLAIN\" \"AGpvZQB3cm9uZw==\"\r\n", `NO "wrong name or password"`)
		c.talk("AUTHENTICATE \"NONE\"\r\n", `NO "mechanism not offered"`)
		c.send("AUTHENTICATE \"login\"\r\n")
		for _, word := range []string{"joe", "secret"} {
			if line, err := c.br.ReadString('\n'); err != nil || !strings.HasPrefix(line, `"`) {
				t.Fatalf("%q, %v", line, err)
			}
			c.send("\"" + base64.StdEncoding.EncodeToString([]byte(word)) + "\"\r\n")
		}
		c.talk("", "OK")
		c.talk("AUTHENTICATE \"PLAIN\"\r\n", "NO")
		c.talk("CAPABILITY\r\n", `"OWNER" "joe"|"MAXREDIRECTS" "4"|"NOTIFY" "mailto"|OK`)
		c.talk("NOOP \"a \\\"tag\\\"\"\r\n", `OK (TAG "a \"tag\"")`)
		c.talk("HAVESPACE \"main\" 1000\r\n", "OK")
		c.talk("HAVESPACE \"main\" 1000000\r\n", "NO (QUOTA/MAXSIZE)")
		c.talk("PUTSCRIPT \"main\" {6+}\r\nkeep;\n\r\n", "OK")
		c.talk("PUTSCRIPT \"bad\" {9+}\r\nkeep;\nx()\r\n", `NO "line 2: `)
		c.talk("CHECKSCRIPT {5+}\r\nkeep;\r\n", "OK")
		c.talk("CHECKSCRIPT {4+}\r\nkeep\r\n", "NO")
		c.talk(fmt.Sprintf("PUTSCRIPT \"big\" {%d+}\r\n%s\r\n", scripts.MaxScript+1, strings.Repeat(" ", scripts.MaxScript+1)), "NO (QUOTA/MAXSIZE)")
		c.talk("PUTSCRIPT \"a\\\\b\" \"discard;\"\r\n", "OK")
		c.talk("PUTSCRIPT \"a\nb\" \"discard;\"\r\n", "NO")
		c.talk("", "NO") // what stood behind the line end
		c.talk("SETACTIVE \"main\"\r\n", "OK")
		c.talk("SETACTIVE \"none\"\r\n", "NO (NONEXISTENT)")
		c.talk("LISTSCRIPTS\r\n", "\"a\\\\b\"\n\"main\" ACTIVE\nOK")
		c.talk("GETSCRIPT \"main\"\r\n", "{6}\nkeep;\n\nOK")
		c.talk("GETSCRIPT \"none\"\r\n", "NO (NONEXISTENT)")
		c.talk("DELETESCRIPT \"main\"\r\n", "NO (ACTIVE)")
		c.talk("RENAMESCRIPT \"main\" \"a\\\\b\"\r\n", "NO (ALREADYEXISTS)")
		c.talk("RENAMESCRIPT \"main\" \"other\"\r\n", "OK")
		c.talk("RENAMESCRIPT \"main\" \"other\"\r\n", "NO (")
		c.talk("LISTSCRIPTS\r\n", "\"other\" ACTIVE\n")
		c.talk("SETACTIVE \"\"\r\n", "OK")
		c.talk("DELETESCRIPT \"other\"\r\n", "OK")
		c.talk("DELETESCRIPT \"other\"\r\n", "NO (NONEXISTENT)")
		for i := range scripts.MaxScripts - 1 {
			c.talk(fmt.Sprintf("PUTSCRIPT \"s%d\" \"keep;\"\r\n", i), "OK")
		}
		c.talk("PUTSCRIPT \"more\" \"keep;\"\r\n", "NO (QUOTA/MAXSCRIPTS)")
		c.talk("HAVESPACE \"more\" 10\r\n", "NO (QUOTA/MAXSCRIPTS)")
		c.talk("NONSENSE\r\n", "NO")
		c.talk("GETSCRIPT\r\n", `NO "GETSCRIPT takes other arguments"`)
		c.talk("LOGOUT\r\n", "OK")
		if _, err := c.br.ReadByte(); err != io.EOF {
			t.Errorf("after LOGOUT: %v", err)
		}
	})
}

// SIV-2: what came along with STARTTLS in plaintext counts for nothing, and strangers send little.
func TestStrangers(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	c := dial(t, db, &guard.Guard{})
	c.answer()
	c.talk("STARTTLS\r\nNOOP\r\n", "BYE")
	c = dial(t, db, &guard.Guard{})
	c.answer()
	c.talk("CHECKSCRIPT {99999+}\r\n"+strings.Repeat(" ", 99999)+"\r\n", "NO (QUOTA/MAXSIZE)")
	c.talk("CHECKSCRIPT {999999999+}\r\n", "BYE")
	c = dial(t, db, &guard.Guard{})
	c.answer()
	for range 19 {
		c.talk("X\r\n", "NO")
	}
	c.talk("X\r\n", "BYE")
}

// A panic in a session is contained: its connection ends.
func TestPanic(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	s := &Server{Version: "1", Log: slog.New(slog.DiscardHandler)} // without scripts
	srv := &wire.Server{Protocol: account.IMAP, TLS: &tls.Config{Certificates: []tls.Certificate{testCert()}}, Auth: anybody{}, Guard: &watch.Guard, Area: guard.ManageSieve, ImplicitTLS: true, Handle: s.Handle}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ctx, l) }()
	nc, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, nc: nc, br: bufio.NewReader(nc)}
	c.answer()
	c.talk("AUTHENTICATE \"PLAIN\" \"AGpvZQBzZWNyZXQ=\"\r\n", "OK")
	c.send("LISTSCRIPTS\r\n")
	if !watch.Saw(guard.ManageSieve, 1) {
		t.Errorf("%v", watch.Seen())
	}
	nc.Close()
	cancel()
	<-done
}

// FuzzSession: whatever somebody sends who has logged in, the session ends without a panic and leaves no
// script that does not compile.
func FuzzSession(f *testing.F) {
	f.Add([]byte("PUTSCRIPT \"a\" {6+}\r\nkeep;\n\r\nSETACTIVE \"a\"\r\nLISTSCRIPTS\r\nGETSCRIPT \"a\"\r\nLOGOUT\r\n"))
	f.Add([]byte("RENAMESCRIPT \"a\" {1+}\r\nb\r\nHAVESPACE \"x\" 5\r\nNOOP {3+}\r\nabc\r\nDELETESCRIPT \"a\"\r\n"))
	db := storetest.Open(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		watch := guardtest.New()
		c := dial(t, db, &watch.Guard)
		c.login()
		_, _ = c.nc.Write(in)
		_ = c.nc.(*tls.Conn).CloseWrite()
		_, _ = io.Copy(io.Discard, c.br)
		if seen := watch.Seen(); len(seen) > 0 {
			t.Fatalf("%v", seen)
		}
		s := &scripts.Store{DB: db}
		all, err := s.List(t.Context(), "joe")
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range all {
			text, err := s.Get(t.Context(), "joe", one.Name)
			if err != nil || scripts.Check(text) != nil {
				t.Fatalf("%q: %v, %v", one.Name, err, scripts.Check(text))
			}
		}
	})
}
