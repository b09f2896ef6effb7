package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns/validate/prooftest"
)

// Addresses of the parts, all on loopback.
const (
	mxAddr      = "127.0.0.1:26025"
	subAddr     = "127.0.0.1:26587"
	postfixPort = "26125"
)

func waitPort(ctx context.Context, addr string) error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return c.Close()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("nobody listens on %s after 20 s", addr)
}

// world is where the sink and the DNS are: at their true ports in a network
// of our own, elsewhere in the machine's.
func (o options) world() (sink, dns netip.AddrPort) {
	if o.alone {
		return netip.MustParseAddrPort("127.64.0.1:26026"), netip.MustParseAddrPort("127.0.0.1:26053")
	}
	return netip.MustParseAddrPort("127.64.0.1:25"), netip.MustParseAddrPort("127.0.0.53:53")
}

// unboundAddr is where a real resolver stands between the server and the DNS of a work.
var unboundAddr = netip.MustParseAddrPort("127.0.0.54:53")

// unboundConfig has caches that hold all that is asked, and no thread but one, as Debian has it.
const unboundConfig = `server:
 interface: %s
 port: %d
 %s
 do-ip6: no
 do-not-query-localhost: no
 username: ""
 chroot: ""
 pidfile: ""
 use-syslog: no
 num-threads: 1
 msg-cache-size: 64m
 rrset-cache-size: 128m
 so-rcvbuf: 4m
 trust-anchor-signaling: no
 root-key-sentinel: no
remote-control:
 control-enable: no
forward-zone:
 name: "."
 forward-addr: %s@%d
`

// rootAnchor is the DS record of the root that mailperf signs with.
func rootAnchor() (string, error) {
	root, err := prooftest.New(new(prooftest.Keys), time.Now(), prooftest.Zone{Name: ".", Algorithm: wire.ED25519})
	if err != nil {
		return "", err
	}
	return root.Anchor().String(), nil
}

// waxwing is this server, set up by its own commands in a fresh directory.
type waxwing struct {
	o        options
	dir      string
	serve    *exec.Cmd
	password string
}

func (w *waxwing) name() string { return "waxwing" }

const waxwingConfig = `hostname = "mail.bench.test"
data_dir = "data"
[[listen]]
address = "` + mxAddr + `"
kind = "mx"
[[listen]]
address = "` + subAddr + `"
kind = "submission"
[tls]
local_ca = true
[resolver]
servers = [%q]
%s[resolver.selftest]
signed = ""
bogus = ""
large = ""
[delivery]
allow_private = true
port = %d
[limits]
messages_per_day = 0
recipients_per_day = 0
[incoming]
verify = %t
[tlsrpt]
send = true
[log]
level = "warn"
`

