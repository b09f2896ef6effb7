//go:build linux

package interop

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// peer is a mail host of another make. It takes mail for alice and bob, with
// any +tag, at every domain of the cases, and refuses everybody else.
type peer struct {
	name    string
	program string // without it the peer is not there
	newer   bool   // it runs in the newer Debian, with the program of there
	ip      string
	dir     string
	cert    tls.Certificate
	start   func(p *peer) (*process, error)

	once sync.Once
	proc *process
	err  error
	// brokenTLS: STARTTLS is offered and the handshake fails, as with Debian 12's
	// OpenSMTPD 6.8 (OpenSMTPD issue 1171), and with no other.
	brokenTLS bool
}

func newPeers() []*peer {
	peers := []*peer{
		{name: "postfix", program: "/usr/lib/postfix/sbin/master", ip: "127.1.0.1", start: startPostfix},
		{name: "exim", program: "exim4", ip: "127.2.0.1", start: startExim},
		{name: "opensmtpd", program: filepath.Join(newer, "/usr/sbin/smtpd"), newer: true, ip: "127.3.0.1", start: startOpenSMTPD},
		{name: "opensmtpd6", program: "smtpd", ip: "127.5.0.1", start: startOpenSMTPD},
	}
	for _, p := range peers {
		p.dir = filepath.Join(root, p.name)
	}
	return peers
}

// Where Postfix listens with other settings.
const (
	clearIP   = "127.1.0.2" // without STARTTLS
	tls12IP   = "127.1.0.3" // TLS 1.2 alone
	tls11IP   = "127.1.0.4" // no TLS newer than 1.1
	askCertIP = "127.1.0.5" // asks for a client certificate
	reqCertIP = "127.1.0.6" // takes nothing without a client certificate
	bareIP    = "127.1.0.7" // without STARTTLS, 8BITMIME, PIPELINING and the rest
)

// run starts the peer once.
func (p *peer) run() error {
	p.once.Do(func() {
		if p.err = os.MkdirAll(filepath.Join(p.dir, "mail"), 0o755); p.err != nil {
			return
		}
		if p.err = os.Chown(filepath.Join(p.dir, "mail"), mailUID, mailUID); p.err != nil {
			return
		}
		if p.err = p.writeCert(); p.err == nil {
			if p.proc, p.err = p.start(p); p.err != nil {
				p.err = fmt.Errorf("%w%s", p.err, p.log())
				return
			}
			p.brokenTLS = !p.handshakes()
			if p.brokenTLS && p.name != "opensmtpd6" {
				p.err = fmt.Errorf("%s makes no TLS handshake: %s", p.name, p.log())
			}
		}
	})
	return p.err
}

// handshakes tries TLS with the peer, by another client than Waxwing's.
func (p *peer) handshakes() bool {
	c, err := smtp.Dial(p.ip + ":25")
	if err != nil {
		return false
	}
	defer c.Close()
	return c.StartTLS(&tls.Config{InsecureSkipVerify: true}) == nil
}

func (p *peer) path(name string) string { return filepath.Join(p.dir, name) }

func (p *peer) writeCert() error {
	key, err := encodeKey(p.cert.PrivateKey)
	if err != nil {
		return err
	}
	mode := os.FileMode(0o600)
	if p.name == "exim" {
		mode = 0o644 // it reads the key as its own user
	}
	if err := os.WriteFile(p.path("tls.key"), key, mode); err != nil {
		return err
	}
	return os.WriteFile(p.path("tls.crt"), encodeChain(p.cert.Certificate), 0o644)
}

// mail returns the files under the peer's mail directory that hold the token.
func (p *peer) mail(token string) (found []string, err error) {
	err = filepath.WalkDir(p.path("mail"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/tmp/") {
			return nil // a file that was just moved will be seen the next time
		}
		if b, err := os.ReadFile(path); err == nil && strings.Contains(string(b), token) {
			found = append(found, string(b))
		}
		return nil
	})
	return found, err
}

// log is what the peer wrote of its work.
func (p *peer) log() string {
	text := ""
	if p.proc != nil {
		text = p.proc.log()
	}
	for _, name := range []string{"log/mail.log", "log/main", "log/reject", "log/panic"} {
		if b, err := os.ReadFile(p.path(name)); err == nil {
			text += string(b)
		}
	}
	return text
}

