package sendmail

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/certs"
	"waxwing/internal/delivery"
	"waxwing/internal/freeport"
	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// TRA-6: command lines as getopt reads them.
func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		want call
	}{
		{"-t", call{header: true}},
		{"-ti", call{header: true, dots: true}},
		{"-it a@b.test", call{header: true, dots: true, recipients: []string{"a@b.test"}}},
		{"-tif a@b.test", call{header: true, dots: true, from: "a@b.test", fromGiven: true}},
		{"-tifa@b.test x@y.test", call{header: true, dots: true, from: "a@b.test", fromGiven: true, recipients: []string{"x@y.test"}}},
		{"-vtioemf a@b.test", call{header: true, dots: true, recipients: []string{"a@b.test"}}}, // -o takes "emf"
		{"-Gnitr a@b.test", call{header: true, dots: true, from: "a@b.test", fromGiven: true}},
		{"-i -FCronDaemon -B8BITMIME -oem root", call{dots: true, fullName: "CronDaemon", recipients: []string{"root"}}},
		{"-oi -fa@b.test x@y.test", call{dots: true, from: "a@b.test", fromGiven: true, recipients: []string{"x@y.test"}}},
		{"-f<a@b.test> x@y.test", call{from: "a@b.test", fromGiven: true, recipients: []string{"x@y.test"}}},
		{"-f <> x@y.test", call{fromGiven: true, recipients: []string{"x@y.test"}}},
		{"x@y.test -t -f a@b.test", call{header: true, from: "a@b.test", fromGiven: true, recipients: []string{"x@y.test"}}},
		{"-r a@b.test -F Name -bm -oem -odb -v -- -x@y.test", call{from: "a@b.test", fromGiven: true, fullName: "Name", recipients: []string{"-x@y.test"}}},
		{"-B 8BITMIME -h 5 -L tag -X /dev/null -O DeliveryMode=b -p UUCP -e m -Am x@y.test", call{recipients: []string{"x@y.test"}}},
		{"-N success,delay -R full -V e1 -C conf x@y.test", call{notify: []string{"SUCCESS", "DELAY"}, ret: "FULL", envid: "e1", config: "conf", recipients: []string{"x@y.test"}}},
		{"-O RequireTLS x@y.test", call{need: delivery.RequireTLS, needGiven: true, recipients: []string{"x@y.test"}}},
		{"-OTLS-Required=No x@y.test", call{need: delivery.TLSOptional, needGiven: true, recipients: []string{"x@y.test"}}},
		{"-G -n -U -m -d8.7 x@y.test", call{recipients: []string{"x@y.test"}}},
		{"-bs", call{mode: modeSMTP}},
		{"-bs -i", call{mode: modeSMTP, dots: true}}, // Laravel
		{"-i -b s", call{mode: modeSMTP, dots: true}},
		{"-bp", call{mode: modeQueue}},
		{"-bi", call{mode: modeAliases}},
	} {
		if c.want.mode == "" {
			c.want.mode = modeSend
		}
		got, err := parse(strings.Fields(c.args))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n%+v\n%+v %v", c.args, got, c.want, err)
		}
	}
	for _, bad := range []string{"-f", "-tif", "-bd", "-bz", "-b", "-q", "-q30m", "-tq", "-N sometimes", "-N never,delay", "-R none", "--colour"} {
		if _, err := parse(strings.Fields(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// TestArgs: the name under which the program is called stands for a command.
func TestArgs(t *testing.T) {
	t.Parallel()
	for argv, want := range map[string]string{
		"":                           "",
		"waxwing":                    "",
		"/usr/bin/waxwing serve":     "serve",
		"/usr/sbin/sendmail -t":      "sendmail -t",
		"sendmail":                   "sendmail",
		"/usr/bin/mailq -v":          "sendmail -bp -v",
		"newaliases":                 "sendmail -bi",
		"/opt/sendmail/bin/other -t": "-t",
	} {
		if got := strings.Join(Args(strings.Fields(argv)), " "); got != want {
			t.Errorf("%q: %q, want %q", argv, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"-t", "-f a -- b", "-oi\x00-N never", "--", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) { _, _ = parse(strings.Fields(s)) })
}

func TestReadMessage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, want string
		dots     bool
	}{
		{"a\nb\r\nc", "a\r\nb\r\nc\r\n", false},
		{"a\n.\nb\n", "a\r\n", false},
		{"a\n.\nb\n", "a\r\n.\r\nb\r\n", true},
		{"From x Mon\nFrom: y\n", "From: y\r\n", false},
		{">From x Mon\r\nFrom: y\n", "From: y\r\n", false},
		{"a\rb\n", "ab\r\n", false},
		{"\n\n", "\r\n\r\n", false},
	} {
		got, err := readMessage(strings.NewReader(c.in), c.dots)
		if err != nil || string(got) != c.want {
			t.Errorf("%q: %q %v, want %q", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", ".\n"} {
		if _, err := readMessage(strings.NewReader(in), false); err == nil {
			t.Errorf("%q is a message", in)
		}
	}
}

// compose: envelope and header for the usual ways of calling.
func TestCompose(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, msg string
		call      call
		conf      config
		from      string
		to        []string
		have, not []string // lines of the message; parts of it
	}{
		{"-t with Bcc", "From: A <a@b.test>\nTo: x@y.test, Z <z@y.test>\nCc: x@y.test\nBcc: h@y.test\n\nhi\n", call{header: true}, config{},
			"a@b.test", []string{"x@y.test", "z@y.test", "h@y.test"}, []string{"To: x@y.test, Z <z@y.test>", "Date: Mon, 23 Nov 2026 10:00:00 +0000"}, []string{"Bcc"}},
		{"resent", "From: a@b.test\nTo: x@y.test\nResent-To: r@y.test\nResent-From: q@b.test\n\nhi\n", call{header: true, from: "q@b.test", fromGiven: true}, config{},
			"q@b.test", []string{"r@y.test"}, nil, nil},
		{"no header", "just text\n", call{recipients: []string{"x@y.test"}, fullName: "Jö"}, config{From: "me@b.test"},
			"me@b.test", []string{"x@y.test"}, []string{"From: =?utf-8?q?J=C3=B6?= <me@b.test>", "", "just text"}, nil},
		{"bare -f", "Subject: x\n\nhi\n", call{recipients: []string{"x@y.test"}, from: "root", fromGiven: true}, config{From: "me@b.test"},
			"me@b.test", []string{"x@y.test"}, []string{"From: me@b.test"}, nil},
		{"null sender", "Subject: x\n\nhi\n", call{recipients: []string{"x@y.test"}, fromGiven: true}, config{From: "me@b.test"},
			"", []string{"x@y.test"}, []string{"From: me@b.test"}, nil},
		{"TLS-Required", "From: a@b.test\n\nhi\n", call{recipients: []string{"x@y.test"}}, config{need: delivery.TLSOptional},
			"a@b.test", []string{"x@y.test"}, []string{"TLS-Required: No"}, nil},
		{"raw UTF-8", "From: Jö <a@b.test>\nSubject: grüße\n\nhé\n", call{recipients: []string{"x@y.test"}}, config{},
			"a@b.test", []string{"x@y.test"}, []string{"From: =?utf-8?q?J=C3=B6?= <a@b.test>", "hé"}, []string{"grüße"}},
	} {
		in, err := readMessage(strings.NewReader(c.msg), false)
		if err != nil {
			t.Fatal(err)
		}
		if errs := c.conf.check(); len(errs) > 1 { // no server is one fault
			t.Fatal(errs)
		}
		p := &Program{Now: func() time.Time { return at }, Machine: Machine{User: "me", Host: "web1"}}
		o, err := p.compose(in, &c.call, &c.conf)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		text := string(o.bytes())
		if o.from != c.from || !slices.Equal(o.recipients, c.to) || o.smtputf8() {
			t.Errorf("%s: from %q to %q, SMTPUTF8 %v", c.name, o.from, o.recipients, o.smtputf8())
		}
		for _, line := range c.have {
			if !strings.Contains("\r\n"+text, "\r\n"+line+"\r\n") {
				t.Errorf("%s: no line %q in\n%s", c.name, line, text)
			}
		}
		for _, part := range append(c.not, "\r\r", "\n\n") {
			if strings.Contains(text, part) {
				t.Errorf("%s: %q in\n%s", c.name, part, text)
			}
		}
	}
}

func TestReplyCode(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string]int{
		"450 4.2.1": exTempFail, "535 5.7.8": exNoPerm, "550 5.7.1": exNoPerm, "550 5.1.1": exNoUser, "550 5.1.2": exNoHost, "556 5.1.10": exNoHost,
		"552 5.3.4": exDataErr, "550 5.6.0": exDataErr, "554 5.0.0": exUnavailable, "550 ": exUnavailable, "503 5.5.1": exProtocol, "530 ": exNoPerm,
	} {
		var code int
		var e smtp.Enhanced
		fmt.Sscanf(reply, "%d %d.%d.%d", &code, &e.Class, &e.Subject, &e.Detail)
		if got := replyCode(smtp.NewReply(code, e, "x")); got != want {
			t.Errorf("%s: %d, want %d", reply, got, want)
		}
	}
}

// invoke is one call of the program; it returns the exit code.
func invoke(t *testing.T, in io.Reader, out, errs io.Writer, args ...string) int {
	t.Helper()
	p := &Program{Stdin: in, Stdout: out, Stderr: errs, Machine: Machine{User: "me", Host: "web1"}}
	err := p.Run(t.Context(), args)
	var coded *Error
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &coded):
		t.Errorf("an error without a code: %v", err)
		return -1
	}
	fmt.Fprintln(errs, err)
	return coded.Code
}

