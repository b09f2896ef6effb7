package receive

import (
	"fmt"
	"io"
	"mime/quotedprintable"
	"os"
	"strings"
	"testing"

	"waxwing/internal/login"
	"waxwing/message"
)

// readCase is a message of the message package's cases, for SMTP, from joe.
func readCase(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../message/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "joe@example.test", "joe@here.test")
	return strings.TrimSuffix(strings.ReplaceAll(text, "\n", "\r\n"), "\r\n")
}

// long-line.eml (INB-13): on submission, lines that SMTP cannot carry on are encoded
// anew, before the message is signed; a message that MIME has no way for is refused.
func TestSubmissionLongLines(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	b := &Submission{Door: common(q), Signer: seal{}}
	b.TempDir = t.TempDir()
	c := serve(t, b, &login.Checker{Accounts: people{}})
	c.login()
	long := strings.Repeat("0123456789", 150)
	const from = "From: joe@here.test\r\nDate: today\r\nMessage-ID: <1@x>\r\n"
	for _, tt := range []struct{ name, msg, want string }{
		{"case", readCase(t, "long-line.eml"), ""},
		{"short", from + "\r\n" + long, long},
		{"beyond memory", from + "\r\n" + strings.Repeat(strings.Repeat("x", 990)+"\r\n", 2000) + long, long},
		{"beyond memory, 8-bit", from + "Content-Type: text/plain; charset=utf-8\r\n\r\nü\r\n" + strings.Repeat(strings.Repeat("x", 990)+"\r\n", 2000) + long, long},
		{"one line beyond memory", from + "\r\n" + strings.Repeat("y", 3<<20), ""},
		{"field", from + "References: " + strings.Repeat("<0123456789@here.test> ", 100) + "\r\n\r\nx", "x"},
	} {
		c.send("250", "<joe@here.test>", "<x@far.test>", tt.msg)
		_, got, _ := strings.Cut(q.last(t).body, "DKIM-Signature: ")
		seal, got, _ := strings.Cut(got, "\r\n")
		if message.LongLine([]byte(got)) || message.EightBit([]byte(got)) {
			t.Errorf("%s: a long line or 8-bit text is left", tt.name)
		}
		if seal != fmt.Sprintf("d=here.test; l=%d", len(got)) {
			t.Errorf("%s: signed was another message: %s, it has %d octets", tt.name, seal, len(got))
		}
		_, body, _ := strings.Cut(got, "\r\n\r\n")
		if strings.Contains(got, "quoted-printable") {
			text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
			if err != nil {
				t.Fatal(err)
			}
			body = string(text)
		}
		_, sent, _ := strings.Cut(tt.msg, "\r\n\r\n")
		if body != sent+"\r\n" || !strings.HasSuffix(body, tt.want+"\r\n") {
			t.Errorf("%s: the body is another one: %.200q", tt.name, body)
		}
	}
	signed := "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" + long + "\r\n--b--"
	for _, bad := range []string{signed, "DKIM-Signature: v=1\r\n\r\n" + long, "Subject: " + long + "\r\n\r\nx", "Content-Transfer-Encoding: x-own\r\n\r\n" + long} {
		r := c.send("550 5.6.0", "<joe@here.test>", "<x@far.test>", from+bad)
		if !strings.Contains(r, "998 octets") {
			t.Errorf("refused with %s", r)
		}
	}
	// Exactly 998 octets are allowed, and stay.
	c.send("250", "<joe@here.test>", "<x@far.test>", from+"\r\n"+strings.Repeat("x", 998))
	if got := q.last(t).body; !strings.HasSuffix(got, "\r\n\r\n"+strings.Repeat("x", 998)+"\r\n") {
		t.Errorf("998 octets were changed: %.400q", got)
	}
	if left, err := os.ReadDir(b.TempDir); err != nil || len(left) > 0 {
		t.Errorf("files left: %v %v", left, err)
	}
}

// INB-13: the MX takes long lines as they are.
func TestMXLongLines(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	c := serve(t, &MX{Door: common(q)}, nil)
	msg := readCase(t, "long-line.eml")
	c.send("250", "<a@x.test>", "<joe@here.test>", msg)
	if got := q.last(t).body; !strings.HasSuffix(got, "\r\n"+msg+"\r\n") {
		t.Errorf("the message was changed: %.300q", got)
	}
}

// html-no-mime-version.eml (TRA-7): type and charset stay, MIME-Version comes.
func TestSubmissionAddsMIMEVersion(t *testing.T) {
	t.Parallel()
	for name, signer := range map[string]Signer{"signed": seal{}, "unsigned": nil} {
		q := &outbox{}
		c := serve(t, &Submission{Door: common(q), Signer: signer}, &login.Checker{Accounts: people{}})
		c.login()
		c.send("250", "<joe@here.test>", "<x@far.test>", readCase(t, "html-no-mime-version.eml"))
		got := q.last(t).body
		if strings.Count(got, "\r\nMIME-Version: 1.0\r\n") != 1 || strings.Count(got, "\r\nContent-Type: text/html; charset=UTF-8\r\n") != 1 ||
			strings.Contains(got, "Content-Transfer-Encoding: quoted-printable") != (signer != nil) {
			t.Errorf("%s: %s", name, got)
		}
		c.send("250", "<joe@here.test>", "<x@far.test>", "From: joe@here.test\r\nDKIM-Signature: h=mime-version\r\nContent-Type: text/html\r\n\r\nx")
		if strings.Contains(q.last(t).body, "MIME-Version") {
			t.Error("a field is added that another's signature may cover")
		}
	}
}

// What mbox files have between messages is no part of one (sendmail, formail and
// the like hand it on).
func TestMboxLines(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx := serve(t, &MX{Door: common(q)}, nil)
	sub := serve(t, &Submission{Door: common(q)}, &login.Checker{Accounts: people{}})
	sub.login()
	const msg = "From: joe@here.test\r\nDate: today\r\nMessage-ID: <1@x>\r\n\r\nFrom here on\r\n"
	for _, line := range []string{"", "From joe@here.test Mon Nov 23 10:00:00 2026\r\n", "From joe\r\n", ">From joe@here.test Mon Nov 23 10:00:00 2026\r\n", "From a b\r\n>From c d\r\n"} {
		for name, c := range map[string]*client{"MX": mx, "submission": sub} {
			c.send("250", "<joe@here.test>", "<joe@here.test>", line+strings.TrimSuffix(msg, "\r\n"))
			if _, got, _ := strings.Cut(q.last(t).body, " +0000\r\n"); got != msg {
				t.Errorf("%s, %q: %q", name, line, got)
			}
		}
	}
	sub.send("250", "<joe@here.test>", "<x@far.test>", "From : joe@here.test\r\n\r\nx")
	if got := q.last(t).body; !strings.Contains(got, "\r\nFrom : joe@here.test\r\n\r\nx\r\n") {
		t.Errorf("a field is gone: %q", got)
	}
	mx.send("250", "<a@x.test>", "<joe@here.test>", "From joe@here.test Mon Nov 23 10:00:00 2026\r\nSubject: x\r\n\r\n"+strings.Repeat("x\r\n", 1<<19)+"end")
	if got := q.last(t); !got.file || !strings.Contains(got.body, " +0000\r\nSubject: x\r\n\r\nx\r\n") || !strings.HasSuffix(got.body, "\r\nend\r\n") {
		t.Errorf("a long message: %.300q", got.body)
	}
}
