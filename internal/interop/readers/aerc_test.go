package readers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const aercConfig = `[general]
unsafe-accounts-conf = true
log-file = $DIR/aerc.log
log-level = debug
[ui]
stylesets-dirs = $SHARE/stylesets
threading-enabled = false
[viewer]
pager = cat
[filters]
text/plain = cat
[templates]
template-dirs = $SHARE/templates
`

const aercAccounts = `[joe]
source = jmap://joe%40example.test:$PASSWORD@$HOST:$WEB/.well-known/jmap
default = INBOX
from = Joe <joe@example.test>
cache-state = false
`

// aerc is the program at a terminal; commands are given to it by its socket.
type aerc struct {
	*waxwing
	program string
}

// say gives a command to the program that runs.
func (a *aerc) say(command ...string) (said string, ok bool) {
	ctx, cancel := context.WithTimeout(a.t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, a.program, append(a.files(), command...)...)
	cmd.Dir, cmd.Env = a.dir, a.env()
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// files are the options that name its configuration.
func (a *aerc) files() []string {
	return []string{"-C", filepath.Join(a.dir, "aerc.conf"), "-A", filepath.Join(a.dir, "accounts.conf"), "-B", filepath.Join(a.dir, "binds.conf")}
}

func (a *aerc) env() []string {
	return append(os.Environ(), "HOME="+a.dir, "LC_ALL=C.UTF-8", "TERM=xterm", "SSL_CERT_FILE="+a.ca, "XDG_RUNTIME_DIR="+a.dir, "XDG_CONFIG_HOME="+a.dir, "XDG_DATA_HOME="+a.dir, "XDG_CACHE_HOME="+a.dir)
}

// until does something again and again, until it has come to what it should.
func (a *aerc) until(what string, is func() bool) {
	a.t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(a.dir, "aerc.log"))
			screen, _ := os.ReadFile(filepath.Join(a.dir, "screen"))
			a.t.Fatalf("%s does not come about\n%s\n%q", what, tail(string(log)), tail(string(screen)))
		}
	}
}

// TestAerc: a mail program that speaks JMAP lists, reads and flags. It is Debian 13's: in Debian 12's there is no JMAP yet.
func TestAerc(t *testing.T) {
	t.Parallel()
	tree := filepath.Join(os.Getenv("WAXWING_PEERS"), "trixie", "usr")
	a := &aerc{program: filepath.Join(tree, "bin", "aerc")}
	a.waxwing = start(t, a.program, "script")
	if a.web == "" {
		t.Skip("the other server speaks no JMAP")
	}
	e := a.as("joe")
	for _, subject := range []string{"first", "second", "third"} {
		letter := "From: far@example.net\r\nTo: joe@example.test\r\nSubject: " + subject + "\r\n\r\nAbout " + subject + ".\r\n"
		e.do(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(letter), letter))
	}
	a.write("aerc.conf", strings.ReplaceAll(aercConfig, "$SHARE", filepath.Join(tree, "share", "aerc")))
	a.write("accounts.conf", aercAccounts)
	a.write("binds.conf", "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	screen := exec.CommandContext(ctx, "script", "-qefc", "stty rows 40 cols 120; "+a.program+" "+strings.Join(a.files(), " "), filepath.Join(a.dir, "screen"))
	screen.Dir, screen.Env = a.dir, a.env()
	keys, err := screen.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := screen.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { // it ends where its terminal does
		keys.Close()
		cancel()
		_ = screen.Wait()
	}()
	must := func(command ...string) {
		t.Helper()
		if said, ok := a.say(command...); !ok {
			t.Fatalf("%v: %s", command, said)
		}
	}
	box := func(name string) string {
		m := mail{}
		e.in(m, name)
		return fmt.Sprint(m)
	}
	a.until("what is read", func() bool { // once the list is there
		_, _ = a.say(":pipe", "-b", "-m", "sh", "-c", "cat >"+filepath.Join(a.dir, "read"))
		b, err := os.ReadFile(filepath.Join(a.dir, "read"))
		return err == nil && strings.Contains(string(b), "About third.")
	})
	must(":flag", "-x", "flagged")
	must(":read")
	a.until("the flag", func() bool { return strings.Contains(box("INBOX"), `\Flagged \Seen`) })
}
