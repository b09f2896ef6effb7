package submitsocket

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/smtp"
	"waxwing/smtpserver"
)

// backend takes mail and notes it.
type backend struct {
	mu   sync.Mutex
	got  []string
	hold chan struct{} // Data waits for it, if set
}

type session struct {
	b    *backend
	conn smtpserver.Conn
	line string
}

func (b *backend) NewSession(_ context.Context, c smtpserver.Conn) (smtpserver.Session, error) {
	return &session{b: b, conn: c}, nil
}

func (s *session) Mail(_ context.Context, p smtp.MailParams) error {
	if p.From.Local == "other" {
		return smtp.NewReply(553, smtp.Enhanced{Class: 5, Subject: 7, Detail: 1}, "not yours")
	}
	s.line = fmt.Sprintf("%s %q null=%v requiretls=%v utf8=%v %s %s:", s.conn.Identity(), p.From.String(), p.Null, p.RequireTLS, p.SMTPUTF8, p.EnvID, p.Ret)
	return nil
}

func (s *session) Rcpt(_ context.Context, p smtp.RcptParams) error {
	if p.To.Local == "nobody" {
		return smtp.NewReply(550, smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}, "no such user")
	}
	if p.To.Local == "broken" {
		return errors.New("the database holds its breath")
	}
	s.line += fmt.Sprintf(" %s%v", p.To, p.Notify)
	return nil
}

func (s *session) Data(_ context.Context, r io.Reader) (*smtp.Reply, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if s.b.hold != nil {
		<-s.b.hold
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.got = append(s.b.got, s.line+"|"+string(b))
	return smtp.NewReply(250, smtp.Enhanced{Class: 2}, "taken\nthank you"), nil
}

func (s *session) Reset() {}
func (s *session) Close() {}

func (b *backend) took() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.got)
}

