//go:build unix

package main

import (
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"waxwing/internal/freeport"
)

// OPS-4: PostgreSQL is stopped and started three times under load, as by an operator and
// as by a crash. While it is away mail is answered 4xx; the same server process takes mail
// again by itself; nothing that was answered with 250 is lost, and nothing goes out twice
// for it.
func TestPostgresAway(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("stops and starts a PostgreSQL of its own for half a minute; not with -short")
	}
	db := startPostgres(t)
	k := &killed{t: t, dir: t.TempDir(), acked: map[string]bool{}, password: "outage-test-password"}
	k.setup(db.url)
	cmd, log := k.serve()
	defer cmd.Process.Kill()
	stop := k.load(6)
	for _, how := range []string{"fast", "immediate", "fast"} {
		k.more(40)
		k.round.Add(1)
		db.ctl(t, "stop", "-m", how)
		k.answers(4, time.Minute)
		db.start(t)
		k.answers(2, time.Minute)
		k.more(40)
	}
	stop()
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve ended with %v: %s", err, log.String())
	}
	if s := log.String(); strings.Contains(s, "panic") {
		t.Errorf("serve said: %s", s)
	}
	k.round.Add(1)
	k.settle()
	k.check()
}

// OPS-4: the resolver is stopped and started under load. Mail is taken or answered 4xx, and
// none is given up: what cannot be looked up waits, and goes out by itself when the resolver
// is back.
func TestResolverAway(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("stops and starts a resolver; not with -short")
	}
	k := loaded(t)
	resolver := k.resolver()
	stopResolver := resolver()
	cmd, log := k.serve()
	defer cmd.Process.Kill()
	stop := k.load(4)
	for range 2 {
		k.more(40)
		stopResolver()
		k.more(20)
		said(t, log, "word=dns-", 1) // deliveries are put off for it
		k.answers(0, 3*time.Second)
		stopResolver = resolver()
		k.more(20)
		log.Reset()
	}
	stop()
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve ended with %v", err)
	}
	k.round.Add(1)
	k.settle()
	k.check()
	stopResolver()
}

// resolver has the server ask an unbound, which asks the test's name server. What it
// returns starts it, and returns what stops it.
func (k *killed) resolver() (start func() (stop func())) {
	t := k.t
	t.Helper()
	if _, err := exec.LookPath("unbound"); err != nil {
		t.Skip(err)
	}
	addr := freeport.Addr(t)
	servers := regexp.MustCompile(`servers = \["([^"]*)"\]`)
	var origin string
	k.edit(func(s string) string {
		origin = servers.FindStringSubmatch(s)[1]
		s = servers.ReplaceAllString(s, fmt.Sprintf("servers = [%q]\ntimeout = \"500ms\"", addr))
		return strings.Replace(s, "[delivery]\n", "[delivery]\nretry = [\"1s\"]\n", 1)
	})
	at := func(addr string) string { return strings.Replace(addr, ":", "@", 1) }
	conf := filepath.Join(t.TempDir(), "unbound.conf")
	text := fmt.Sprintf("server:\n interface: %s\n do-ip6: no\n do-not-query-localhost: no\n local-zone: \"test.\" nodefault\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n"+
		" cache-max-ttl: 0\n cache-max-negative-ttl: 0\n use-syslog: no\n module-config: iterator\nremote-control:\n control-enable: no\nstub-zone:\n name: \"test.\"\n stub-addr: %s\n", at(addr), at(origin))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() func() {
		t.Helper()
		cmd := exec.Command("unbound", "-d", "-c", conf)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for over := clock(20); ; {
			if c, err := net.Dial("tcp", addr); err == nil {
				c.Close()
				break
			}
			if over() {
				t.Fatal("unbound does not listen")
			}
		}
		return func() { cmd.Process.Kill(); cmd.Wait() }
	}
}

// answers offers mail at both doors for a while. Each must be answered with a code of a
// class within it (0: any); never may one be refused for good.
func (k *killed) answers(class int, within time.Duration) {
	k.t.Helper()
	for _, addr := range []string{k.mx, k.sub} {
		seen := 0
		for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			code := k.offer(addr)
			if code >= 500 {
				k.t.Errorf("%s answers %d", addr, code)
			}
			if seen = code / 100; class != 0 && seen == class {
				break
			}
		}
		if class != 0 && seen != class {
			k.t.Errorf("%s answered no %dxx within %v", addr, class, within)
		}
	}
}

// offer offers a message and returns the last reply's code; 0: there was none.
func (k *killed) offer(addr string) int {
	nc, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return 0
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	c, err := smtp.NewClient(nc, "127.0.0.1")
	if err == nil && addr == k.sub {
		err = k.logIn(c)
	}
	if err == nil {
		from, to := "someone@elsewhere.test", "anyone@local.test"
		if addr == k.sub {
			from, to = "you@local.test", "them@sink.test"
		}
		err = k.send(c, from, to)
	}
	var reply *textproto.Error
	switch {
	case err == nil:
		return 250
	case errors.As(err, &reply):
		return reply.Code
	}
	return 0
}

// postgres is a PostgreSQL of a test's own, which it may stop.
type postgres struct {
	url, dir, bin string
	asUser        []string // root may not run it
	port          int
}

func startPostgres(t *testing.T) *postgres {
	t.Helper()
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		t.Skip("PostgreSQL's programs are not in /usr/lib/postgresql")
	}
	dir, err := os.MkdirTemp("", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &postgres{dir: dir, bin: bins[len(bins)-1], port: freeport.Port(t)}
	if os.Geteuid() == 0 {
		p.asUser = []string{"runuser", "-u", "postgres", "--"}
		if out, err := exec.Command("chown", "postgres", dir).CombinedOutput(); err != nil {
			t.Skipf("no user postgres: %v: %s", err, out)
		}
	}
	p.run(t, "initdb", "-D", dir+"/data", "--auth=trust", "--no-sync", "-U", "postgres")
	p.start(t)
	t.Cleanup(func() { p.ctl(t, "stop", "-m", "immediate") })
	p.url = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", p.port)
	return p
}

func (p *postgres) start(t *testing.T) {
	t.Helper()
	p.ctl(t, "start", "-l", p.dir+"/log", "-o", fmt.Sprintf("-c listen_addresses=127.0.0.1 -c port=%d -c unix_socket_directories=%s", p.port, p.dir))
}

func (p *postgres) ctl(t *testing.T, args ...string) {
	t.Helper()
	p.run(t, "pg_ctl", append([]string{"-D", p.dir + "/data", "-w"}, args...)...)
}

func (p *postgres) run(t *testing.T, name string, args ...string) {
	t.Helper()
	all := append(append(p.asUser, filepath.Join(p.bin, name)), args...)
	cmd := exec.Command(all[0], all[1:]...)
	cmd.Dir = p.dir
	if err := cmd.Run(); err != nil { // without pipes, which the server would keep open
		t.Fatalf("%v: %v", all, err)
	}
}