func startPostfix(p *peer) (*process, error) {
	for _, d := range []string{"conf", "queue", "data", "log"} {
		if err := os.MkdirAll(p.path(d), 0o755); err != nil {
			return nil, err
		}
	}
	if _, err := output(p.dir, "chown", "postfix", "data"); err != nil {
		return nil, err
	}
	files := map[string]string{"main.cf": fmt.Sprintf(postfixMain, p.dir, strings.Join(domainsOf(p.name), " "), mailUID), "master.cf": fmt.Sprintf(postfixMaster, p.ip, clearIP, tls12IP, tls11IP, askCertIP, reqCertIP, bareIP),
		"users": "/^alice(\\+.*)?@/ alice/\n/^bob(\\+.*)?@/ bob/\n"}
	for name, text := range files {
		if err := os.WriteFile(p.path("conf/"+name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return start(p.name, p.ip+":25", "postfix", "-c", p.path("conf"), "start-fg")
}

// As a client, this Postfix asks for DANE wherever it sends, and so does Exim
// below. Both relay for everybody here.
const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file_prefixes = %[1]s
maillog_file = %[1]s/log/mail.log
myhostname = mx.postfix.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_protocols = ipv4
inet_interfaces = all
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_chain_files = %[1]s/tls.key, %[1]s/tls.crt
smtpd_tls_received_header = yes
smtpd_tls_loglevel = 1
virtual_mailbox_domains = %[2]s
virtual_mailbox_maps = regexp:%[1]s/conf/users
virtual_mailbox_base = %[1]s/mail
virtual_uid_maps = static:%[3]d
virtual_gid_maps = static:%[3]d
smtp_dns_support_level = dnssec
smtp_tls_security_level = dane
smtp_tls_loglevel = 1
smtp_host_lookup = dns
minimal_backoff_time = 1h
`

const postfixMaster = `%s:25   inet n - n - - smtpd
%s:25   inet n - n - - smtpd -o smtpd_tls_security_level=none
%s:25   inet n - n - - smtpd -o smtpd_tls_protocols=TLSv1.2
%s:25   inet n - n - - smtpd -o smtpd_tls_protocols=!TLSv1.2,!TLSv1.3
%s:25   inet n - n - - smtpd -o smtpd_tls_ask_ccert=yes
%s:25   inet n - n - - smtpd -o smtpd_tls_security_level=encrypt -o smtpd_tls_req_ccert=yes
%s:25   inet n - n - - smtpd -o smtpd_tls_security_level=none -o smtpd_discard_ehlo_keywords=pipelining,size,8bitmime,dsn,smtputf8,chunking,enhancedstatuscodes,vrfy,etrn
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
`

func startExim(p *peer) (*process, error) {
	for _, d := range []string{"spool", "log"} {
		if err := os.MkdirAll(p.path(d), 0o755); err != nil {
			return nil, err
		}
		if _, err := output(p.dir, "chown", "Debian-exim:Debian-exim", d); err != nil {
			return nil, err
		}
	}
	conf := fmt.Sprintf(eximConf, p.dir, p.ip, strings.Join(append(domainsOf(p.name), "rpt.exim.example"), " : "), mailUID)
	// At the place that is compiled in: with -C, exim would drop its privileges
	// before it delivers.
	if err := os.MkdirAll("/etc/exim4", 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile("/etc/exim4/exim4.conf", []byte(conf), 0o644); err != nil {
		return nil, err
	}
	return start(p.name, p.ip+":25", "exim4", "-bdf")
}

const eximConf = `primary_hostname = mx.exim.example
spool_directory = %[1]s/spool
log_file_path = %[1]s/log/%%s
local_interfaces = %[2]s
daemon_smtp_ports = 25
disable_ipv6 = true
keep_environment =
host_lookup =
dns_dnssec_ok = 1
rfc1413_query_timeout = 0s
domainlist served = %[3]s
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
tls_advertise_hosts = *
tls_certificate = %[1]s/tls.crt
tls_privatekey = %[1]s/tls.key
log_selector = +tls_cipher +received_recipients
begin acl
rcpt:
  accept !domains = +served
  deny !local_parts = \N^(alice|bob)([+].*)?$\N
       message = unknown user
  accept
begin routers
out:
  driver = dnslookup
  domains = !+served
  dnssec_request_domains = *
  transport = out
  no_more
served:
  driver = accept
  domains = +served
  transport = maildir
begin transports
out:
  driver = smtp
  dnssec_request_domains = *
  hosts_try_dane = *
maildir:
  driver = appendfile
  directory = %[1]s/mail/inbox
  create_directory
  maildir_format
  user = %[4]d
  group = %[4]d
`

func startOpenSMTPD(p *peer) (*process, error) {
	if err := os.WriteFile(p.path("users"), []byte("alice mailer\nbob mailer\n"), 0o644); err != nil {
		return nil, err
	}
	if err := os.MkdirAll("/var/lib/opensmtpd/empty", 0o711); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`pki mx.%[4]s.example cert "%[1]s/tls.crt"
pki mx.%[4]s.example key "%[1]s/tls.key"
table users file:%[1]s/users
listen on %[2]s port 25 tls pki mx.%[4]s.example hostname mx.%[4]s.example
action "keep" maildir "%[1]s/mail/inbox" virtual <users>
match from any for domain { %[3]s } action "keep"
`, p.dir, p.ip, strings.Join(domainsOf(p.name), ", "), p.name)
	if err := os.WriteFile(p.path("smtpd.conf"), []byte(conf), 0o644); err != nil {
		return nil, err
	}
	args := []string{"smtpd", "-d", "-f", p.path("smtpd.conf")}
	if p.newer {
		if err := p.moveIn(); err != nil {
			return nil, err
		}
		args = append([]string{"chroot", newer}, args...)
	}
	return start(p.name, p.ip+":25", args[0], args[1:]...)
}