// submitHost is a submission server on localhost that keeps what it took.
type submitHost struct {
	port  int
	roots string
	mu    sync.Mutex
	got   []string
}

func startSubmitHost(t *testing.T, change func(*smtpserver.Server)) *submitHost {
	t.Helper()
	dir := t.TempDir()
	files := certs.LocalFiles{Cert: filepath.Join(dir, "host.crt"), Key: filepath.Join(dir, "host.key"), CA: filepath.Join(dir, "ca.crt")}
	if err := certs.MakeLocal(files, time.Now(), "localhost"); err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	h := &submitHost{roots: files.CA}
	srv := &smtpserver.Server{Hostname: "localhost", TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, Backend: h, Auth: submitLogins{}, Offer: smtpserver.Offer{RequireTLS: true}}
	if change != nil {
		change(srv)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.port = l.Addr().(*net.TCPAddr).Port
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h
}

type submitLogins struct{}

func (submitLogins) Mechanisms(tls bool) []string {
	if !tls {
		return nil
	}
	return []string{sasl.Plain}
}

func (submitLogins) Start(context.Context, string, smtpserver.Conn) (sasl.Server, *smtp.Reply) {
	return sasl.NewPlainServer(func(user, password string) (string, error) {
		if user != "me" || password != "hunter2" {
			return "", sasl.ErrFailed
		}
		return user, nil
	}), nil
}

type submitSession struct {
	h    *submitHost
	conn smtpserver.Conn
	line string
}

func (h *submitHost) NewSession(_ context.Context, c smtpserver.Conn) (smtpserver.Session, error) {
	return &submitSession{h: h, conn: c}, nil
}

func (s *submitSession) Mail(_ context.Context, p smtp.MailParams) error {
	if s.conn.Identity() == "" || s.conn.TLS() == nil {
		return smtp.NewReply(530, smtp.Enhanced{Class: 5, Subject: 7}, "log in first")
	}
	s.line = fmt.Sprintf("%s %s requiretls=%v:", s.conn.Identity(), p.From, p.RequireTLS)
	return nil
}

func (s *submitSession) Rcpt(_ context.Context, p smtp.RcptParams) error {
	if p.To.Local == "nobody" {
		return smtp.NewReply(550, smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}, "no such user")
	}
	s.line += fmt.Sprintf(" %s%v", p.To, p.Notify)
	return nil
}

