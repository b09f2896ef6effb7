package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// server is one of those that are compared.
type server interface {
	name() string
	setUp(ctx context.Context, dir string) error
	start(ctx context.Context) (pid int, err error)
	stop() error
	addr() string
	login() (user, password string)
}

const password = "bench-1-Password"

func waitPort(addr string) error {
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("nobody listens on %s after a minute", addr)
}

// process is a server's.
type process struct{ cmd *exec.Cmd }

func (p *process) run(addr string, name string, args ...string) (int, error) {
	p.cmd = exec.Command(name, args...)
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		return 0, err
	}
	return p.cmd.Process.Pid, waitPort(addr)
}

func (p *process) stop() error {
	if p.cmd == nil {
		return nil
	}
	p.cmd.Process.Signal(os.Interrupt)
	return p.cmd.Wait()
}

// waxwing is this server on its embedded store, or on PostgreSQL.
type waxwing struct {
	process
	bin, conf, postgres string
}

func (w *waxwing) name() string {
	if w.postgres != "" {
		return "waxwing on PostgreSQL"
	}
	return "waxwing"
}
func (w *waxwing) addr() string            { return "127.0.0.1:26993" }
func (w *waxwing) login() (string, string) { return "you", password }

const waxwingConfig = `hostname = "mail.bench.test"
data_dir = "data"
%s
[[listen]]
address = "127.0.0.1:26993"
kind = "imaps"
max_connections = 20000
[tls]
local_ca = true
[resolver.selftest]
signed = ""
bogus = ""
large = ""
[limits]
connections_per_ip = 20000
connections_per_network = 20000
connections_per_minute = 1000000
tls_handshakes = 10000
tls_handshakes_per_minute = 1000000
[imap]
connections_per_account = 20000
connections_per_ip = 20000
[log]
level = "warn"
`

func (w *waxwing) setUp(ctx context.Context, dir string) error {
	w.conf = filepath.Join(dir, "waxwing.toml")
	command := func(stdin string, args ...string) error {
		cmd := exec.CommandContext(ctx, w.bin, args...)
		cmd.Stdin = strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("waxwing %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	if err := command("", "quickstart", "--local", "--dir", dir, "you@bench.test"); err != nil {
		return err
	}
	store := ""
	if w.postgres != "" {
		store = fmt.Sprintf("postgres = %q", w.postgres)
	}
	if err := os.WriteFile(w.conf, fmt.Appendf(nil, waxwingConfig, store), 0o600); err != nil {
		return err
	}
	if w.postgres != "" {
		if err := command(password+"\n", "account", "add", "you", "--config", w.conf); err != nil {
			return err
		}
	}
	return command(password+"\n", "account", "password", "you", "--config", w.conf)
}

func (w *waxwing) start(context.Context) (int, error) {
	return w.run(w.addr(), w.bin, "serve", "--config", w.conf)
}

// dovecot is Debian's, with mdbox and its own index files, as fast as it is set up in earnest.
type dovecot struct {
	process
	conf string
}

func (d *dovecot) name() string            { return "dovecot" }
func (d *dovecot) addr() string            { return "127.0.0.1:27993" }
func (d *dovecot) login() (string, string) { return "you", password }

const dovecotConfig = `base_dir = %[1]s/run
log_path = %[1]s/log
protocols = imap
ssl = required
ssl_cert = <%[1]s/crt.pem
ssl_key = <%[1]s/key.pem
mail_location = mdbox:%[1]s/mail
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
default_process_limit = 3000
default_client_limit = 6000
mail_max_userip_connections = 3000
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    address = 127.0.0.1
    port = 27993
    ssl = yes
  }
  service_count = 0
  process_min_avail = 2
  client_limit = 3000
}
service imap {
  process_limit = 3000
}
passdb {
  driver = static
  args = password=%[2]s
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=%[1]s/home
}
`

func (d *dovecot) setUp(ctx context.Context, dir string) error {
	for _, args := range [][]string{
		{"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", dir + "/key.pem", "-out", dir + "/crt.pem", "-days", "2", "-subj", "/CN=bench.test"},
		{"mkdir", "-p", dir + "/mail", dir + "/home"}, {"chown", "-R", "nobody:nogroup", dir + "/mail", dir + "/home"}, {"chmod", "755", dir},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", args[0], err, out)
		}
	}
	d.conf = filepath.Join(dir, "dovecot.conf")
	return os.WriteFile(d.conf, fmt.Appendf(nil, dovecotConfig, dir, password), 0o644)
}

func (d *dovecot) start(context.Context) (int, error) {
	return d.run(d.addr(), "dovecot", "-F", "-c", d.conf)
}

// memory is the proportional set size of a process and all below it, in KiB, and cpu what they have used so far, in
// seconds.
func memory(root int) (kib int64, cpu float64) {
	for _, pid := range below(root) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		for line := range strings.SplitSeq(string(b), "\n") {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				kib += n
			}
		}
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if i := strings.LastIndexByte(string(stat), ')'); i > 0 {
			f := strings.Fields(string(stat)[i+2:])
			for _, k := range []int{11, 12, 13, 14} {
				n, _ := strconv.ParseFloat(f[k], 64)
				cpu += n / 100
			}
		}
	}
	return kib, cpu
}

// below are a process and its descendants.
func below(root int) []int {
	parents := map[int][]int{}
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		stat, _ := os.ReadFile(path)
		if i := strings.LastIndexByte(string(stat), ')'); i > 0 {
			f := strings.Fields(string(stat)[i+2:])
			parent, _ := strconv.Atoi(f[1])
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			parents[parent] = append(parents[parent], pid)
		}
	}
	out := []int{root}
	for i := 0; i < len(out); i++ {
		out = append(out, parents[out[i]]...)
	}
	return out
}
