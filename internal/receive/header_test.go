package receive

import (
	"fmt"
	"strings"
	"testing"

	"waxwing/internal/login"
	"waxwing/smtpserver"
)

// AUT-2: a line that is no field must not hide a forgery of ours from us and show
// it to others. Before it the header is ours to edit, behind it all is body.
func TestMXHeaderWithoutEnd(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	c := serve(t, &MX{Door: common(q)}, nil)
	const forged = "Authentication-Results: mx.here.test; dkim=pass\r\n"
	const path = "Return-Path: <boss@here.test>\r\n"
	for _, tt := range []struct{ name, sent, want string }{
		{"whole", "A: b\r\n" + forged + path + "C: d\r\n\r\nx\r\n", "A: b\r\nC: d\r\n\r\nx\r\n"},
		{"no field", forged + "A: b\r\nno field\r\n" + forged + "\r\nx\r\n", "A: b\r\n\r\nno field\r\n" + forged + "\r\nx\r\n"},
		{"first line", "no field\r\n" + forged + "\r\nx\r\n", "\r\nno field\r\n" + forged + "\r\nx\r\n"},
		{"continues nothing", " x\r\n" + forged + "\r\nx\r\n", "\r\n x\r\n" + forged + "\r\nx\r\n"},
		{"bad name", "A: b\r\n c\r\nB\xff: c\r\n" + path + "\r\nx\r\n", "A: b\r\n c\r\n\r\nB\xff: c\r\n" + path + "\r\nx\r\n"},
		{"no header", "\r\nx\r\n", "\r\nx\r\n"},
		{"nothing to mend", "a : b\r\n\r\nno field\r\n", "a : b\r\n\r\nno field\r\n"},
		{"long", forged + "A: b\r\nno field\r\n" + strings.Repeat("x\r\n", 1<<19), "A: b\r\n\r\nno field\r\n" + strings.Repeat("x\r\n", 1<<19)},
	} {
		c.send("250", "<a@x.test>", "<joe@here.test>", strings.TrimSuffix(tt.sent, "\r\n"))
		_, got, _ := strings.Cut(q.last(t).body, " +0000\r\n") // behind our Received
		if got != tt.want {
			t.Errorf("%s: stored as %.300q, want %.300q", tt.name, got, tt.want)
		}
	}
}

// INB-2, RFC 5322 §4: no NUL anywhere in a message, however it comes.
func TestNUL(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	for name, b := range map[string]smtpserver.Backend{"mx": &MX{Door: common(q)}, "submission": &Submission{Door: common(q), Signer: seal{}}} {
		c := serve(t, b, &login.Checker{Accounts: people{}})
		c.login()
		for at, text := range map[string]string{
			"header": "From: joe@here.test\r\nSubject: a\x00b\r\n\r\nhi\r\n",
			"name":   "From: joe@here.test\r\nSub\x00ject: ab\r\n\r\nhi\r\n",
			"body":   "From: joe@here.test\r\n\r\nhi\x00\r\n",
			"far":    "From: joe@here.test\r\n\r\n" + strings.Repeat("x\r\n", 1<<19) + "\x00\r\n",
		} {
			c.send("550 5.6.0", "<joe@here.test>", "<joe@here.test>", strings.TrimSuffix(text, "\r\n"))
			c.do("250", "MAIL FROM:<joe@here.test>")
			c.do("250", "RCPT TO:<joe@here.test>")
			c.bdat(text, "550 5.6.0")
			if n := q.count(); n != 0 {
				t.Fatalf("%s: %d messages with a NUL in the %s accepted", name, n, at)
			}
		}
	}
}

// bdat sends text as one chunk.
func (c *client) bdat(text, want string) {
	c.t.Helper()
	fmt.Fprintf(c.nc, "BDAT %d LAST\r\n%s", len(text), text)
	c.want(want)
}

// AUT-2: an account's mail to its neighbours does not vouch for itself in our name either.
func TestAccountsForgeNothing(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	c := serve(t, &Submission{Door: common(q), Signer: seal{}}, &login.Checker{Accounts: people{}})
	c.login()
	c.send("250", "<joe@here.test>", "<joe@here.test>", "From: joe@here.test\r\nAuthentication-Results: mx.here.test; dkim=pass\r\n"+
		"Return-Path: <boss@here.test>\r\nSubject: hi\r\n\r\nx")
	if got := q.last(t).body; strings.Contains(got, "dkim=pass") || strings.Contains(got, "boss") || !strings.Contains(got, "Subject: hi") {
		t.Errorf("stored as %q", got)
	}
}