func (w *waxwing) start(ctx context.Context, work string) (int, error) {
	var err error
	if w.dir, err = os.MkdirTemp(w.o.dir, "waxwing"); err != nil {
		return 0, err
	}
	conf := filepath.Join(w.dir, "waxwing.toml")
	if _, err := w.command(ctx, "", "quickstart", "-local", "-dir", filepath.Join(w.dir), "you@bench.test"); err != nil {
		return 0, err
	}
	sink, dns := w.o.world()
	own := "dnssec = \"trust\"\n"
	who, _ := validation(work)
	if who.unbound {
		dns = unboundAddr
	}
	if who.own {
		anchor := filepath.Join(w.dir, "anchor")
		root, err := rootAnchor()
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(anchor, []byte(root+"\n"), 0o600); err != nil {
			return 0, err
		}
		own = fmt.Sprintf("dnssec = \"validate\"\ntrust_anchors = %q\n", anchor)
	}
	if err := os.WriteFile(conf, fmt.Appendf(nil, waxwingConfig, dns, own, sink.Port(), work == verified), 0o600); err != nil {
		return 0, err
	}
	w.password = "bench-" + strconv.Itoa(os.Getpid()) + "-password"
	for _, c := range [][]string{{"domain", "add", "rcpt.example"}, {"address", "add", "*@rcpt.example", "you"}, {"account", "password", "you"}} {
		if _, err := w.command(ctx, w.password+"\n", append(c, "-config", conf)...); err != nil {
			return 0, err
		}
	}
	if manyDomains(work) {
		if _, err := w.command(ctx, "", "hold", "add", "-account", "you", "-config", conf); err != nil {
			return 0, err
		}
	}
	// Keys would make Waxwing sign, which Postfix does not do.
	for _, s := range []string{"rsa", "ed25519"} {
		if _, err := w.command(ctx, "", "dkim", "remove", "bench.test", "-selector", s, "-config", conf); err != nil {
			return 0, err
		}
	}
	if work == boxsieve {
		if err := w.withSieve(ctx, conf); err != nil {
			return 0, err
		}
	}
	w.serve = exec.CommandContext(ctx, filepath.Join(w.o.bin, "waxwing"), "serve", "-config", conf)
	if w.o.profile != "" {
		w.serve.Args = append(w.serve.Args, "-cpuprofile", filepath.Join(w.o.profile, work+".prof"))
	}
	w.serve.Stderr = os.Stderr
	if err := w.serve.Start(); err != nil {
		return 0, err
	}
	for _, a := range []string{mxAddr, subAddr} {
		if err := waitPort(ctx, a); err != nil {
			return 0, err
		}
	}
	return w.serve.Process.Pid, nil
}

func (w *waxwing) command(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(w.o.bin, "waxwing"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("waxwing %s: %w: %s", strings.Join(args[:2], " "), err, out)
	}
	return string(out), nil
}

func (w *waxwing) load(work string) []string {
	submit := []string{"-addr", subAddr, "-starttls", "-auth", "you:" + w.password, "-from", "you@bench.test"}
	switch work {
	case accept, verified, box, boxsieve:
		return []string{"-addr", mxAddr}
	case relay:
		return append(submit, "-to", "rcpt@d0.dest.example")
	}
	return append(submit, "-to", "rcpt@d%d.dest.example")
}

// release lets go what a hold rule kept.
func (w *waxwing) release(ctx context.Context) (int, error) {
	_, err := w.command(ctx, "", "queue", "unhold", "-everything", "-config", filepath.Join(w.dir, "waxwing.toml"))
	return w.serve.Process.Pid, err
}

// drained waits until the queue holds nothing that waits.
func (w *waxwing) drained(ctx context.Context) error {
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
		out, err := w.command(ctx, "", "queue", "list", "-json", "-limit", "1", "-config", filepath.Join(w.dir, "waxwing.toml"))
		if err != nil {
			return err
		}
		var items []json.RawMessage
		if err := json.Unmarshal([]byte(out), &items); err != nil {
			return fmt.Errorf("queue list: %w: %s", err, out)
		}
		if len(items) == 0 {
			return nil
		}
	}
	return fmt.Errorf("the queue is not empty after 60 s")
}

func (w *waxwing) roots(pid int) string { return strconv.Itoa(pid) }

// listed is how many messages are looked for in the mailbox: as many as a list may have.
const listed = 1000

// proven is an error unless the messages are in the mailbox, the last of them with its results.
func (w *waxwing) proven(ctx context.Context, n int) error {
	conf := filepath.Join(w.dir, "waxwing.toml")
	out, err := w.command(ctx, "", "mail", "list", "you", "--json", "--limit", strconv.Itoa(listed), "-config", conf)
	if err != nil {
		return err
	}
	var mails []struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(out), &mails); err != nil {
		return fmt.Errorf("mail list: %w: %s", err, out)
	}
	if want := min(n, listed); len(mails) != want {
		return fmt.Errorf("%d of %d messages are in the mailbox", len(mails), want)
	}
	text, err := w.command(ctx, "", "mail", "show", mails[0].ID, "-config", conf)
	if err != nil {
		return err
	}
	return holdsResults(text)
}

