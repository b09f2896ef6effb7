package server

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"waxwing/internal/config"
	"waxwing/internal/login"
)

// imapSay sends a command and wants an answer that begins with want; others before it are passed over.
func (p *peer) imapSay(command, want string) string {
	p.t.Helper()
	if command != "" {
		fmt.Fprintf(p, "%s\r\n", command)
	}
	for {
		l, err := p.r.ReadString('\n')
		if err != nil {
			p.t.Fatalf("%q: %v, want %s", command, err, want)
		}
		if strings.HasPrefix(l, want) {
			return l
		}
		if tag, _, _ := strings.Cut(command, " "); strings.HasPrefix(l, tag+" ") && tag != "" {
			p.t.Fatalf("%q: %q, want %s", command, l, want)
		}
	}
}

// IMP-1: both listeners, TLS before a login, the logins of submission, and the log says where.
func TestIMAP(t *testing.T) {
	t.Parallel()
	s := run(t, parse(t, config.IMAP, config.IMAPS))
	p := dial(t, s.Addr(config.IMAP))
	if l := p.imapSay("", "* OK"); !strings.Contains(l, "STARTTLS") || !strings.Contains(l, "LOGINDISABLED") || strings.Contains(l, "AUTH=") {
		t.Errorf("in plaintext: %s", l)
	}
	p.imapSay("a1 LOGIN you@example.test a-good-password", "a1 NO [PRIVACYREQUIRED]")
	p.imapSay("a2 STARTTLS", "a2 OK")
	p.tls(&tls.Config{InsecureSkipVerify: true})
	p.imapSay("a3 LOGIN you@example.test wrong", "a3 NO [AUTHENTICATIONFAILED]")
	if l := p.imapSay("a4 LOGIN you@example.test a-good-password", "a4 OK"); !strings.Contains(l, "IDLE") {
		t.Errorf("after a login: %s", l)
	}
	p.imapSay("a5 LOGOUT", "* BYE")

	p = dial(t, s.Addr(config.IMAPS))
	p.tls(&tls.Config{InsecureSkipVerify: true})
	if l := p.imapSay("", "* OK"); !strings.Contains(l, "AUTH=SCRAM-SHA-256-PLUS") {
		t.Errorf("over TLS: %s", l)
	}
	p.imapSay("b1 AUTHENTICATE PLAIN AHlvdQBhLWdvb2QtcGFzc3dvcmQ=", "b1 OK")
	p.imapSay("b2 NOOP", "b2 OK")

	journal := &login.Journal{DB: s.Store}
	entries, err := journal.Entries(t.Context(), "you")
	if err != nil || len(entries) != 3 {
		t.Fatalf("%+v, %v", entries, err)
	}
	for _, e := range entries {
		if e.Protocol != "imap" {
			t.Errorf("noted as %s", e.Protocol)
		}
	}

	// IMP-5: another password ends what the last one has begun.
	p.imapSay("b3 IDLE", "+ ")
	if err := s.Accounts.SetPassword(t.Context(), "you", "another-good-password"); err != nil {
		t.Fatal(err)
	}
	p.imapSay("", "* BYE the account or its password has changed")
	p = dial(t, s.Addr(config.IMAPS))
	p.tls(&tls.Config{InsecureSkipVerify: true})
	p.imapSay("c1 LOGIN you@example.test another-good-password", "c1 OK")
	s.stop() // with a client that waits
	p.imapSay("", "* BYE")
}
