package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lmtpAddr is where Dovecot takes mail from Postfix.
const lmtpAddr = "127.0.0.1:26224"

// sorting is the script of boxsieve, the same for both servers: half of the mail is filed.
const sorting = `require ["fileinto"];
if header :contains "Subject" ["invoice", "newsletter", "holiday"] { fileinto "Archive"; stop; }
if header :matches "Message-ID" ["*0@load.example>", "*2@load.example>", "*4@load.example>", "*6@load.example>", "*8@load.example>"] { fileinto "Archive"; }
`

// lmtp is what people have in the place of Waxwing: Debian's Postfix, which hands mail by LMTP to Debian's Dovecot, with mdbox.
type lmtp struct {
	postfix
	dovecot *exec.Cmd
}

func (l *lmtp) name() string { return "postfix+dovecot" }

// lmtpMissing says why it cannot be measured here; empty if it can.
func lmtpMissing(works []string) string {
	if why := postfixMissing(); why != "" {
		return why
	}
	need := map[string]string{"/usr/sbin/dovecot": "dovecot-core", "/usr/lib/dovecot/lmtp": "dovecot-lmtpd"}
	for _, w := range works {
		if w == boxsieve {
			need["/usr/lib/dovecot/modules/lib90_sieve_plugin.so"] = "dovecot-sieve"
		}
	}
	for path, name := range need {
		if _, err := os.Stat(path); err != nil {
			return "Debian's package " + name + " is not installed"
		}
	}
	return ""
}

const dovecotConfig = `base_dir = %[1]s/run
log_path = %[1]s/log
protocols = lmtp
ssl = no
mail_location = mdbox:%[1]s/mail
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 1
auth_username_format = you
postmaster_address = postmaster@rcpt.example
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = 26224
  }
  process_min_avail = 4
}
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=%[1]s/home
}
namespace inbox {
  inbox = yes
  separator = /
  mailbox Archive {
    auto = create
  }
}
%[2]s`

func (l *lmtp) home() string { return filepath.Join(l.o.dir, "dovecot") }
func (l *lmtp) conf() string { return filepath.Join(l.home(), "dovecot.conf") }

func (l *lmtp) start(ctx context.Context, work string) (int, error) {
	dir := l.home()
	if err := os.RemoveAll(dir); err != nil {
		return 0, err
	}
	for _, d := range []string{dir, filepath.Join(dir, "mail"), filepath.Join(dir, "home")} {
		if err := errors.Join(os.MkdirAll(d, 0o755), os.Chown(d, 65534, 65534)); err != nil {
			return 0, err
		}
	}
	sieve := ""
	if work == boxsieve {
		script := filepath.Join(dir, "home", "main.sieve")
		if err := os.WriteFile(script, []byte(sorting), 0o644); err != nil {
			return 0, err
		}
		sieve = "protocol lmtp {\n  mail_plugins = sieve\n}\nplugin {\n  sieve = file:" + script + "\n}\n"
		if out, err := exec.CommandContext(ctx, "sievec", script).CombinedOutput(); err != nil {
			return 0, fmt.Errorf("sievec: %w: %s", err, out)
		}
	}
	if err := os.WriteFile(l.conf(), fmt.Appendf(nil, dovecotConfig, dir, sieve), 0o644); err != nil {
		return 0, err
	}
	l.dovecot = exec.CommandContext(ctx, "dovecot", "-F", "-c", l.conf())
	l.dovecot.Stderr = os.Stderr
	if err := l.dovecot.Start(); err != nil {
		return 0, err
	}
	if err := waitPort(ctx, lmtpAddr); err != nil {
		return 0, err
	}
	l.postfix.dir = filepath.Join(l.o.dir, "postfix")
	host, port, _ := strings.Cut(lmtpAddr, ":")
	lines := []string{"in_flow_delay = 0", "default_transport = lmtp:inet:" + host + ":" + port, "lmtp_destination_recipient_limit = 1", "lmtp_destination_concurrency_limit = 20"}
	if _, err := l.script(ctx, append([]string{"make", l.postfix.dir, postfixPort}, lines...)...); err != nil {
		return 0, err
	}
	return l.run(ctx)
}

func (l *lmtp) load(string) []string {
	return []string{"-addr", "127.0.0.1:" + postfixPort, "-to", "rcpt%d@rcpt.example"}
}

func (l *lmtp) roots(master int) string {
	return strconv.Itoa(master) + "," + strconv.Itoa(l.dovecot.Process.Pid)
}

// boxed is how many messages are in the mailboxes.
func (l *lmtp) boxed(ctx context.Context) (int, error) {
	out, err := exec.CommandContext(ctx, "doveadm", "-c", l.conf(), "-f", "flow", "mailbox", "status", "-u", "you", "messages", "INBOX", "Archive").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("doveadm: %w: %s", err, out)
	}
	total := 0
	for f := range strings.FieldsSeq(string(out)) {
		if n, ok := strings.CutPrefix(f, "messages="); ok {
			more, err := strconv.Atoi(n)
			if err != nil {
				return 0, err
			}
			total += more
		}
	}
	return total, nil
}

func (l *lmtp) stop() {
	l.postfix.stop()
	if l.dovecot != nil && l.dovecot.Process != nil {
		l.dovecot.Process.Signal(syscall.SIGTERM)
		l.dovecot.Wait()
	}
	l.dovecot = nil
}

// boxed is how many messages are in the mailboxes.
func (w *waxwing) boxed(ctx context.Context) (int, error) {
	out, err := w.command(ctx, "", "mail", "folders", "you", "--json", "-config", filepath.Join(w.dir, "waxwing.toml"))
	if err != nil {
		return 0, err
	}
	var all []struct {
		Messages int `json:"messages"`
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return 0, fmt.Errorf("mail folders: %w: %s", err, out)
	}
	total := 0
	for _, f := range all {
		total += f.Messages
	}
	return total, nil
}

// withSieve makes the script active.
func (w *waxwing) withSieve(ctx context.Context, conf string) error {
	path := filepath.Join(w.dir, "main.sieve")
	if err := os.WriteFile(path, []byte(sorting), 0o644); err != nil {
		return err
	}
	if _, err := w.command(ctx, "", "sieve", "put", "you", "main", path, "-config", conf); err != nil {
		return err
	}
	_, err := w.command(ctx, "", "sieve", "activate", "you", "main", "-config", conf)
	return err
}

// boxing is a server whose mailboxes are looked at.
type boxing interface {
	boxed(ctx context.Context) (int, error)
}

// boxes takes messages in and waits until the last is in its mailbox, where a mail program sees it.
func (r *running) boxes(ctx context.Context) error {
	p, ok := r.peer.(boxing)
	if !ok {
		return errors.New("it has no mailboxes")
	}
	if err := r.startSink(ctx, sinkWorld{addrs: 1, domains: 1}); err != nil {
		return err
	}
	if err := r.startWatch(ctx); err != nil {
		return err
	}
	begin := time.Now()
	if _, err := r.o.load(ctx, r.o.n, r.peer.load(r.work)); err != nil {
		return err
	}
	loaded := time.Now()
	if err := r.peer.drained(ctx); err != nil {
		return err
	}
	took := time.Since(begin)
	n, err := p.boxed(ctx)
	if err == nil && n != r.o.n {
		err = fmt.Errorf("%d of %d messages are in the mailboxes", n, r.o.n)
	}
	if _, ours := r.peer.(*waxwing); ours {
		took = loaded.Sub(begin) // what it has answered with 250 is there: the wait was for the command that looks
	}
	r.figure.Rate = float64(r.o.n) / took.Seconds()
	return err
}
