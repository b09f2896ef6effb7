package api

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"waxwing/internal/receive"
	"waxwing/message"
	"waxwing/smtp"
)

var update = flag.Bool("update", false, "rewrite the list of operations in docs/operating/api.md")

const begin, end = "<!-- operations -->\n", "<!-- /operations -->\n"

// docs/operating/api.md lists exactly the operations, fields and problems there are.
func TestDocs(t *testing.T) {
	t.Parallel()
	const file = "../../../docs/operating/api.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	was, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the operations between %q and %q", file, begin, end)
	}
	if now := Reference(); was != now {
		if !*update {
			t.Fatalf("%s is stale: run go test ./internal/web/api -update", file)
		}
		if err := os.WriteFile(file, []byte(before+begin+now+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// parts are the leaves of a message, as "type: body".
func parts(t *testing.T, text []byte) (out []string) {
	t.Helper()
	err := message.Walk(text, message.Limits{}, func(p message.Part) error {
		b, err := p.Body()
		out = append(out, p.MediaType+": "+string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// OPS-8: what is composed reads as it was given: names and subject beyond ASCII, text and
// HTML as alternatives, files of the HTML beside it and others beside all.
func TestCompose(t *testing.T) {
	t.Parallel()
	m := Message{From: "Jöe <joe@here.test>", To: []string{"a@b.test", "Ann <ann@b.test>"}, CC: []string{"c@b.test"}, BCC: []string{"secret@b.test"}, ReplyTo: []string{"re@here.test"},
		Subject: "Grüße\r\nBcc: x@y.test", Text: "hällo\n.\n", HTML: `<p>hi <img src="cid:logo">`, Headers: []HeaderField{{"X-Order", "fünf"}},
		Attachments: []Attachment{{Name: "logo.png", Type: "image/png", Content: []byte{1, 2}, ContentID: "logo"}, {Name: "Rechnung ä.pdf", Type: "application/pdf", Content: []byte("%PDF")}, {Content: []byte("raw")}},
		Options:     Options{TLS: tlsOptional}}
	text, err := compose(&m)
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := message.SplitHeader(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"To": "a@b.test, Ann <ann@b.test>", "Cc": "c@b.test", "Bcc": "", "Reply-To": "re@here.test", "TLS-Required": "No", "MIME-Version": "1.0"} {
		if got := h.Get(name); got != want || h.Count(name) > 1 {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := message.DecodeWords(h.Get("From")); got != "Jöe <joe@here.test>" {
		t.Errorf("From %q", got)
	}
	if got := message.DecodeWords(h.Get("X-Order")); got != "fünf" {
		t.Errorf("X-Order %q", got)
	}
	if got := message.DecodeWords(h.Get("Subject")); !strings.HasPrefix(got, "Grüße") || strings.Contains(string(text), "secret") {
		t.Errorf("subject %q in %s", got, text)
	}
	got := strings.Join(parts(t, text), "|")
	if want := "text/plain: hällo\r\n.\r\n|text/html: <p>hi <img src=\"cid:logo\">\r\n|image/png: \x01\x02|application/pdf: %PDF|application/octet-stream: raw"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, want := range []string{"multipart/mixed", "multipart/alternative", "multipart/related", "Content-ID: <logo>", "Content-Disposition: inline; filename=logo.png"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("lacks %s: %s", want, text)
		}
	}
	for what, m := range map[string]Message{
		"an address":      {From: "joe <"},
		"a field's name":  {From: "a@b.test", Headers: []HeaderField{{"X A", "1"}}},
		"a field of MIME": {From: "a@b.test", Headers: []HeaderField{{"content-TYPE", "text/html"}}},
		"a media type":    {From: "a@b.test", Attachments: []Attachment{{Type: "pdf"}}},
		"a mail":          {From: "a@b.test", Attachments: []Attachment{{Type: "message/rfc822"}}},
		"a content id":    {From: "a@b.test", Attachments: []Attachment{{ContentID: "a>\r\nX: y"}}},
		"many fields":     {From: "a@b.test", Headers: make([]HeaderField, maxHeaders+1)},
		"many files":      {From: "a@b.test", Attachments: make([]Attachment, maxAttachments+1)},
	} {
		if text, err := compose(&m); err == nil {
			t.Errorf("%s that is none was taken: %s", what, text)
		}
	}
}

// OPS-8: the options of a message become those of submission by SMTP.
func TestEnvelope(t *testing.T) {
	t.Parallel()
	now, l := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Limits{Recipients: 3, Hold: time.Hour}
	make := func(o Options, to ...string) (envelope, error) { return o.envelope("Joe <joe@here.test>", to, now, l) }
	e, err := make(Options{TLS: requireTLS, HoldFor: 60, Notify: []string{"success", "failure", "success"}, Return: "full", EnvelopeID: "x 1"}, "Ann <ann@grün.test>, b@c.test")
	if err != nil || e.mail.From.String() != "joe@here.test" || !e.mail.RequireTLS || e.mail.HoldFor != time.Minute || e.mail.Hold != "for;60" || e.mail.Ret != "FULL" || e.mail.EnvID != "x 1" ||
		len(e.rcpts) != 2 || e.rcpts[0].To.Domain != "xn--grn-ioa.test" || strings.Join(e.rcpts[1].Notify, " ") != "SUCCESS FAILURE" || e.mail.SMTPUTF8 {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := make(Options{Sender: "jöe@here.test", HoldUntil: now.Add(time.Minute), Return: "headers", TLS: tlsOptional}, "a@b.test"); err != nil ||
		!e.mail.SMTPUTF8 || e.mail.Hold != "until;2026-03-01T12:01:00Z" || e.mail.Ret != "HDRS" || e.mail.RequireTLS {
		t.Errorf("%+v, %v", e, err)
	}
	for what, o := range map[string]Options{
		"tls": {TLS: "none"}, "return": {Return: "all"}, "both holds": {HoldFor: 1, HoldUntil: now}, "long": {HoldFor: 3601}, "back": {HoldFor: -1}, "far": {HoldUntil: now.Add(2 * time.Hour)},
		"notify": {Notify: []string{"SUCCESS"}}, "never": {Notify: []string{"never", "delay"}}, "id": {EnvelopeID: "a\nb"}, "sender": {Sender: "x, y@z.test"}, "two senders": {Sender: "a@b.test, c@d.test"},
	} {
		if e, err := make(o, "a@b.test"); err == nil {
			t.Errorf("%s: %+v", what, e)
		}
	}
	for _, to := range [][]string{{}, {"nobody"}, {"a@b.test", "c@d.test", "e@f.test", "g@h.test"}} {
		if e, err := make(Options{}, to...); err == nil {
			t.Errorf("%v: %+v", to, e)
		}
	}
}

// Every refusal of the door has a status and a kind.
func TestProblemOf(t *testing.T) {
	t.Parallel()
	reply := func(code, subject, detail int) *smtp.Reply {
		return smtp.NewReply(code, smtp.Enhanced{Class: code / 100, Subject: subject, Detail: detail}, "text")
	}
	rcpt := func(r *smtp.Reply) receive.RefusedRecipient {
		return receive.RefusedRecipient{Address: "a@b.test", Reply: r}
	}
	for _, tt := range []struct {
		err    error
		status int
		again  bool
	}{
		{reply(450, 7, 1), 429, true}, {reply(451, 3, 0), 503, true}, {reply(452, 3, 1), 503, true}, {reply(553, 7, 1), 403, false}, {reply(550, 6, 0), 422, false}, {reply(552, 3, 4), 413, false},
		{receive.RefusedRecipients{rcpt(reply(450, 2, 1))}, 503, true}, {receive.RefusedRecipients{rcpt(reply(450, 2, 1)), rcpt(reply(550, 1, 1))}, 422, false},
		{os.ErrClosed, 503, true}, {problem(notFound, ""), 404, false},
	} {
		if p := problemOf(tt.err); p.Status != tt.status || p.after > 0 != tt.again || strings.Contains(p.Detail, "closed") {
			t.Errorf("%v: %+v", tt.err, p)
		}
	}
}

// Line ends of a raw message become CRLF, and nothing else changes.
func TestCRLF(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a\r\nb\r\n": "a\r\nb\r\n", "a\nb": "a\r\nb\r\n", "a\rb\r\n": "a\r\nb\r\n", "a\r\nb": "a\r\nb\r\n", "\n": "\r\n", "a\r": "a\r\n"} {
		if got := string(crlf([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Values are counted outside of strings, whatever stands in these.
func TestValues(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"": 0, `{"a":1}`: 0, `{"a":"x,y","b":[1,2]}`: 2, `["\\",",",3]`: 2, `["\","]`: 0} {
		if got := values([]byte(s)); got != want {
			t.Errorf("%s: %d, want %d", s, got, want)
		}
	}
}