func (w *waxwing) stop() {
	if w.serve != nil && w.serve.Process != nil {
		w.serve.Process.Signal(syscall.SIGTERM)
		w.serve.Wait()
	}
	w.serve = nil
	os.RemoveAll(w.dir)
}

// postfix is Debian's Postfix as a private instance.
type postfix struct {
	o       options
	dir     string
	filters []*exec.Cmd // that verify what it takes in
}

// postfixMissing says why Postfix cannot be measured here; empty if it can.
func postfixMissing() string {
	if _, err := os.Stat("/usr/lib/postfix/sbin/master"); err != nil {
		return "Debian's package postfix is not installed"
	}
	if os.Geteuid() != 0 {
		return "starting it needs root"
	}
	return ""
}

func (p *postfix) name() string { return "postfix" }

func (p *postfix) script(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "bash", append([]string{filepath.Join(p.o.scripts, "postfix_instance.sh")}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("postfix %s: %w: %s", args[0], err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func (p *postfix) start(ctx context.Context, work string) (int, error) {
	p.dir = filepath.Join(p.o.dir, "postfix")
	// in_flow_delay would stall accepting under load: that is not what is measured.
	lines := []string{"in_flow_delay = 0"}
	sink, _ := p.o.world()
	switch work {
	case relay:
		lines = append(lines, "default_transport = smtp", fmt.Sprintf("relayhost = [%s]:%d", sink.Addr(), sink.Port()),
			"smtp_tls_security_level = may", "smtp_tls_connection_reuse = yes")
	case verified:
		lines = append(lines, p.verifying()...)
		if err := p.startFilters(ctx); err != nil {
			return 0, err
		}
	case mx, mx50, mxpq:
		lines = append(lines, "default_transport = smtp", "smtp_dns_support_level = dnssec", "smtp_tls_security_level = dane", "defer_transports = smtp")
	}
	if _, err := p.script(ctx, append([]string{"make", p.dir, postfixPort}, lines...)...); err != nil {
		return 0, err
	}
	return p.run(ctx)
}

func (p *postfix) run(ctx context.Context) (int, error) {
	if _, err := p.script(ctx, "start", p.dir); err != nil {
		return 0, err
	}
	if err := waitPort(ctx, "127.0.0.1:"+postfixPort); err != nil {
		return 0, err
	}
	pid, err := p.script(ctx, "pid", p.dir)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(pid)
}

// release starts it anew without defer_transports.
func (p *postfix) release(ctx context.Context) (int, error) {
	p.stop()
	conf := filepath.Join(p.dir, "conf")
	if out, err := exec.CommandContext(ctx, "postconf", "-c", conf, "-X", "defer_transports").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("postconf: %w: %s", err, out)
	}
	pid, err := p.run(ctx)
	if err != nil {
		return 0, err
	}
	if out, err := exec.CommandContext(ctx, "postfix", "-c", conf, "flush").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("postfix flush: %w: %s", err, out)
	}
	return pid, nil
}

func (p *postfix) load(work string) []string {
	to := map[string]string{accept: "rcpt%d@rcpt.example", verified: "rcpt%d@rcpt.example", relay: "rcpt@d0.dest.example"}[work]
	if to == "" {
		to = "rcpt@d%d.dest.example"
	}
	return []string{"-addr", "127.0.0.1:" + postfixPort, "-to", to}
}

func (p *postfix) drained(ctx context.Context) error {
	args := []string{"drain"}
	for _, q := range []string{"incoming", "active"} {
		args = append(args, filepath.Join(p.dir, "queue", q))
	}
	out, err := exec.CommandContext(ctx, filepath.Join(p.o.bin, "mailperf"), args...).Output()
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	var d struct{ Left int }
	if err := json.Unmarshal(out, &d); err != nil || d.Left > 0 {
		return fmt.Errorf("the queue of Postfix is not empty: %s", out)
	}
	return nil
}

func (p *postfix) stop() {
	p.script(context.Background(), "stop", p.dir)
	p.stopFilters()
}
