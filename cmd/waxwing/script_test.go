package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpclient"
	"waxwing/smtpserver"
)

// TestScripts runs testdata/script/*.txtar: each command of the program as its
// own process, as an operator types it. What the scripts may use beside
// testscript's own commands stands in scriptCommands, and the environment in
// scriptSetup.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	if testing.Short() { // every third, and others tomorrow: each command in them starts the program
		today, n := time.Now().YearDay()%3, 0
		files = slices.DeleteFunc(files, func(string) bool { n++; return n%3 != today })
	}
	var machines atomic.Int32
	testscript.Run(t, testscript.Params{
		Files:               files,
		Setup:               func(e *testscript.Env) error { return scriptSetup(e, int(machines.Add(1))) },
		Cmds:                scriptCommands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "short":
				return testing.Short(), nil
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
	})
}

// scriptSetup puts the program on PATH and makes the world of one script:
//
//	$MX $SUB $SUBS $METRICS $ADMIN  free addresses to listen on, of the host $HOST
//	$DNS                     a resolver that knows the zones below
//	$SILENT                  a resolver that never answers
//	$PORT                    where the mail host of every zone listens: it has no TLS
//	$REPORTS                 the corpus of real TLS reports
//	$DOCS                    the documentation
func scriptSetup(e *testscript.Env, n int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := filepath.Join(e.WorkDir, ".bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	if err := os.Symlink(self, filepath.Join(bin, "waxwing")); err != nil {
		return err
	}
	reports, err := filepath.Abs(filepath.Join("..", "..", "tlsrpt", "testdata"))
	if err != nil {
		return err
	}
	docs, err := filepath.Abs(filepath.Join("..", "..", "docs"))
	if err != nil {
		return err
	}
	zones, err := dnstest.Start(scriptZones()...)
	if err != nil {
		return err
	}
	e.Defer(zones.Close)
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	e.Defer(func() { silent.Close() })
	port, stop, err := startPlainHost()
	if err != nil {
		return err
	}
	e.Defer(stop)
	e.Setenv("PORT", strconv.Itoa(port))
	// Every script has an address of 127.0.0.0/8 to itself, so that none takes
	// another's port.
	host := fmt.Sprintf("127.%d.%d.%d", 64+os.Getpid()>>8&63, os.Getpid()&255, 1+n%250)
	e.Setenv("HOST", host)
	e.Values[zonesKey{}] = zones
	for i, name := range []string{"MX", "SUB", "SUBS", "METRICS", "IMAP", "IMAPS", "ADMIN"} {
		e.Setenv(name, net.JoinHostPort(host, strconv.Itoa(2500+i)))
	}
	e.Setenv("WAXWING_RUN", "1")
	e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
	e.Setenv("DNS", zones.Addr())
	e.Setenv("SILENT", silent.LocalAddr().String())
	e.Setenv("REPORTS", reports)
	e.Setenv("DOCS", docs)
	return nil
}

