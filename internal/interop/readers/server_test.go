package readers

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/server"
)

const (
	host     = "localhost"
	password = "correct-horse-battery"
)

// need skips a test for which a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("WAXWING_INTEROP") == "required" {
			t.Fatal(p + " is not installed")
		}
		t.Skip("interoperation: " + p + " is not installed")
	}
}

// many is how many messages lie on each side at first.
func many() int {
	if n, err := strconv.Atoi(os.Getenv("WAXWING_READERS_MESSAGES")); err == nil {
		return n
	}
	if testing.Short() {
		return 50
	}
	return 120
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// waxwing is a running server with an account joe, and one of another name where a program
// carries mail from one account to another.
type waxwing struct {
	t    *testing.T
	dir  string // for the program's files
	ca   string // the file with the authority of the server's certificate
	port string // of imaps
	edit string // the port of ManageSieve
	web  string // the port of https, at which JMAP is; "": there is none
	log  *lines
	// utf7: names are in modified UTF-7 alone. It is Dovecot.
	utf7 bool
}

// listening is the configuration of a server that has a listener of each kind, at the address that at gives.
func listening(hostname string, at func() string, kinds ...string) string {
	text := fmt.Sprintf("hostname = %q\ndata_dir = \"data\"\n", hostname)
	for _, kind := range kinds {
		text += fmt.Sprintf("[[listen]]\naddress = %q\nkind = %q\n", at(), kind)
	}
	return text + "[tls]\nlocal_ca = true\n[resolver]\nservers = [\"127.0.0.1:9\"]\nselftest = { signed = \"\", bogus = \"\", large = \"\" }\n[incoming]\nverify = false\n"
}

// anyPort is of this machine.
func anyPort() string { return "127.0.0.1:0" }

// certify makes a certificate for name, of an authority of its own, whose file is returned.
func certify(t *testing.T, cfg *config.Config, name string) (ca string) {
	t.Helper()
	var files certs.LocalFiles
	files.Cert, files.Key, files.CA = cfg.TLSFiles()
	if err := certs.MakeLocal(files, time.Now(), name); err != nil {
		t.Fatal(err)
	}
	return files.CA
}

// start runs a Waxwing until the test ends. Nothing that it logs may be an error.
func start(t *testing.T, programs ...string) *waxwing {
	t.Helper()
	need(t, programs...)
	w := &waxwing{t: t, dir: t.TempDir(), log: &lines{}}
	if os.Getenv(peerEnv) == "dovecot" {
		w.dovecot()
		return w
	}
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "waxwing.toml"), []byte(listening("mail.example.test", anyPort, "imaps", "managesieve", "https")))
	if err != nil {
		t.Fatal(err)
	}
	w.ca = certify(t, cfg, host)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	log := slog.New(slog.NewTextHandler(w.log, nil))
	if _, err := datadir.InitStore(ctx, cfg, log); err != nil {
		t.Fatal(err)
	}
	s, err := server.New(ctx, server.Options{Config: cfg, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Accounts.AddDomain(ctx, dns.MustParse("example.test")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"joe", "ann"} {
		if err := s.Accounts.AddAccount(ctx, name, password); err != nil {
			t.Fatal(err)
		}
		if err := s.Accounts.AddAddress(ctx, name+"@example.test", name); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	_, w.port, _ = net.SplitHostPort(s.Addr(config.IMAPS).String())
	_, w.edit, _ = net.SplitHostPort(s.Addr(config.ManageSieve).String())
	_, w.web, _ = net.SplitHostPort(s.Addr(config.HTTPS).String())
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for line := range strings.SplitSeq(w.log.text(), "\n") {
			if strings.Contains(line, "level=ERROR") || strings.Contains(line, "panic") {
				t.Errorf("the server's log: %s", line)
			}
		}
	})
	return w
}

// write writes a file of the program's and returns its path. In it, HOST, PORT, EDIT (of ManageSieve), WEB (of https), PASSWORD, CA
// and DIR stand for what they name.
func (w *waxwing) write(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(w.filled(text)), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *waxwing) filled(text string) string {
	return strings.NewReplacer("$HOST", host, "$PORT", w.port, "$EDIT", w.edit, "$WEB", w.web, "$PASSWORD", password, "$CA", w.ca, "$DIR", w.dir).Replace(text)
}

// command runs the program and returns what it says. It must end well and in time.
func (w *waxwing) command(name string, args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Minute)
	defer cancel()
	for i := range args {
		args[i] = w.filled(args[i])
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "HOME="+w.dir, "LC_ALL=C.UTF-8", "TERM=xterm", "SSL_CERT_FILE="+w.ca, "XDG_CONFIG_HOME="+w.dir, "XDG_DATA_HOME="+w.dir, "XDG_CACHE_HOME="+w.dir)
	cmd.WaitDelay = time.Second
	said, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", name, err, tail(string(said)))
	}
	return string(said)
}

// clean fails for each line that a program said and that is none of those allowed.
func clean(t *testing.T, said string, allowed ...string) {
	t.Helper()
	for line := range strings.SplitSeq(said, "\n") {
		known := strings.TrimSpace(line) == ""
		for _, a := range allowed {
			known = known || strings.Contains(line, a)
		}
		if !known {
			t.Errorf("it said: %s", line)
		}
	}
}

func tail(s string) string {
	if len(s) > 6000 {
		s = fmt.Sprintf("…%s", s[len(s)-6000:])
	}
	return s
}