func (s *submitSession) Data(_ context.Context, r io.Reader) (*smtp.Reply, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.got = append(s.h.got, s.line+"\n"+string(b))
	return smtp.NewReply(250, smtp.Enhanced{Class: 2}, "taken"), nil
}

func (s *submitSession) Reset() {}
func (s *submitSession) Close() {}

// TRA-5 over a submission server: verified TLS only, exit codes, and never silent.
func TestSendmailSubmits(t *testing.T) {
	t.Parallel()
	implicit := func(s *smtpserver.Server) { s.ImplicitTLS = true }
	for _, c := range []struct {
		name   string
		host   func(*smtpserver.Server)
		conf   string // further lines
		roots  bool
		args   string
		code   int
		stderr string
		took   string // first line of what the server took
	}{
		{name: "STARTTLS", conf: "tls = \"starttls\"", roots: true, args: "-t", took: "me a@b.test requiretls=false: x@y.test[]"},
		{name: "implicit TLS", host: implicit, conf: "tls = \"implicit\"", roots: true, args: "-t -N failure", took: "me a@b.test requiretls=false: x@y.test[FAILURE]"},
		{name: "REQUIRETLS", conf: "need = \"require-tls\"", roots: true, args: "-t", took: "me a@b.test requiretls=true: x@y.test[]"},
		{name: "REQUIRETLS not offered", host: func(s *smtpserver.Server) { s.Offer.RequireTLS = false }, roots: true, args: "-t --require-tls", code: exUnavailable, stderr: "does not offer REQUIRETLS"},
		{name: "unknown authority", args: "-t", code: exNoPerm, stderr: "the message was not sent"},
		{name: "no TLS", host: func(s *smtpserver.Server) { s.TLS, s.Auth = nil, nil }, roots: true, args: "-t", code: exUnavailable, stderr: "STARTTLS, without which nothing is sent"},
		{name: "wrong password", conf: "password = \"guess\"", roots: true, args: "-t", code: exNoPerm, stderr: "logging in as me"},
		{name: "mechanism not offered", conf: "mechanisms = [\"SCRAM-SHA-256\"]", roots: true, args: "-t", code: exNoPerm, stderr: "no usable authentication mechanism"},
		{name: "one recipient refused", roots: true, args: "x@y.test nobody@y.test", code: exNoUser, stderr: "sent to 1 of 2 recipients", took: "me a@b.test requiretls=false: x@y.test[]"},
		{name: "all refused", roots: true, args: "nobody@y.test", code: exNoUser, stderr: "refused every recipient, and nothing was sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := startSubmitHost(t, c.host)
			conf := fmt.Sprintf("server = \"localhost\"\nport = %d\nuser = \"me\"\n%s\n", h.port, c.conf)
			if !strings.Contains(conf, "password") {
				conf += "password = \"hunter2\"\n"
			}
			if c.roots {
				conf += fmt.Sprintf("roots_file = %q\n", h.roots)
			}
			file := filepath.Join(t.TempDir(), "sendmail.toml")
			if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			code := invoke(t, strings.NewReader("From: a@b.test\nTo: x@y.test\nSubject: x\n\nhello\n"), &out, &errs, append([]string{"-C", file}, strings.Fields(c.args)...)...)
			if code != c.code || !strings.Contains(errs.String(), c.stderr) || (code == 0) != (errs.Len() == 0) || out.Len() > 0 {
				t.Errorf("exit code %d: %s%s", code, errs.String(), out.String())
			}
			if strings.Contains(errs.String(), "hunter2") {
				t.Error("the password is told")
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			if len(h.got) > 1 || (c.took == "") != (len(h.got) == 0) {
				t.Fatalf("it took %q", h.got)
			}
			if c.took != "" && (!strings.HasPrefix(h.got[0], c.took+"\n") || !strings.HasSuffix(h.got[0], "\r\n\r\nhello\r\n")) {
				t.Errorf("%q", h.got[0])
			}
		})
	}
}

// A server that is not there is a matter of trying again.
func TestSendmailUnreachable(t *testing.T) {
	t.Parallel()
	port := freeport.Port(t)
	file := filepath.Join(t.TempDir(), "sendmail.toml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "server = \"localhost\"\nport = %d\n", port), 0o600); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	code := invoke(t, strings.NewReader("Subject: x\n\nhi\n"), io.Discard, &errs, "-C", file, "-f", "a@b.test", "x@y.test")
	if code != exTempFail || !strings.Contains(errs.String(), "the message was not sent") {
		t.Errorf("%d %s", code, errs.String())
	}
}