func scriptZones() []dnstest.Zone {
	return []dnstest.Zone{
		{Name: "dane.test", Security: dns.Secure, Records: []string{"@ MX 10 mx", "mx A 127.0.0.1", "@ DNSKEY 257 3 8 AwEAAag=",
			`_smtp._tls TXT "v=TLSRPTv1; rua=mailto:you@example.test"`,
			"_25._tcp.mx TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}},
		{Name: "bogus.test", Security: dns.Bogus, Records: []string{"@ A 127.0.0.1"}},
		{Name: "null.test", Security: dns.Insecure, Records: []string{"@ MX 0 ."}},
		{Name: "plain.test", Security: dns.Insecure, Records: []string{"@ MX 10 mx", "mx A 127.0.0.1"}},
		{Name: "sender.test", Security: dns.Insecure, Records: []string{"@ MX 10 mx", "mx A 127.0.0.1"}},
	}
}

// plainHost is a mail host without TLS that takes everything.
type plainHost struct{}

func (plainHost) NewSession(context.Context, smtpserver.Conn) (smtpserver.Session, error) {
	return plainHost{}, nil
}
func (plainHost) Mail(context.Context, smtp.MailParams) error { return nil }
func (plainHost) Rcpt(context.Context, smtp.RcptParams) error { return nil }
func (plainHost) Reset()                                      {}
func (plainHost) Close()                                      {}
func (plainHost) Data(_ context.Context, r io.Reader) (*smtp.Reply, error) {
	_, err := io.Copy(io.Discard, r)
	return smtp.NewReply(250, smtp.Enhanced{}, "taken"), err
}

func startPlainHost() (port int, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	srv := &smtpserver.Server{Hostname: "mx.plain.test", Backend: plainHost{}, Timeouts: smtpserver.Timeouts{Drain: time.Millisecond}}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	return l.Addr().(*net.TCPAddr).Port, func() { cancel(); <-done }, nil
}

type scriptCommand = func(ts *testscript.TestScript, neg bool, args []string)

func scriptCommands() map[string]scriptCommand {
	return map[string]scriptCommand{
		"machine":    scriptMachine,
		"listening":  scriptListening,
		"submit":     scriptSubmit,
		"eventually": scriptEventually,
		"within":     scriptWithin,
		"rows":       scriptRows,
		"exits":      scriptExits,
		"publish":    scriptPublish,
		"page":       scriptPage,
	}
}

// scriptMachine is "machine RESOLVER [LINE …]": quickstart -local for
// you@example.test in the current directory, with the script's own addresses
// and resolver, and the password "a-good-password". Lines are appended; a first
// one with a selftest goes to the resolver, which else is not tested.
func scriptMachine(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: machine RESOLVER [LINE …]")
	}
	ts.Check(ts.Exec("waxwing", "quickstart", "-local", "you@example.test"))
	path := ts.MkAbs("waxwing.toml")
	text := ts.ReadFile("waxwing.toml")
	for _, name := range []string{"MX", "SUB", "SUBS", "METRICS", "IMAP", "IMAPS", "ADMIN"} {
		kind := map[string]string{"MX": "mx", "SUB": "submission", "SUBS": "submissions", "METRICS": "metrics", "IMAP": "imap", "IMAPS": "imaps", "ADMIN": "admin"}[name]
		re := regexp.MustCompile(`address = "127\.0\.0\.1:\d+"(\nkind = "` + kind + `")`)
		if !re.MatchString(text) {
			ts.Fatalf("quickstart made no listener of kind %s:\n%s", kind, text)
		}
		text = re.ReplaceAllString(text, `address = "`+ts.Getenv(name)+`"$1`)
	}
	selftest, lines := `selftest = { signed = "", bogus = "", large = "" }`, args[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "selftest") {
		selftest, lines = lines[0], lines[1:]
	}
	text = strings.Replace(text, `servers = ["system"]`, fmt.Sprintf("servers = [%q]\n%s", args[0], selftest), 1)
	text += strings.Join(lines, "\n") + "\n"
	ts.Check(os.WriteFile(path, []byte(text), 0o600))
	cmd := exec.Command(filepath.Join(ts.Getenv("WORK"), ".bin", "waxwing"), "account", "password", "you")
	cmd.Dir, cmd.Env = filepath.Dir(path), append(os.Environ(), "WAXWING_RUN=1")
	cmd.Stdin = strings.NewReader("a-good-password\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("password: %v: %s", err, out)
	}
}

// scriptListening is "listening ADDR": waits until something does.
func scriptListening(ts *testscript.TestScript, neg bool, args []string) {
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", args[0], time.Second)
		if err == nil {
			c.Close()
		}
		if (err == nil) != neg {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("listening on %s: %v", args[0], err)
		}
	}
}

// scriptSubmit is "submit [-user U -password P] [-implicit] [-from A] ADDR TO": it hands a mail
// in; with a user over TLS. It fails with the server's answer.
func scriptSubmit(ts *testscript.TestScript, neg bool, args []string) {
	fs := flag.NewFlagSet("submit", flag.ContinueOnError)
	m := mailing{}
	fs.StringVar(&m.user, "user", "", "")
	fs.StringVar(&m.password, "password", "a-good-password", "")
	fs.StringVar(&m.from, "from", "you@example.test", "")
	fs.StringVar(&m.subject, "subject", "a mail", "")
	fs.BoolVar(&m.implicit, "implicit", false, "")
	within := fs.Duration("within", 10*time.Second, "")
	ts.Check(fs.Parse(args))
	if fs.NArg() != 2 {
		ts.Fatalf("usage: submit [FLAGS] ADDR TO")
	}
	m.addr, m.to = fs.Arg(0), fs.Arg(1)
	ctx, cancel := context.WithTimeout(context.Background(), *within)
	defer cancel()
	err := m.send(ctx)
	if neg {
		if err == nil {
			ts.Fatalf("the mail was taken")
		}
		fmt.Fprintln(ts.Stdout(), err)
		return
	}
	ts.Check(err)
}

// mailing is one mail to hand in.
type mailing struct {
	addr, user, password, from, to, subject string
	implicit                                bool
}

