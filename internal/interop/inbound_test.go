//go:build linux

package interop

import (
	"errors"
	"fmt"
	"io"
	"net/smtp"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/authres"
	"waxwing/message"
)

// TestPeersDeliver: Postfix and Exim, which ask for DANE, hand mail to Waxwing's
// MX, and keep it back where Waxwing's TLSA record is wrong. (OpenSMTPD finds no
// address for anybody on a machine that has only loopback.)
func TestPeersDeliver(t *testing.T) {
	t.Parallel()
	w := open(t)
	for _, c := range []struct {
		peer, domain string
		says         string // in the peer's log of this mail
		refused      bool
	}{
		{"postfix", waxDomain, "status=sent (250 2.0.0", false},
		{"postfix", "ta." + waxDomain, "status=sent (250 2.0.0", false},
		{"postfix", "bad." + waxDomain, "status=deferred (Server certificate not verified)", true},
		{"exim", waxDomain, "CV=dane", false},
		{"exim", "ta." + waxDomain, "CV=dane", false},
		{"exim", "bad." + waxDomain, "TLS session: (certificate verification failed)", true},
	} {
		t.Run(c.peer+"/"+c.domain, func(t *testing.T) {
			t.Parallel()
			p, token := w.peer(t, c.peer), newToken()
			to := user + "+" + strings.ToLower(token) + "@" + c.domain
			text := fmt.Sprintf("From: <joe@ee.%s.example>\r\nTo: <%s>\r\nSubject: %s\r\n\r\nHello\r\n", c.peer, to, token)
			if err := hand(p.ip+":25", "joe@ee."+c.peer+".example", to, text); err != nil {
				t.Fatal(err)
			}
			if said := p.waitLog(to, c.says); said == "" {
				t.Errorf("%s does not say %q of %s:\n%s", c.peer, c.says, to, tail(p.log()))
			}
			mail := w.inbox(t, token, !c.refused)
			switch {
			case c.refused && mail != "":
				t.Errorf("%s sent in spite of a wrong TLSA record", c.peer)
			case !c.refused && !strings.Contains(mail, "SMTPS (TLS1.3)"):
				t.Errorf("Waxwing has it as %q", mail)
			case !c.refused:
				verified(t, mail, "ee."+c.peer+".example")
			}
		})
	}
}

// verified: Waxwing says of a mail that SPF and DMARC let its author in, and that DNSSEC vouches
// for it (AUT-2, AUT-8).
func verified(t *testing.T, mail, author string) {
	t.Helper()
	h, _, err := message.SplitHeader([]byte(mail))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range h.Fields {
		if !f.Is(authres.Name) {
			continue
		}
		said := strings.Join(strings.Fields(f.Value()), " ")
		for _, part := range []string{" " + waxHost + "; ", "spf=pass smtp.mailfrom=joe@" + author + " (dnssec)", "dmarc=pass header.from=" + author + " policy.dmarc=reject (dnssec)"} {
			if !strings.Contains(" "+said, part) {
				t.Errorf("no %q in %s", part, said)
			}
		}
		return // the first is ours
	}
	t.Errorf("no %s in\n%s", authres.Name, mail)
}

// TestMsmtp: msmtp hands mail to the MX like any server does.
func TestMsmtp(t *testing.T) {
	t.Parallel()
	need(t, "msmtp")
	w, token := open(t), newToken()
	text := "From: joe@ee.exim.example\nTo: " + user + "@" + waxDomain + "\nSubject: " + token + "\n\nhello\n"
	said, err := output(root, "sh", "-c", `printf '%s' "$1" | msmtp --file=/dev/null --host=`+waxHost+` --port=25 --tls=on --tls-trust-file=`+root+`/ca.pem --from=joe@ee.exim.example --read-recipients`, "sh", text)
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	verified(t, w.inbox(t, token, true), "ee.exim.example")
}

// hand gives a peer a mail to send, in plaintext.
func hand(addr, from, to, text string) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail(from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	wc, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(wc, text); err != nil {
		return err
	}
	return errors.Join(wc.Close(), c.Quit())
}

// waitLog waits until a line of the peer's log about a recipient says text.
func (p *peer) waitLog(recipient, text string) (line string) {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for line := range strings.Lines(p.log()) {
			if strings.Contains(line, recipient) && strings.Contains(line, text) {
				return line
			}
		}
	}
	return ""
}

// inbox returns the mail with the token in the user's mailbox, and waits for it
// if it is expected.
func (w *world) inbox(t *testing.T, token string, expected bool) string {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if text := w.find(t, token); text != "" || !expected || time.Now().After(end) {
			return text
		}
	}
}

// find is the mail with the token that is there now; "": none.
func (w *world) find(t *testing.T, token string) string {
	t.Helper()
	list, err := w.wax.Mailboxes.List(t.Context(), user, "INBOX", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if text := w.read(t, m.ID); strings.Contains(text, token) {
			return text
		}
	}
	return ""
}

