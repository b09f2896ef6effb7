package validators

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns/validate/prooftest"
	"waxwing/internal/freeport"
)

const hour = time.Hour

// need skips the test where a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("WAXWING_INTEROP") == "required" {
				t.Fatalf("%s is not installed", p)
			}
			t.Skipf("%s is not installed", p)
		}
	}
}

// servers are the programs over the drawn zones.
type servers struct {
	dir       string
	author    string // Knot, with all zones
	passing   string // unbound, which does not validate
	validates string // unbound, which does
	anchor    string // file for delv
	zones     []string
}

func serve(t *testing.T, w *prooftest.World) *servers {
	t.Helper()
	s := &servers{dir: t.TempDir(), author: freeport.Addr(t), passing: freeport.Addr(t), validates: freeport.Addr(t)}
	s.startKnot(t, w)
	ds := strings.ReplaceAll(w.Anchor().String(), "\t", " ")
	s.zones = w.Names()
	s.startUnbound(t, "passing", s.passing, `module-config: "iterator"`)
	s.startUnbound(t, "validates", s.validates, `module-config: "validator iterator"`+"\n trust-anchor: \""+ds+"\"")
	a := w.Anchor()
	s.anchor = s.write(t, "anchor.conf", fmt.Sprintf("trust-anchors { . static-ds %d %d %d %q; };\n", a.KeyTag, a.Algorithm, a.DigestType, a.Digest))
	return s
}

func (s *servers) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func at(addr string) string { return strings.Replace(addr, ":", "@", 1) }

func (s *servers) startKnot(t *testing.T, w *prooftest.World) {
	t.Helper()
	conf := fmt.Sprintf("server:\n    rundir: %[1]q\n    listen: %[2]s\nlog:\n  - target: stderr\n    any: warning\ndatabase:\n    storage: %[1]q\ntemplate:\n  - id: default\n    storage: %[1]q\n    zonefile-load: whole\n    zonefile-sync: -1\n    journal-content: none\nzone:\n",
		s.dir, at(s.author))
	for i, name := range w.Names() {
		s.write(t, fmt.Sprintf("%d.zone", i), w.Zones[name].File())
		conf += fmt.Sprintf("  - domain: %q\n    file: \"%d.zone\"\n", name, i)
	}
	s.run(t, "knotd", s.author, "-c", s.write(t, "knot.conf", conf))
	// Knot answers before all zones are loaded.
	for _, name := range w.Names() {
		m := new(wire.Msg)
		m.SetQuestion(name, wire.TypeSOA)
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			r, err := wire.Exchange(m, s.author)
			if err == nil && len(r.Answer) > 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("knotd does not serve %s: %v, %v", name, r, err)
			}
		}
	}
}

func (s *servers) startUnbound(t *testing.T, name, addr, more string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	// Each zone is named, since the addresses of its name servers lead nowhere.
	stubs := ""
	for _, zone := range s.zones {
		stubs += fmt.Sprintf("stub-zone:\n name: %q\n stub-addr: %s\n", zone, at(s.author))
	}
	s.run(t, "unbound", addr, "-d", "-c", s.write(t, name+".conf", fmt.Sprintf(`server:
 interface: 127.0.0.1
 port: %s
 do-ip6: no
 do-not-query-localhost: no
 qname-minimisation: no
 username: ""
 chroot: ""
 directory: %q
 pidfile: ""
 use-syslog: no
 num-threads: 1
 root-hints: ""
 trust-anchor-signaling: no
 root-key-sentinel: no
 %s
%sremote-control:
 control-enable: no
`, port, s.dir, more, stubs)))
}

// said keeps what a server says, up to a bound.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *said) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.b.Len() < 1<<16 {
		o.b.Write(b)
	}
	return len(b), nil
}

func (o *said) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// run starts a program until the test ends, and waits until it listens.
func (s *servers) run(t *testing.T, program, addr string, args ...string) {
	t.Helper()
	out := &said{}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", program, out)
		}
	})
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if nc, err := net.Dial("tcp", addr); err == nil {
			nc.Close()
			return
		}
	}
	t.Fatalf("%s does not listen on %s: %s", program, addr, out)
}