func (m mailing) send(ctx context.Context) error {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", m.addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	conf := &tls.Config{InsecureSkipVerify: true} // the certificates are tested elsewhere
	if m.implicit {
		nc = tls.Client(nc, conf)
	}
	c := smtpclient.New(nc, smtpclient.Options{HELO: "client.test"})
	if _, err := c.Greeting(ctx); err != nil {
		return err
	}
	if err := c.Hello(ctx); err != nil {
		return err
	}
	if m.user != "" {
		if !m.implicit {
			if err := c.StartTLS(ctx, conf); err != nil {
				return err
			}
			if err := c.Hello(ctx); err != nil {
				return err
			}
		}
		if err := c.Auth(ctx, sasl.NewPlainClient("", m.user, m.password)); err != nil {
			return err
		}
	}
	body := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: <%d@client.test>\r\nDate: %s\r\n\r\nHello.\r\n",
		m.from, m.to, m.subject, time.Now().UnixNano(), time.Now().Format(time.RFC1123Z))
	res, err := c.Transaction(ctx, smtpclient.Transaction{Mail: smtpclient.MailOptions{From: m.from},
		Rcpts: []smtpclient.RcptOptions{{To: m.to}}, Body: strings.NewReader(body)})
	switch {
	case err != nil:
		return err
	case !res.Mail.Positive():
		return res.Mail
	case !res.Rcpts[0].Positive():
		return res.Rcpts[0]
	case !res.Accepted(0):
		return res.Data
	}
	return c.Quit(ctx)
}

// scriptEventually is "eventually PATTERN PROGRAM ARG…": runs it until its output matches.
func scriptEventually(ts *testscript.TestScript, neg bool, args []string) {
	re, err := regexp.Compile(args[0])
	ts.Check(err)
	var out string
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if ts.Exec(args[1], args[2:]...) != nil {
			continue
		}
		out = ts.ReadFile("stdout")
		if re.MatchString(out) != neg {
			return
		}
	}
	ts.Fatalf("%v: no %q but, in two minutes,\n%s", args[1:], args[0], out)
}

// scriptWithin is "within DURATION PROGRAM ARG…"; "!" as for exec.
func scriptWithin(ts *testscript.TestScript, neg bool, args []string) {
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	start := time.Now()
	err = ts.Exec(args[1], args[2:]...)
	if d := time.Since(start); d > limit {
		ts.Fatalf("it took %s", d)
	}
	if (err == nil) == neg {
		ts.Fatalf("%v: %v", args[1:], err)
	}
}

// scriptRows is "rows MIN FIELD…": stdout is JSON, at least MIN objects, with
// these fields in each; a field FIELD=VALUE must be that.
func scriptRows(ts *testscript.TestScript, _ bool, args []string) {
	least, err := strconv.Atoi(args[0])
	ts.Check(err)
	var rows []map[string]json.RawMessage
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &rows))
	if len(rows) < least {
		ts.Fatalf("%d rows, want %d", len(rows), least)
	}
	for i, r := range rows {
		for _, f := range args[1:] {
			name, value, must := strings.Cut(f, "=")
			got, ok := r[name]
			if !ok || must && string(got) != value && string(got) != strconv.Quote(value) {
				ts.Fatalf("row %d: %s is %s; the row is %v", i, f, got, r)
			}
		}
	}
}

// scriptExits is "exits CODE PROGRAM ARG…".
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("%v: exit code %s, want %s", args[1:], got, args[0])
	}
}

type zonesKey struct{}

// scriptPublish is "publish ZONE secure|insecure|bogus RECORD…": $DNS then has the
// zone, and it alone of that name. The record "-" stands for the lines of stdout.
func scriptPublish(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: publish ZONE STATE RECORD…")
	}
	z := dnstest.Zone{Name: args[0], Security: map[string]dns.Security{"secure": dns.Secure, "insecure": dns.Insecure, "bogus": dns.Bogus}[args[1]]}
	for _, r := range args[2:] {
		if r == "-" {
			z.Records = append(z.Records, strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")...)
			continue
		}
		z.Records = append(z.Records, r)
	}
	ts.Check(ts.Value(zonesKey{}).(*dnstest.Server).Set(z))
}

// TestEveryCommandHasAScript keeps the scripts complete.
func TestEveryCommandHasAScript(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var all []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	for _, c := range tree().Commands() {
		if !bytes.Contains(all, []byte("waxwing "+c.Name())) {
			t.Errorf("no script runs waxwing %s", c.Name())
		}
	}
}