func (w *world) read(t *testing.T, id int64) string {
	t.Helper()
	c, _, err := w.wax.Mailboxes.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	rc, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	b, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What swaks ends with.
const (
	swaksMail = 23 // MAIL refused
	swaksRcpt = 24 // no recipient accepted
	swaksData = 26 // the message refused
	swaksAuth = 28 // no login
)

// TestSwaks: swaks submits and hands in as it may, and is refused what it may not.
func TestSwaks(t *testing.T) {
	t.Parallel()
	need(t, "swaks")
	w := open(t)
	tls := []string{"--tls", "--tls-verify", "--tls-ca-path", filepath.Join(root, "ca.pem")}
	login := func(mechanism, password string) []string {
		return append([]string{"--port", "587", "--auth", mechanism, "--auth-user", user, "--auth-password", password}, tls...)
	}
	own, stranger := user+"@"+waxDomain, "joe@ee.exim.example"
	for _, c := range []struct {
		name     string
		from, to string
		args     []string
		code     int
		says     string
	}{
		{"submit with PLAIN", own, own, login("PLAIN", password), 0, "235 2.7.0"},
		{"submit with LOGIN", own, own, login("LOGIN", password), 0, "235 2.7.0"},
		{"submit with TLS from the start", own, own, []string{"--port", "465", "--tlsc", "--auth", "PLAIN", "--auth-user", own, "--auth-password", password}, 0, "235 2.7.0"},
		{"submit in a pipeline", own, own, append(login("PLAIN", password), "--pipeline"), 0, "250 2.0.0"},
		{"wrong password", own, own, login("PLAIN", "wrong"), swaksAuth, "535 5.7.8"},
		{"no login in plaintext", own, own, []string{"--port", "587", "--auth", "PLAIN", "--auth-user", user, "--auth-password", password}, swaksAuth, ""},
		{"no submission without login", own, own, append([]string{"--port", "587"}, tls...), swaksMail, "530 5.7.0"},
		{"somebody else's address", "mallory@" + waxDomain, own, login("PLAIN", password), swaksMail, "553 5.7.1"},
		{"MX", stranger, own, tls, 0, "250 2.0.0"},
		{"MX in plaintext", stranger, own, nil, 0, "250 2.0.0"},
		{"MX in a pipeline", stranger, own, append([]string{"--pipeline"}, tls...), 0, "250 2.0.0"},
		{"MX, unknown user", stranger, "nobody@" + waxDomain, tls, swaksRcpt, "550 5.1.1"},
		{"MX, one of two unknown", stranger, own + ",nobody@" + waxDomain, tls, 0, "550 5.1.1"},
		{"MX, relay", stranger, "joe@elsewhere.example", tls, swaksRcpt, "550 5.7.1"},
		{"MX, relay by source route", stranger, "@" + waxDomain + ":joe@elsewhere.example", tls, swaksRcpt, "550 5.7.1"},
		{"MX, relay by percent sign", stranger, "joe%elsewhere.example@" + waxDomain, tls, swaksRcpt, "550 5.1.1"},
		{"MX, bounce", "<>", own, append(slices.Clone(tls), "--header", "From: mailer-daemon@far.example"), 0, "250 2.0.0"},
		{"MX, nobody wrote it", "<>", own, tls, swaksData, "550 5.6.0"}, // AUT-5
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			token := newToken()
			args := append([]string{"--server", waxHost, "--from", c.from, "--to", c.to, "--header", "Subject: " + token}, c.args...)
			said, err := output(root, "swaks", args...)
			code := 0
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				code = exit.ExitCode()
			}
			if code != c.code || !strings.Contains(said, c.says) {
				t.Errorf("swaks ends with %d, want %d and %q:\n%s", code, c.code, c.says, said)
			}
			if mail := w.inbox(t, token, c.code == 0); (mail != "") != (c.code == 0) {
				t.Errorf("in the mailbox: %q", mail)
			} else if c.code == 0 && c.from == stranger {
				verified(t, mail, "ee.exim.example")
			}
		})
	}
}

// TestGSASL: GNU SASL logs in with every mechanism offered, with channel
// binding too (tls-exporter, RFC 9266), and not with a wrong password.
func TestGSASL(t *testing.T) {
	t.Parallel()
	need(t, "gsasl")
	open(t)
	for _, m := range []string{"PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"} {
		for _, pass := range []string{password, "wrong"} {
			t.Run(m+"/"+pass, func(t *testing.T) {
				t.Parallel()
				args := []string{"--smtp", "--quiet", "--connect", waxHost + ":587", "--x509-ca-file=" + filepath.Join(root, "ca.pem"),
					"--mechanism", m, "--authentication-id", user, "--authorization-id", "", "--password", pass}
				if !strings.HasSuffix(m, "-PLUS") {
					args = append(args, "--no-cb") // gsasl refuses them otherwise
				}
				said, err := output(root, "gsasl", args...)
				if good := pass == password; good != (err == nil) || good != strings.Contains(said, "235 2.7.0") || !good && !strings.Contains(said, "535 5.7.8") {
					t.Errorf("%v\n%s", err, said)
				}
			})
		}
	}
}
