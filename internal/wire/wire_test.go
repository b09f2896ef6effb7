package wire

import (
	"bufio"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/peers"
	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// anybody lets everybody in whose password is "secret".
type anybody struct{}

func (anybody) Mechanisms(bool) []string { return []string{sasl.Plain} }

func (anybody) Start(context.Context, string, smtpserver.Conn) (sasl.Server, *smtp.Reply) {
	return sasl.NewPlainServer(func(user, password string) (string, error) {
		if password != "secret" {
			return "", sasl.ErrFailed
		}
		return user, nil
	}), nil
}

// start serves until the test ends.
func start(t *testing.T, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	if s.Auth == nil {
		s.Auth = anybody{}
	}
	if s.Guard == nil {
		s.Guard = &guard.Guard{}
	}
	s.Area, s.Protocol = guard.IMAP, account.IMAP
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func dial(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return nc, bufio.NewReader(nc)
}

func want(t *testing.T, br *bufio.Reader, line string) {
	t.Helper()
	got, err := br.ReadString('\n')
	if strings.TrimSpace(got) != line && !(line == "" && err != nil) {
		t.Fatalf("got %q, %v, want %q", got, err, line)
	}
}

// OPS-9: a panic ends one connection, and its place is given back.
func TestPanicEndsOneConnection(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	s := &Server{Guard: &watch.Guard, Limits: Limits{Shares: peers.Limits{PerClient: 1}}}
	s.Handle = func(_ context.Context, c *Conn) {
		if _, err := fmt.Fprint(c, "hello\n"); err == nil {
			panic("handler")
		}
	}
	addr := start(t, s)
	for range 3 {
		_, br := dial(t, addr)
		want(t, br, "hello")
		want(t, br, "")
		for end := time.Now().Add(10 * time.Second); s.gate.Open() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the place was not given back")
			}
		}
	}
	if !watch.Saw(guard.IMAP, 3) {
		t.Errorf("counted: %v", watch.Seen())
	}
}

// OPS-9: a panic while a connection is admitted costs that connection alone.
func TestPanicAtTheDoor(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	once := sync.OnceFunc(func() { panic("observer") })
	first := true
	s := &Server{Guard: &watch.Guard, Limits: Limits{Shares: peers.Limits{PerClient: 1}}}
	s.Trace.Connected = func(netip.Addr, string) {
		if first {
			first = false
			once()
		}
	}
	s.Handle = func(_ context.Context, c *Conn) { fmt.Fprint(c, "hello\n") }
	addr := start(t, s)
	_, br := dial(t, addr)
	want(t, br, "")
	_, br = dial(t, addr)
	want(t, br, "hello")
	if !watch.Saw(guard.IMAP, 1) {
		t.Errorf("counted: %v", watch.Seen())
	}
}

// IMP-5: an account has so many connections at one time, and a connection so many failed logins.
func TestLogins(t *testing.T) {
	t.Parallel()
	s := &Server{Limits: Limits{PerAccount: 2}}
	s.Handle = func(ctx context.Context, c *Conn) {
		br := bufio.NewReader(c)
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			user, password, _ := strings.Cut(strings.TrimSpace(line), " ")
			err = c.Login(ctx, sasl.Plain, []byte("\x00"+user+"\x00"+password), nil)
			switch {
			case err == nil:
				fmt.Fprintln(c, "in as", c.Identity())
			case errors.Is(err, ErrManyOfAccount):
				fmt.Fprintln(c, "many")
			case errors.Is(err, ErrManyLogins):
				fmt.Fprintln(c, "end")
				return
			default:
				fmt.Fprintln(c, "no")
			}
		}
	}
	addr := start(t, s)
	login := func(user, password, result string) net.Conn {
		t.Helper()
		nc, br := dial(t, addr)
		fmt.Fprintln(nc, user, password)
		want(t, br, result)
		return nc
	}
	first := login("joe", "secret", "in as joe")
	login("joe", "secret", "in as joe")
	login("joe", "secret", "many")
	login("ann", "secret", "in as ann")
	first.Close()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		n := s.open["joe"]
		s.mu.Unlock()
		if n == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the account's place was not given back")
		}
	}
	login("joe", "secret", "in as joe")
	nc, br := dial(t, addr)
	for i := range 3 {
		fmt.Fprintln(nc, "joe wrong")
		want(t, br, []string{"no", "no", "end"}[i])
	}
}