// start serves a socket; the user of the test is the one it knows.
func start(t *testing.T, change func(*Server)) (b *backend, path string, stop func() error) {
	t.Helper()
	b = &backend{}
	s := &Server{Users: map[uint32]User{uint32(os.Getuid()): {Account: "web", Backend: b}}}
	if change != nil {
		change(s)
	}
	path = filepath.Join(t.TempDir(), "run", "s.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	var once sync.Once
	stop = func() (err error) { once.Do(func() { cancel(); err = <-done }); return err }
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return b, path, stop
}

const mail = "Subject: x\r\n\r\nhello\r\n"

func TestSubmit(t *testing.T) {
	t.Parallel()
	b, path, _ := start(t, func(s *Server) { s.MessageSize, s.Recipients = 1000, 3 })
	ok := Request{From: "a@b.test", Recipients: []string{"x@y.test"}}
	with := func(change func(*Request)) Request { r := ok; change(&r); return r }
	for _, c := range []struct {
		name string
		req  Request
		msg  string
		want string
	}{
		{"plain", ok, mail, "250 2.0.0 taken thank you"},
		{"everything", Request{From: "", Recipients: []string{"x@y.test", "ü@y.test"}, RequireTLS: true, SMTPUTF8: true, EnvID: "e", Ret: "FULL", Notify: []string{"SUCCESS", "DELAY"}}, mail, "250"},
		{"sender refused", with(func(r *Request) { r.From = "other@b.test" }), mail, "553 5.7.1 not yours"},
		{"no address", with(func(r *Request) { r.From = "<>" }), mail, "553 5.1.7"},
		{"control characters", with(func(r *Request) { r.From = "a@b.test\r\nRCPT TO:<z@z.test>" }), mail, "553 5.1.7"},
		{"one recipient refused: nothing is sent", with(func(r *Request) { r.Recipients = []string{"x@y.test", "nobody@y.test"} }), mail, "550 5.1.1 nothing was sent: nobody@y.test: no such user"},
		{"local error", with(func(r *Request) { r.Recipients = []string{"broken@y.test"} }), mail, "451 4.3.0 nothing was sent: broken@y.test: local error"},
		{"recipient no address", with(func(r *Request) { r.Recipients = []string{"x y"} }), mail, "553 5.1.3 nothing was sent"},
		{"no recipients", with(func(r *Request) { r.Recipients = nil }), mail, "554 5.5.1"},
		{"too many recipients", with(func(r *Request) { r.Recipients = []string{"a@y.test", "b@y.test", "c@y.test", "d@y.test"} }), mail, "452 4.5.3"},
		{"too large", ok, mail + strings.Repeat("x\r\n", 400), "552 5.3.4"},
		{"empty", ok, "", "554 5.6.0 the message is empty"},
		{"bare LF", ok, "Subject: x\r\n\r\nhello\n", "554 5.6.0 the message was not taken: it holds a bare CR or LF"},
		{"bare CR", ok, "Subject: x\r\n\r\nhel\rlo\r\n", "554 5.6.0"},
		{"smuggling", ok, "x\r\n\n.\n\r\n", "554 5.6.0"},
		{"no last line end", ok, "Subject: x\r\n\r\nhello", "554 5.6.0 the message was not taken: its last line"},
		{"RET", with(func(r *Request) { r.Ret = "SOME" }), mail, "501 5.5.4"},
		{"NOTIFY", with(func(r *Request) { r.Notify = []string{"NEVER", "DELAY"} }), mail, "501 5.5.4"},
	} {
		before := b.took()
		r, err := Submit(t.Context(), path, c.req, []byte(c.msg))
		if err != nil || !strings.HasPrefix(r.String(), c.want) {
			t.Errorf("%s: %v %v, want %s", c.name, r, err, c.want)
		}
		if took := b.took() - before; (took == 1) != strings.HasPrefix(c.want, "250") {
			t.Errorf("%s: %d messages taken", c.name, took)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if want := `web "" null=true requiretls=true utf8=true e FULL: x@y.test[SUCCESS DELAY] ü@y.test[SUCCESS DELAY]|` + mail; b.got[1] != want {
		t.Errorf("%q\n%q", b.got[1], want)
	}
}

// The user id at the other end decides, and nothing that the program says.
func TestUnknownUser(t *testing.T) {
	t.Parallel()
	b, path, _ := start(t, func(s *Server) { s.Users = map[uint32]User{4242: {Account: "x"}} })
	r, err := Submit(t.Context(), path, Request{From: "a@b.test", Recipients: []string{"x@y.test"}}, []byte(mail))
	if err != nil || r.Code != 550 || !strings.Contains(r.Text(), fmt.Sprintf("the id %d may not", os.Getuid())) || b.took() != 0 {
		t.Errorf("%v %v", r, err)
	}
	_, path, _ = start(t, func(s *Server) { s.Peer = func(net.Conn) (uint32, error) { return 0, errors.New("no idea") } })
	if r, err := Submit(t.Context(), path, Request{From: "a@b.test", Recipients: []string{"x@y.test"}}, []byte(mail)); err != nil || r.Code != 451 {
		t.Errorf("%v %v", r, err)
	}
}

// raw sends octets and returns the answer.
func raw(t *testing.T, path, text string, closeWrite bool) string {
	t.Helper()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(nc, text)
	if closeWrite {
		nc.(*net.UnixConn).CloseWrite()
	}
	line, err := bufio.NewReader(nc).ReadString('\n')
	if err != nil {
		t.Fatalf("%q: %v", text[:min(len(text), 40)], err)
	}
	return line
}

func TestGarbage(t *testing.T) {
	t.Parallel()
	b, path, _ := start(t, nil)
	for text, want := range map[string]string{
		"EHLO x\r\n": `"code":500`, "{}\n": "version 0", `{"version":2}` + "\n": "version 2", `{"version":1,"surprise":1}` + "\n": "surprise", "": `"code":500`,
		strings.Repeat("x", maxRequest+10): "octets",
		`{"version":1,"from":"a@b.test","recipients":["x@y.test"],"size":100}` + "\nshort\r\n": "shorter than announced",
		`{"version":1,"from":"a@b.test","recipients":["x@y.test"],"size":-1}` + "\n":           "empty",
	} {
		if got := raw(t, path, text, true); !strings.Contains(got, want) {
			t.Errorf("%.60q: %s, want %s", text, got, want)
		}
	}
	if b.took() != 0 {
		t.Error("garbage was taken for mail")
	}
}

// A message under way is answered when the server stops; a program that sends
// nothing does not keep it.
func TestStop(t *testing.T) {
	t.Parallel()
	b := &backend{hold: make(chan struct{})}
	_, path, stop := start(t, func(s *Server) { s.Users = map[uint32]User{uint32(os.Getuid()): {Account: "web", Backend: b}} })
	answer := make(chan string, 1)
	go func() {
		r, err := Submit(context.Background(), path, Request{From: "a@b.test", Recipients: []string{"x@y.test"}}, []byte(mail))
		answer <- fmt.Sprint(r, err)
	}()
	time.Sleep(100 * time.Millisecond)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	time.Sleep(100 * time.Millisecond)
	close(b.hold)
	if got := <-answer; !strings.HasPrefix(got, "250") {
		t.Error(got)
	}
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * stopGrace):
		t.Error("the server does not stop")
	}
	if _, err := Submit(t.Context(), path, Request{}, nil); !errors.Is(err, ErrConnect) {
		t.Errorf("after the end: %v", err)
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("over a file: %v", err)
	}
	path := filepath.Join(dir, "s.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another server listens") {
		t.Errorf("twice: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close() // as a crash leaves it
	l, err = Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// Whatever a message holds, what passes the reader is what SMTP can carry.
func FuzzStrictReader(f *testing.F) {
	for _, s := range []string{mail, "\r\n", "\n", "\r", "a\r\r\n", ""} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, msg []byte, step int) {
		r := &strictReader{r: &slow{msg, max(1, step%7)}, left: int64(len(msg))}
		got, err := io.ReadAll(r)
		clean := bytes.ReplaceAll(msg, []byte("\r\n"), nil)
		good := !bytes.ContainsAny(clean, "\r\n") && (len(msg) > 0 && bytes.HasSuffix(msg, []byte("\r\n")))
		if good != (err == nil) || good && !bytes.Equal(got, msg) {
			t.Errorf("%q: %q %v", msg, got, err)
		}
	})
}

// slow gives a few octets at a time.
type slow struct {
	b    []byte
	step int
}

func (s *slow) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.step)], s.b)
	s.b = s.b[n:]
	return n, nil
}
