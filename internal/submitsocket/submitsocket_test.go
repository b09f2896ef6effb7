package submitsocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"waxwing/smtp"
	"waxwing/smtpclient"
	"waxwing/smtpserver"
)

// backend takes mail and notes it.
type backend struct {
	mu   sync.Mutex
	got  []string
	hold chan struct{} // Data waits for it, if set
}

type taking struct {
	b    *backend
	conn smtpserver.Conn
	line string
}

func (b *backend) NewSession(_ context.Context, c smtpserver.Conn) (smtpserver.Session, error) {
	return &taking{b: b, conn: c}, nil
}

func (s *taking) Mail(_ context.Context, p smtp.MailParams) error {
	if p.From.Local == "other" {
		return smtp.NewReply(553, smtp.Enhanced{Class: 5, Subject: 7, Detail: 1}, "not yours")
	}
	s.line = fmt.Sprintf("%s %q null=%v requiretls=%v utf8=%v %s %s:", s.conn.Identity(), p.From.String(), p.Null, p.RequireTLS, p.SMTPUTF8, p.EnvID, p.Ret)
	return nil
}

func (s *taking) Rcpt(_ context.Context, p smtp.RcptParams) error {
	if p.To.Local == "nobody" {
		return smtp.NewReply(550, smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}, "no such user")
	}
	if p.To.Local == "broken" {
		return errors.New("the database holds its breath")
	}
	s.line += fmt.Sprintf(" %s%v", p.To, p.Notify)
	return nil
}