// What ends a wait: input, a bell also if it rang before, time, the end of the server, the end of
// the connection.
func TestAwait(t *testing.T) {
	t.Parallel()
	news := make(chan News)
	go_ := make(chan time.Duration)
	conns := make(chan *Conn, 1)
	s := &Server{}
	s.Handle = func(_ context.Context, c *Conn) {
		conns <- c
		br := bufio.NewReader(c)
		for most := range go_ {
			n := c.Await(br, most)
			if news <- n; n == Input {
				br.ReadString('\n')
			}
			if n == Lost || n == Drained {
				return
			}
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Auth, s.Guard, s.Area = anybody{}, &guard.Guard{}, guard.IMAP
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	is := func(w News) {
		t.Helper()
		if n := <-news; n != w {
			t.Fatalf("got %d, want %d", n, w)
		}
	}
	nc, _ := dial(t, l.Addr().String())
	c := <-conns
	go_ <- time.Hour
	fmt.Fprintln(nc, "hello")
	is(Input)
	go_ <- time.Hour
	time.Sleep(10 * time.Millisecond)
	c.Ring()
	is(Rung)
	c.Ring() // nobody waits
	go_ <- time.Hour
	is(Rung)
	go_ <- time.Millisecond
	is(TimedOut)
	go_ <- time.Hour
	cancel()
	is(Drained)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Compressed, a wait can be interrupted as well, and what came early is not lost.
func TestCompress(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer here.Close()
	s := &Server{Auth: anybody{}, Guard: &guard.Guard{}, Area: guard.IMAP}
	conns := make(chan *Conn, 1)
	s.Handle = func(_ context.Context, c *Conn) {
		br := bufio.NewReader(c)
		br.ReadString('\n')
		w := c.Compress(br)
		br = bufio.NewReader(c)
		conns <- c
		if n := c.Await(br, time.Hour); n != Rung {
			fmt.Fprintf(w, "no bell: %d\n", n)
			return
		}
		fmt.Fprint(w, "rung\n")
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(w, "you said "+line)
		}
	}
	go s.ServeConn(t.Context(), there)
	here.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintln(here, "compress")
	c := <-conns
	time.Sleep(10 * time.Millisecond)
	c.Ring()
	r := bufio.NewReader(flate.NewReader(here))
	want(t, r, "rung")
	d, _ := flate.NewWriter(here, 6)
	for _, text := range []string{"one", strings.Repeat("two ", 20000) + "."} {
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			fmt.Fprintln(d, text)
			d.Flush()
		}()
		want(t, r, "you said "+text)
		<-sent
	}
}

// A client that does not log in is not listened to for ever, whatever it says; one that has logged in is.
func TestStrangersHaveToLogIn(t *testing.T) {
	t.Parallel()
	handled := make(chan News, 2)
	s := &Server{Timeouts: Timeouts{Login: 100 * time.Millisecond}}
	s.Handle = func(ctx context.Context, c *Conn) {
		br := bufio.NewReader(c)
		if line, _ := br.ReadString('\n'); line == "joe\n" {
			_ = c.Login(ctx, sasl.Plain, []byte("\x00joe\x00secret"), nil)
		}
		for range 30 {
			if n := c.Await(br, time.Second); n != Input {
				handled <- n
				return
			}
			br.ReadByte()
		}
		handled <- Input
	}
	addr := start(t, s)
	for said, want := range map[string]News{"x\n": TimedOut, "joe\n": Input} {
		nc, _ := dial(t, addr)
		io.WriteString(nc, said)
		for range 30 {
			if _, err := io.WriteString(nc, "."); err != nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if got := <-handled; got != want {
			t.Errorf("%q: %v, want %v", said, got, want)
		}
		nc.Close()
	}
}
