//go:build linux

package interop

import (
	"io"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/spool"
)

// difficult is a body with what mail servers stumble over: lines of dots, 8-bit
// text, the longest line allowed, what looks like an mbox separator, empty lines.
func difficult() string {
	return strings.Join([]string{"Hello", ".", "..", ".dot", "", "Umlauts äöü, a sign €", strings.Repeat("x", 998), "From here on",
		"tab\tand trailing space ", "", ".", "", "the end", ""}, "\r\n")
}

func unix(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// TestContentOut: what is submitted is what peers have, octet for octet.
func TestContentOut(t *testing.T) {
	t.Parallel()
	w := open(t)
	for _, name := range []string{"postfix", "exim", "opensmtpd", "opensmtpd6"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, token, to := w.peer(t, name), newToken(), "alice+content@"+name+"-plain.example"
			// Signed mail would be made seven bits (RFC 6376 §5.3).
			w.submit(t, mail{from: user + "@" + keyless, to: []string{to}, token: token, body: difficult()})
			w.settled(t, to)
			got := p.await(t, token, 1)
			if len(got) != 1 || !strings.HasSuffix(unix(got[0]), "\n\n"+unix(difficult())) {
				t.Errorf("%s has %q", name, got)
			}
		})
	}
}

// TestContentSevenBit: a host without 8BITMIME gets the same text in seven bits
// (RFC 6152 §3), signed or not.
func TestContentSevenBit(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.sign(t)
	for name, from := range map[string]string{"unsigned": user + "@" + keyless, "signed": user + "@" + waxDomain} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, token, to := w.peer(t, "postfix"), newToken(), "alice+"+name+"@bare.postfix.example"
			w.submit(t, mail{from: from, to: []string{to}, token: token, body: difficult()})
			it := w.settled(t, to)
			got := p.await(t, token, 1)
			if len(got) != 1 {
				t.Fatalf("Postfix has the mail %d times; state %v, %s %s", len(got), it.State, it.Text, it.Reply)
			}
			sevenBit(t, got[0])
		})
	}
}

// sevenBit wants the difficult text back from a mail without octets above 127.
func sevenBit(t *testing.T, mail string) {
	t.Helper()
	if strings.ContainsFunc(mail, func(r rune) bool { return r > 127 }) {
		t.Errorf("8-bit text came to a host without 8BITMIME: %q", mail)
	}
	msg, err := netmail.ReadMessage(strings.NewReader(mail))
	if err != nil {
		t.Fatal(err)
	}
	if enc := msg.Header.Get("Content-Transfer-Encoding"); enc != "quoted-printable" {
		t.Fatalf("encoding %q: %q", enc, mail)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
	if err != nil || unix(string(body)) != unix(difficult()) {
		t.Errorf("the text is another one: %q, %v", body, err)
	}
}

// TestContentIn: what peers send is what the mailbox has. Postfix and Exim use
// CHUNKING where it is offered, Exim for sending too.
func TestContentIn(t *testing.T) {
	t.Parallel()
	w := open(t)
	for _, name := range []string{"postfix", "exim"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, token := w.peer(t, name), newToken()
			to := user + "@" + waxDomain
			text := "From: <joe@ee." + name + ".example>\r\nTo: <" + to + ">\r\nSubject: " + token + "\r\n\r\n" + difficult()
			if err := hand(p.ip+":25", "joe@ee."+name+".example", to, text); err != nil {
				t.Fatal(err)
			}
			if got := w.inbox(t, token, true); !strings.HasSuffix(got, "\r\n\r\n"+difficult()) {
				t.Errorf("Waxwing has %q", got)
			}
		})
	}
}

// TestNeeds: what the sender asks for, at hosts that know nothing of it.
func TestNeeds(t *testing.T) {
	t.Parallel()
	w := open(t)
	for _, name := range []string{"postfix", "exim"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := w.peer(t, name)

			// RFC 8689 §5: TLS-Required: No goes in spite of a TLSA record that does not match.
			token, to := newToken(), "alice+optional@bad."+name+".example"
			w.submit(t, mail{to: []string{to}, token: token, need: delivery.TLSOptional})
			if it := w.settled(t, to); it.State != spool.Delivered || it.TLS != "unverified" || len(p.await(t, token, 1)) != 1 {
				t.Errorf("TLS-Required: No: state %v, TLS %q, %s", it.State, it.TLS, it.Text)
			}

			// RFC 8689 §4.2.1: no host offers REQUIRETLS, so it comes back at once.
			token, to = newToken(), "alice+required@ee."+name+".example"
			w.submit(t, mail{to: []string{to}, token: token, need: delivery.RequireTLS})
			if it := w.settled(t, to); it.State != spool.Failed || it.Word != "requiretls-not-offered" {
				t.Errorf("REQUIRETLS: state %v, word %q, %s", it.State, it.Word, it.Text)
			}
			if bounce := w.inbox(t, "Status: 5.7.30", true); !strings.Contains(bounce, "multipart/report") {
				t.Errorf("the user has no bounce about REQUIRETLS: %q", bounce)
			}
			if got, err := p.mail(token); err != nil || len(got) > 0 {
				t.Errorf("%s has the mail that requires TLS: %v, %v", name, got, err)
			}
		})
	}
}

// TestInternational: an address beyond ASCII goes where SMTPUTF8 is offered
// (Postfix, Exim), and comes back where it is not (OpenSMTPD).
func TestInternational(t *testing.T) {
	t.Parallel()
	w := open(t)
	for name, offered := range map[string]bool{"postfix": true, "exim": true, "opensmtpd": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, token, to := w.peer(t, name), newToken(), "alice+grüße@"+name+"-plain.example"
			w.submit(t, mail{to: []string{to}, token: token, utf8: true, body: difficult()})
			it := w.settled(t, to)
			if offered && (it.State != spool.Delivered || len(p.await(t, token, 1)) != 1) {
				t.Errorf("state %v, %s %s\n%s", it.State, it.Text, it.Reply, tail(p.log()))
			}
			if !offered && it.State != spool.Failed {
				t.Errorf("state %v, %s %s; want it returned (RFC 6531 §3.2)", it.State, it.Text, it.Reply)
			}
		})
	}
}
