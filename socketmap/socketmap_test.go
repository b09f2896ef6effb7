package socketmap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReadNetstring(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want, fault string }{
		{"5:hello,", "hello", ""},
		{"0:,", "", ""},
		{"3:a,b,rest", "a,b", ""},
		{"", "", "EOF"},
		{"5", "", "unexpected EOF"},
		{"5:hel", "", "unexpected EOF"},
		{"5:hello", "", "unexpected EOF"},
		{"5:hello;", "", "does not end in a comma"},
		{":,", "", `the octet ':'`},
		{"-1:,", "", `the octet '-'`},
		{" 1:a,", "", `the octet ' '`},
		{"05:hello,", "", "no plain number"},
		{"12345678:", "", "no plain number"},
		{"99:", "", "more than 20"},
		{"GET / HTTP/1.1\r\n", "", `the octet 'G'`},
	} {
		got, err := ReadNetstring(bufio.NewReader(strings.NewReader(tt.in)), 20)
		if tt.fault == "" && (err != nil || string(got) != tt.want) || tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)) {
			t.Errorf("%q: %q, %v; want %q, %q", tt.in, got, err, tt.want, tt.fault)
		}
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		r    Reply
		want string
	}{
		{Found("dane-only"), "OK dane-only"},
		{NotFound(), "NOTFOUND "}, // with the space, as the grammar has it
		{Reply{StatusNotFound, "never shown"}, "NOTFOUND "},
		{Temp("resolver failed"), "TEMP resolver failed"},
		{Perm("no such map"), "PERM no such map"},
		{Temp("two\r\nlines\x00"), "TEMP two  lines "},
		{Found(""), "TEMP the server found an empty value"},
		{Reply{"MAYBE", "x"}, "TEMP the server gave an unknown answer"},
		{Reply{}, "TEMP the server gave an unknown answer"},
		{Found(strings.Repeat("x", MaxReply-3)), "OK " + strings.Repeat("x", MaxReply-3)},
		{Found(strings.Repeat("x", MaxReply-2)), "TEMP the answer is too long"},
	} {
		if got := tt.r.String(); got != tt.want {
			t.Errorf("%.40v: got %.60q, want %.60q", tt.r, got, tt.want)
		}
	}
}

func serve(t *testing.T, s *Server, network, addr string) net.Addr {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr()
}

func dial(t *testing.T, a net.Addr) net.Conn {
	t.Helper()
	c, err := net.Dial(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

func echo(_ context.Context, r Request) Reply {
	if r.Key == "" {
		return NotFound()
	}
	return Found(r.Map + "/" + r.Key)
}

func TestServe(t *testing.T) {
	t.Parallel()
	for _, addr := range []struct{ network, addr string }{{"tcp", "127.0.0.1:0"}, {"unix", filepath.Join(t.TempDir(), "s")}} {
		a := serve(t, &Server{Lookup: echo}, addr.network, addr.addr)
		c := dial(t, a)
		for i := range 3 { // one connection, many requests
			want := Found(fmt.Sprintf("m/key %d", i))
			if got, err := Ask(c, Request{"m", fmt.Sprintf("key %d", i)}); err != nil || got != want {
				t.Errorf("%s: got %v, %v", addr.network, got, err)
			}
		}
		if got, err := Ask(c, Request{"m", ""}); err != nil || got != NotFound() {
			t.Errorf("got %v, %v", got, err)
		}
	}
}

func TestServeHostile(t *testing.T) {
	t.Parallel()
	a := serve(t, &Server{Lookup: echo, Idle: 200 * time.Millisecond, Conns: 2}, "tcp", "127.0.0.1:0")
	for _, in := range []string{"GET / HTTP/1.0\r\n\r\n", "99999:", "3:abc;", "20000:" + strings.Repeat("x", 100)} {
		c := dial(t, a)
		fmt.Fprint(c, in)
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%q was answered %q, %v", in, b, err)
		}
		c.Close()
	}
	c := dial(t, a)
	fmt.Fprint(c, "5:nokey,") // well-framed, and no request
	b, err := ReadNetstring(bufio.NewReader(c), MaxReply)
	if err != nil || !bytes.HasPrefix(b, []byte("PERM ")) {
		t.Errorf("got %q, %v", b, err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) { // idle
		t.Errorf("an idle connection: %v", err)
	}
}

func TestServeFull(t *testing.T) {
	t.Parallel()
	a := serve(t, &Server{Lookup: echo, Conns: 1}, "tcp", "127.0.0.1:0")
	first := dial(t, a)
	if _, err := Ask(first, Request{"m", "k"}); err != nil {
		t.Fatal(err)
	}
	if _, err := Ask(dial(t, a), Request{"m", "k"}); err == nil {
		t.Error("a second connection was served")
	}
	if _, err := Ask(first, Request{"m", "k"}); err != nil {
		t.Errorf("the first connection suffered: %v", err)
	}
}

func TestLookupTimeout(t *testing.T) {
	t.Parallel()
	s := &Server{Timeout: 50 * time.Millisecond, Lookup: func(ctx context.Context, _ Request) Reply {
		<-ctx.Done()
		return Temp(ctx.Err().Error())
	}}
	c := dial(t, serve(t, s, "tcp", "127.0.0.1:0"))
	if got, err := Ask(c, Request{"m", "k"}); err != nil || got.Status != StatusTemp {
		t.Errorf("got %v, %v", got, err)
	}
}

func FuzzNetstring(f *testing.F) {
	for _, s := range []string{"5:hello,", "0:,", "05:hello,", "28:QUERYwithTLSRPT stsfail.test,", "9999999:", ":", "1:a,1:b,"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReader(bytes.NewReader(in))
		var back []byte
		for {
			b, err := ReadNetstring(r, MaxRequest)
			if err != nil {
				var se *SyntaxError
				if !errors.As(err, &se) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("unexpected error %v", err)
				}
				break
			}
			if back = AppendNetstring(back, b); !bytes.HasPrefix(in, back) {
				t.Fatalf("%q was read as %q", in, back)
			}
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte("QUERY example.org"))
	f.Add([]byte("QUERYwithTLSRPT b\xc3\xbccher.test"))
	f.Add([]byte(" x"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if r, err := ParseRequest(in); err == nil && (r.String() != string(in) || r.Map == "" || strings.Contains(r.Map, " ")) {
			t.Fatalf("%q was read as %q", in, r)
		}
		reply, err := ParseReply([]byte(Reply{StatusOK, string(in)}.String()))
		if err != nil || strings.ContainsFunc(reply.Text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			t.Fatalf("%q became the reply %v, %v", in, reply, err)
		}
	})
}
