package readers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"waxwing/internal/certs"
	"waxwing/internal/freeport"
)

// peerEnv has the tests run with another server, "dovecot": the programs are to come to the same with it.
const peerEnv = "WAXWING_READERS_PEER"

const dovecotConfig = `base_dir = %[1]s/run
log_path = %[1]s/log
protocols = imap
ssl = required
ssl_cert = <%[1]s/crt.pem
ssl_key = <%[1]s/key.pem
mail_location = mdbox:~/mail
first_valid_uid = 1
mail_max_userip_connections = 100
mail_plugins = quota
protocol imap {
  mail_plugins = quota imap_quota
}
plugin {
  quota = count:account
  quota_vsizes = yes
}
namespace inbox {
  inbox = yes
  separator = /
  mailbox Archive {
    auto = subscribe
    special_use = \Archive
  }
  mailbox Drafts {
    auto = subscribe
    special_use = \Drafts
  }
  mailbox Junk {
    auto = subscribe
    special_use = \Junk
  }
  mailbox Sent {
    auto = subscribe
    special_use = \Sent
  }
  mailbox Trash {
    auto = subscribe
    special_use = \Trash
  }
}
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    address = 127.0.0.1
    port = %[3]s
    ssl = yes
  }
}
passdb {
  driver = static
  args = password=%[2]s
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=%[1]s/home/%%u
}
`

// dovecot starts Debian's Dovecot in place of Waxwing.
func (w *waxwing) dovecot() {
	t := w.t
	t.Helper()
	need(t, "dovecot")
	if os.Getuid() != 0 || slices.Contains([]string{"TestSieveConnect", "TestImaplib"}, t.Name()) {
		t.Skip("not with Debian's Dovecot as it is set up here: as root alone, without ManageSieve, and without UTF8=ACCEPT")
	}
	dir, err := os.MkdirTemp("", "dovecot")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w.ca = filepath.Join(w.dir, "ca.pem")
	if err := certs.MakeLocal(certs.LocalFiles{Cert: dir + "/crt.pem", Key: dir + "/key.pem", CA: w.ca}, time.Now(), host); err != nil {
		t.Fatal(err)
	}
	addr := freeport.Addr(t)
	_, w.port, _ = net.SplitHostPort(addr)
	w.utf7 = true
	conf := filepath.Join(dir, "dovecot.conf")
	err = os.WriteFile(conf, fmt.Appendf(nil, dovecotConfig, dir, password, w.port), 0o644)
	if err == nil {
		err = os.MkdirAll(dir+"/home", 0o777)
	}
	if err == nil {
		err = exec.Command("sh", "-c", "chmod 755 "+dir+"; chmod 777 "+dir+"/home").Run()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, "dovecot", "-F", "-c", conf)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); cmd.Wait() })
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
			return
		}
		if time.Now().After(end) {
			said, _ := os.ReadFile(dir + "/log")
			t.Fatalf("dovecot: %v\n%s", err, said)
		}
	}
}