func (s *taking) Data(_ context.Context, r io.Reader) (*smtp.Reply, error) {
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

func (s *taking) Reset() {}
func (s *taking) Close() {}

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

// request is one message for submit.
type request struct {
	from       string
	recipients []string
	requireTLS bool
	smtputf8   bool
	envid, ret string
	notify     string
}

var ok = request{from: "a@b.test", recipients: []string{"x@y.test"}}

// submit hands a message in and returns the reply that settles it.
func submit(ctx context.Context, path string, req request, msg string) (*smtp.Reply, error) {
	nc, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	c := smtpclient.New(nc, smtpclient.Options{HELO: "program"})
	defer c.Close()
	_, err = c.Greeting(ctx)
	if err == nil {
		err = c.Hello(ctx)
	}
	var refused *smtpclient.ReplyError
	if errors.As(err, &refused) {
		return refused.Reply, nil
	}
	if err != nil {
		return nil, err
	}
	tx := smtpclient.Transaction{Body: strings.NewReader(msg), Size: int64(len(msg)),
		Mail: smtpclient.MailOptions{From: req.from, RequireTLS: req.requireTLS, SMTPUTF8: req.smtputf8, EnvID: req.envid, Ret: req.ret, Size: int64(len(msg))}}
	for _, to := range req.recipients {
		tx.Rcpts = append(tx.Rcpts, smtpclient.RcptOptions{To: to, Notify: req.notify})
	}
	res, err := c.Transaction(ctx, tx)
	switch {
	case res != nil && res.Mail != nil && !res.Mail.Positive():
		return res.Mail, nil
	case err != nil || res.Data != nil:
		return res.Data, err
	}
	return res.Rcpts[0], nil
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	b, path, _ := start(t, func(s *Server) { s.MessageSize, s.Recipients = 1000, 3 })
	with := func(change func(*request)) request { r := ok; change(&r); return r }
	for _, c := range []struct {
		name string
		req  request
		msg  string
		want string
	}{
		{"plain", ok, mail, "250 2.0.0 taken thank you"},
		{"everything", request{from: "", recipients: []string{"x@y.test", "ü@y.test"}, requireTLS: true, smtputf8: true, envid: "e", ret: "FULL", notify: "SUCCESS,DELAY"}, mail, "250"},
		{"sender refused", with(func(r *request) { r.from = "other@b.test" }), mail, "553 5.7.1 not yours"},
		{"no address", with(func(r *request) { r.from = "<>" }), mail, "501 5.1.7"},
		{"one recipient refused: nothing is sent", with(func(r *request) { r.recipients = []string{"x@y.test", "nobody@y.test"} }), mail, "550 5.1.1 nothing was sent: a recipient was refused: no such user"},
		{"all refused", with(func(r *request) { r.recipients = []string{"nobody@y.test"} }), mail, "550 5.1.1 no such user"},
		{"local error", with(func(r *request) { r.recipients = []string{"x@y.test", "broken@y.test"} }), mail, "451 4.3.0 nothing was sent: a recipient was refused: local error"},
		{"recipient no address", with(func(r *request) { r.recipients = []string{"x@y.test", "x y"} }), mail, "501 5.1.3 nothing was sent"},
		{"too many recipients", with(func(r *request) { r.recipients = []string{"a@y.test", "b@y.test", "c@y.test", "d@y.test"} }), mail, "452 4.5.3 nothing was sent"},
		{"too large", ok, mail + strings.Repeat("x\r\n", 400), "552 5.3.4"},
		{"RET", with(func(r *request) { r.ret = "SOME" }), mail, "501 5.5.4"},
		{"NOTIFY", with(func(r *request) { r.notify = "NEVER,DELAY" }), mail, "501 5.5.4"},
	} {
		before := b.took()
		r, err := submit(t.Context(), path, c.req, c.msg)
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

// However many recipients are refused, the answer comes at once: nobody guesses here.
func TestManyRefusedRecipients(t *testing.T) {
	t.Parallel()
	_, path, _ := start(t, nil)
	text := "EHLO x\r\nMAIL FROM:<a@b.test>\r\n" + strings.Repeat("RCPT TO:<nobody@y.test>\r\n", 200) + "QUIT\r\n"
	if got := raw(t, path, text); strings.Count(strings.Join(got, "\n"), "\n550 5.1.1") != 200 {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
}

// The user id at the other end decides, and nothing that the program says.
func TestUnknownUser(t *testing.T) {
	t.Parallel()
	b, path, _ := start(t, func(s *Server) { s.Users = map[uint32]User{4242: {Account: "x"}} })
	r, err := submit(t.Context(), path, ok, mail)
	if err != nil || r.Code != 550 || !strings.Contains(r.Text(), fmt.Sprintf("the id %d may not", os.Getuid())) || b.took() != 0 {
		t.Errorf("%v %v", r, err)
	}
	_, path, _ = start(t, func(s *Server) { s.Peer = func(net.Conn) (uint32, error) { return 0, errors.New("no idea") } })
	if r, err := submit(t.Context(), path, ok, mail); err != nil || r.Code != 451 {
		t.Errorf("%v %v", r, err)
	}
}

// raw sends octets, and nothing more, and returns the lines that come.
func raw(t *testing.T, path, text string) []string {
	t.Helper()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	go func() {
		io.WriteString(nc, text)
		nc.(*net.UnixConn).CloseWrite()
	}()
	all, err := io.ReadAll(nc)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("%.40q: %v", text, err)
	}
	return strings.Split(strings.TrimSuffix(string(all), "\r\n"), "\r\n")
}

func TestGarbage(t *testing.T) {
	t.Parallel()
	b, path, _ := start(t, nil)
	const begun = "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<x@y.test>\r\n"
	for text, want := range map[string]string{
		"{}\r\n": "500 5.5.2", "{}\n": "500 5.5.2", "": "", strings.Repeat("x", 2<<20): "421 4.5.0", "GET / HTTP/1.1\r\n": "554 5.5.1",
		"EHLO x\r\nMAIL FROM:<a@b.test>\r\nDATA\r\n":   "554 5.5.1",
		begun + "DATA\r\nSubject: x\r\n\r\nhello\r\n":  "354",
		begun + "DATA\r\nSubject: x\r\n\r\nhello\n.\n": "521 5.5.2",
		begun + "DATA\r\nx\r\n\n.\n\r\n.\r\n":          "521 5.5.2",
		begun + "BDAT 9 LAST\r\nno end yet":            "250",
		begun + "BDAT 100 LAST\r\nshort\r\n":           "250",
	} {
		got := raw(t, path, text)
		if want != "" && !strings.HasPrefix(got[len(got)-1], want) {
			t.Errorf("%.60q: %q, want %s", text, got, want)
		}
	}
	for _, to := range []string{strings.Repeat("x", 20_000) + "@y.test", "\xff@y.test", "a\x01@y.test"} {
		got := raw(t, path, begun+"RCPT TO:<"+to+">\r\nDATA\r\n"+mail+".\r\n")
		if last := got[len(got)-1]; !strings.HasPrefix(last, "5") || !strings.Contains(last, "nothing was sent") {
			t.Errorf("beside the recipient %.20q: %q", to, got)
		}
	}
	if b.took() != 1 { // BDAT of nine octets
		t.Errorf("garbage was taken for mail: %q", b.got)
	}
	got := strings.Join(raw(t, path, begun+"DATA\r\n"+mail+".\r\nMAIL FROM:<a@b.test>\r\n"), "\n")
	if !strings.Contains(got, "\n250 2.0.0 thank you\n421 4.7.0") {
		t.Errorf("a second message: %s", got)
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
		r, err := submit(context.Background(), path, ok, mail)
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
	if _, err := submit(t.Context(), path, ok, mail); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
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
	if _, err := Listen(file); err == nil || !strings.Contains(err.Error(), "is there and no socket") {
		t.Errorf("over a file: %v", err)
	}
	path := filepath.Join(dir, "s.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "in use by another process") {
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
