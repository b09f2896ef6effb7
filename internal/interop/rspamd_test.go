//go:build linux

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/junk"
	"waxwing/internal/rspamd"
)

// TestRspamd (JNK-3): Debian's Rspamd has the GTUBE test message put into Junk, has nothing
// against a plain one, learns what it is taught, and answers nobody without its password.
func TestRspamd(t *testing.T) {
	t.Parallel()
	need(t, "rspamd")
	const addr = "127.6.0.3:11334"
	dir := filepath.Join(root, "rspamd")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := strings.ReplaceAll(`options { pidfile = "DIR/pid"; filters = ""; gtube_patterns = "reject"; history_file = "DIR/history"; tempdir = "DIR"; cache_file = "DIR/cache"; hs_cache_dir = "DIR";
  dns { nameserver = ["127.6.0.3:5399:1"]; timeout = 100ms; retransmits = 1; } }
logging { type = "console"; level = "warning"; }
actions { reject = 15; add_header = 6; }
worker "controller" { bind_socket = "`+addr+`"; count = 1; password = "correct horse"; secure_ip = []; static_dir = "DIR"; }
classifier "bayes" { tokenizer { name = "osb"; } backend = "sqlite3"; min_learns = 1;
  cache { type = "sqlite3"; name = "sqlite3"; path = "DIR/learnt.sqlite"; }
  statfile { symbol = "BAYES_HAM"; path = "DIR/good.sqlite"; spam = false; }
  statfile { symbol = "BAYES_SPAM"; path = "DIR/junk.sqlite"; spam = true; } }
`, "DIR", dir)
	if err := os.WriteFile(filepath.Join(dir, "rspamd.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := start("rspamd", addr, "rspamd", "-i", "-f", "-c", filepath.Join(dir, "rspamd.conf"))
	if err != nil {
		t.Fatal(err)
	}
	of := config.Rspamd{URL: "http://" + addr, Password: "correct horse", Timeout: time.Minute, Learn: true, MaxSize: 1 << 20}
	c := rspamd.New(of, "mx.waxwing.example")
	m := rspamd.Message{ID: "m1", IP: netip.MustParseAddr("192.0.2.1"), HELO: "far.example", Sender: "x@far.example", Recipients: []string{"carol@waxwing.example"}}
	const head = "From: x@far.example\r\nTo: carol@waxwing.example\r\nSubject: lunch\r\nDate: Mon, 30 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@far.example>\r\n\r\n"
	for body, want := range map[string]junk.Action{
		"Shall we meet at noon?\r\n": junk.Inbox,
		"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n": junk.Junk,
	} {
		m.Whole = []byte(head + body)
		answer, _, err := c.Check(t.Context(), m)
		if err != nil {
			t.Fatalf("%v\n%s", err, tail(p.log()))
		}
		if d := junk.Decide(junk.Facts{Authenticated: true, Rspamd: &answer}, junk.Limits{Junk: 10, Reject: 30}); d.Action != want {
			t.Errorf("%q: %+v, %+v", body, answer, d)
		}
		if err := c.Learn(t.Context(), m.Whole, want == junk.Inbox); err != nil {
			t.Errorf("%v\n%s", err, tail(p.log()))
		}
	}
	of.Password = "wrong"
	if _, _, err := rspamd.New(of, "").Check(t.Context(), m); !strings.Contains(fmt.Sprint(err), "401") {
		t.Errorf("without the password: %v", err)
	}
}
