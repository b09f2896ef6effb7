package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/session"
	"waxwing/internal/transport"
	"waxwing/smtp"
)

// startDovecot runs a Dovecot that keeps mailboxes for joe, ann and full@b.test, the last with
// nearly no room, and speaks LMTP on a unix socket.
func startDovecot(t *testing.T) (socket, mail string) {
	t.Helper()
	need(t, "dovecot")
	if _, err := os.Stat("/usr/lib/dovecot/lmtp"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs dovecot-lmtpd, and root to run it")
	}
	dir, err := os.MkdirTemp("/tmp", "waxwing-dovecot") // a path of a socket must be short, and its user must reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	mail = filepath.Join(dir, "mail")
	for _, d := range []string{mail, filepath.Join(dir, "run")} {
		if err := os.Mkdir(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{dir, mail} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	users := ""
	for _, u := range []string{"joe", "ann"} {
		users += u + "@b.test::8:8::" + mail + "/" + u + "::\n"
	}
	users += "full@b.test::8:8::" + mail + "/full::userdb_quota_rule=*:bytes=10\n"
	conf := fmt.Sprintf(`base_dir = %[1]s/run
log_path = %[1]s/log
protocols = lmtp
ssl = no
mail_location = maildir:~/Maildir
first_valid_uid = 1
mail_plugins = quota
postmaster_address = postmaster@b.test
recipient_delimiter = +
passdb {
  driver = passwd-file
  args = %[1]s/users
}
userdb {
  driver = passwd-file
  args = %[1]s/users
}
plugin {
  quota = maildir:User quota
}
service lmtp {
  unix_listener %[1]s/lmtp {
    mode = 0666
  }
}
`, dir)
	for name, text := range map[string]string{"users": users, "dovecot.conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("dovecot", "-F", "-c", filepath.Join(dir, "dovecot.conf"))
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("dovecot: %s\n%s", said.String(), log)
		}
	})
	socket = filepath.Join(dir, "lmtp")
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		nc, err := net.Dial("unix", socket)
		if err == nil {
			nc.Close()
			return socket, mail
		}
		if time.Now().After(end) {
			t.Fatalf("dovecot does not listen: %v", err)
		}
	}
}

// TestDovecot (INB-14): mailboxes that a Dovecot keeps get their mail by LMTP over its socket. Of
// four recipients of one message each is settled by Dovecot's own word on it: known, with a
// detail, unknown, and without room.
func TestDovecot(t *testing.T) {
	t.Parallel()
	socket, mail := startDovecot(t)
	b := &transport.Builder{DNS: nil, Session: func() *session.Client { return &session.Client{HELO: "mx.waxwing.test"} }}
	d, err := b.Make(route.Transport{Name: "dovecot", Kind: route.LMTP, Host: route.Host{Socket: socket}})
	if err != nil {
		t.Fatal(err)
	}
	domain := delivery.RecipientDomain{Name: dns.MustParse("b.test")}
	job := &delivery.Job{Envelope: delivery.Envelope{ID: 1, Sender: "alice@sender.test", Need: delivery.RequireTLS}, Domain: domain, Local: true}
	for i, to := range []string{"joe@b.test", "ann+list@b.test", "nobody@b.test", "full@b.test"} {
		job.Recipients = append(job.Recipients, delivery.Recipient{ID: int64(i + 1), Address: to, Domain: domain})
	}
	token := newToken()
	res := d.Deliver(context.Background(), job, delivery.Bytes("From: alice@sender.test\r\nSubject: "+token+"\r\n\r\nhello\r\n"))
	want := []struct {
		o delivery.Outcome
		e smtp.Enhanced
	}{{delivery.Delivered, smtp.Enhanced{Class: 2}}, {delivery.Delivered, smtp.Enhanced{Class: 2}},
		{delivery.Failed, smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}}, {delivery.Failed, smtp.Enhanced{Class: 5, Subject: 2, Detail: 2}}}
	for i, w := range want {
		rr := res.Recipients[i]
		t.Logf("%s: %s %s", job.Recipients[i].Address, rr.Outcome, rr.Text)
		if rr.Outcome != w.o || rr.Enhanced != w.e {
			t.Errorf("%s: %+v", job.Recipients[i].Address, rr)
		}
	}
	for _, user := range []string{"joe", "ann"} {
		files, _ := filepath.Glob(filepath.Join(mail, user, "Maildir", "new", "*"))
		if len(files) != 1 {
			t.Errorf("%s has %d messages", user, len(files))
			continue
		}
		text, err := os.ReadFile(files[0])
		if err != nil || !strings.Contains(string(text), "Subject: "+token) || !strings.Contains(string(text), "Return-Path: <alice@sender.test>") {
			t.Errorf("%s has %q, %v", user, text, err)
		}
	}
}
