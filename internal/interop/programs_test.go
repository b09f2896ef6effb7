//go:build linux

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const sendmailConfig = `socket = "/run/waxwing.sock"
from = "` + user + `@` + waxDomain + `"
root = "` + user + `+root@` + waxDomain + `"
`

// installSendmail puts the program where all programs look for it. Nobody outside of
// the namespaces sees it there.
var installSendmail = sync.OnceValue(func() error {
	if err := os.MkdirAll("/etc/waxwing", 0o755); err != nil {
		return err
	}
	if err := os.WriteFile("/etc/waxwing/sendmail.toml", []byte(sendmailConfig), 0o644); err != nil {
		return err
	}
	os.Remove("/usr/sbin/sendmail") // Postfix's, where that is installed
	_, err := output(".", "go", "build", "-o", "/usr/sbin/sendmail", "waxwing/cmd/waxwing")
	return err
})

// programs is the world with sendmail in it.
func programs(t *testing.T, names ...string) *world {
	t.Helper()
	need(t, append(names, "go")...)
	w := open(t)
	if err := installSendmail(); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestPrograms (TRA-6): mail arrives from programs as they come, with nothing told
// them but where sendmail is, and that is where they look themselves.
func TestPrograms(t *testing.T) {
	t.Parallel()
	own := user + "@" + waxDomain
	for _, c := range []struct {
		name  string
		needs []string
		shell string   // $token is in the mail, $dir a directory of its own
		have  []string // in what arrives
	}{
		{"mutt", []string{"mutt"}, `echo "grüße $token" | mutt -n -F /dev/null -s "$token" -- root`,
			[]string{"\r\nTo: root <root@" + waxDomain + ">", "\r\nFrom: root <" + own + ">"}},
		{"git send-email", []string{"git", "/usr/lib/git-core/git-send-email"}, `cd $dir && git init -q . && echo $token >a && git add a && git -c user.name=Carol -c user.email=` + own + ` commit -q -m "$token" &&
			git -c user.name=Carol -c user.email=` + own + ` format-patch -1 -o $dir --root HEAD &&
			git -c user.name=Carol -c user.email=` + own + ` send-email --quiet --confirm=never --suppress-cc=all --to=` + own + ` $dir/0001*`,
			[]string{"\r\nFrom: Carol <" + own + ">", "\r\nX-Mailer: git-send-email"}},
		{"PHP mail", []string{"php"}, `php -r 'mail("root", "$argv[1]", "one\n.\ntwo\n", ["X-Shop" => "gr\u{fc}n", "From" => "www-data@localhost"]) or exit(1);' $token`,
			[]string{"\r\nTo: root@" + waxDomain, "\r\nFrom: " + own, "\r\nX-Shop: =?utf-8?q?gr=C3=BCn?=", "\r\n\r\none\r\n.\r\ntwo\r\n"}},
		{"Symfony's dialogue", []string{"php"}, `php testdata/dialogue.php "/usr/sbin/sendmail -bs -i" ` + own + ` $token`,
			[]string{"\r\nSubject: ", "\r\n.dot\r\n"}},
		{"s-nail", []string{"s-nail"}, `echo "$token" | s-nail -:/ -s "$token" root`,
			[]string{"\r\nTo: root@" + waxDomain}},
		{"msmtp", []string{"msmtp"}, `printf 'From: ` + own + `\nTo: ` + own + `\nSubject: %s\n\nhello\n' $token |
			msmtp --file=/dev/null --host=` + waxHost + ` --port=587 --tls=on --tls-trust-file=` + root + `/ca.pem --auth=on --user=` + user + ` --passwordeval='echo ` + password + `' --from=` + own + ` --read-recipients`,
			[]string{"ESMTPSA"}},
		{"the mail command's flags", nil, `printf 'From: root (Cron Daemon)\nTo: root\nSubject: x\n\n%s\n' $token | /usr/sbin/sendmail -i -FCronDaemon -B8BITMIME -oem root`,
			[]string{"\r\nFrom: " + own + " (Cron Daemon)"}},
		{"joined flags", nil, `printf 'From: ` + own + `\nTo: root\n\n%s\n' $token | /usr/sbin/sendmail -tif ` + own, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := programs(t, c.needs...)
			token, dir := newToken(), t.TempDir()
			cmd := exec.Command("sh", "-c", c.shell)
			cmd.Env = append(os.Environ(), "token="+token, "dir="+dir, "HOME="+dir, "LC_ALL=C.UTF-8", "TERM=dumb")
			if said, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			mail := w.inbox(t, token, true)
			if mail == "" {
				t.Fatalf("nothing arrived\n%s", tail(w.waxLog.log()))
			}
			for _, part := range c.have {
				if !strings.Contains(mail, part) {
					t.Errorf("no %q in\n%s", part, mail)
				}
			}
		})
	}
}

// TestCron (TRA-6): Debian's cron runs a job that says something, and root reads it.
func TestCron(t *testing.T) {
	t.Parallel()
	w := programs(t, "cron")
	token := newToken()
	if err := os.MkdirAll("/etc/cron.d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/etc/cron.d/interop", fmt.Appendf(nil, "* * * * * root echo %s\n", token), 0o644); err != nil {
		t.Fatal(err)
	}
	said := &process{name: "cron"}
	cron := exec.Command("cron", "-f", "-L", "15")
	cron.Stdout, cron.Stderr = said, said
	if err := cron.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cron.Process.Kill()
		cron.Wait() // killed: its state says nothing
	}()
	mail := ""
	for end := time.Now().Add(100 * time.Second); mail == "" && time.Now().Before(end); time.Sleep(time.Second) {
		mail = w.find(t, token)
	}
	if mail == "" {
		files, _ := filepath.Glob("/var/log/*")
		t.Fatalf("nothing arrived: %s %s\n%s", said.log(), files, tail(w.waxLog.log()))
	}
	for _, part := range []string{"\r\nFrom: " + user + "@" + waxDomain + " (Cron Daemon)", "\r\nTo: root@" + waxDomain, "\r\nSubject: Cron <root@"} {
		if !strings.Contains(mail, part) {
			t.Errorf("no %q in\n%s", part, mail)
		}
	}
}
