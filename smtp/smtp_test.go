package smtp

import (
	"bufio"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestLineReader(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 40)
	in := "NOOP\r\n\r\na\nb\rc\r\n" + long + "\r\nd\r\r\n" + long[:28] + "\r\nlast"
	r := NewLineReader(bufio.NewReaderSize(strings.NewReader(in), 16), 30)
	want := []struct {
		line string
		err  error
	}{{"NOOP", nil}, {"", nil}, {"", ErrBareLF}, {"", ErrBareCR}, {"", ErrLineTooLong}, {"", ErrBareCR}, {long[:28], nil}, {"", io.ErrUnexpectedEOF}}
	for i, w := range want {
		line, err := r.ReadLine()
		if string(line) != w.line || err != w.err {
			t.Errorf("line %d: %q, %v; want %q, %v", i, line, err, w.line, w.err)
		}
	}
	// A line that is too long is no excuse for its ends (INB-13).
	for _, size := range []int{16, 64} { // shorter than the line, and longer
		for text, want := range map[string]error{long + "\n": ErrBareLF, long + "\r" + long + "\r\n": ErrBareCR, long + "\r\r\n": ErrBareCR, "\r" + long + "\n": ErrBareCR, long + "\r\n": ErrLineTooLong} {
			r := NewLineReader(bufio.NewReaderSize(strings.NewReader(text+"NOOP\r\n"), 2*size), 30)
			if _, err := r.ReadLine(); err != want && !(want == ErrBareCR && err == ErrBareLF) {
				t.Errorf("%q: %v, want %v", text, err, want)
			}
			if line, err := r.ReadLine(); string(line) != "NOOP" || err != nil {
				t.Errorf("%q: %q, %v follows", text, line, err)
			}
		}
	}
	endless := NewLineReader(bufio.NewReader(io.LimitReader(zeros{}, 1<<30)), 512)
	if _, err := endless.ReadLine(); err != ErrEndless {
		t.Errorf("a line without end: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestParsePath(t *testing.T) {
	t.Parallel()
	ok := []struct{ in, want, rest string }{
		{"<>", "", ""},
		{"<a@b.test> SIZE=1", "a@b.test", " SIZE=1"},
		{"<Postmaster>", "Postmaster", ""},
		{"<@r1.test,@r2.test:a@b.test>", "a@b.test", ""}, // RFC 5321 §4.1.1.3: the route is dropped
		{`<"a b"@b.test>`, `"a b"@b.test`, ""},
		{`<"a\"\\>@b"@b.test>`, `"a\"\\>@b"@b.test`, ""},
		{`<"plain"@b.test>`, "plain@b.test", ""},
		{"<a@[192.0.2.1]>", "a@[192.0.2.1]", ""},
		{"<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", ""},
		{"<дом@пример.test>", "дом@пример.test", ""},
		{"<a+b=c/d@xn--e1afmkfd.test>", "a+b=c/d@xn--e1afmkfd.test", ""},
		{"<" + strings.Repeat("l", 100) + "@b.test>", strings.Repeat("l", 100) + "@b.test", ""},
	}
	for _, tt := range ok {
		a, rest, err := ParsePath(tt.in, true)
		if err != nil || a.String() != tt.want || rest != tt.rest {
			t.Errorf("%s: %q, %q, %v; want %q, %q", tt.in, a.String(), rest, err, tt.want, tt.rest)
		}
	}
	bad := []string{
		"", "a@b.test", "<a@b.test", "<a>", "<a@>", "<@b.test>", "<a..b@b.test>", "<.a@b.test>", "<a.@b.test>", "<a b@b.test>",
		"<a@b..test>", "<a@-b.test>", "<a@b.test.>", "<a@[192.0.2]>", "<a@[2001:db8::1]>", "<a@[IPv6:192.0.2.1]>", "<a@[IPv6:fe80::1%eth0]>",
		`<"a@b.test>`, `<""@b.test>`, "<\"a\x01\"@b.test>", "<\"a\\\x00\"@b.test>", "<a@b.test@c.test>", "<@r:>", "<@r.test,x:a@b.test>", "<\xff@b.test>",
		"<" + strings.Repeat("l", 250) + "@b.test>", "<a@" + strings.Repeat("d.", 130) + "test>", "<a\r\n@b.test>",
	}
	for _, in := range bad {
		if a, _, err := ParsePath(in, true); err == nil {
			t.Errorf("%q was taken for %q", in, a)
		}
	}
	if _, _, err := ParsePath("<дом@b.test>", false); err == nil {
		t.Error("a UTF-8 local part was taken without SMTPUTF8")
	}
}

var offered = Extensions{Size: true, MaxSize: 1000, EightBitMIME: true, SMTPUTF8: true, RequireTLS: true, DSN: true, Auth: []string{"PLAIN"}}

func TestParseMail(t *testing.T) {
	t.Parallel()
	a := Address{"a", "b.test"}
	ok := []struct {
		in   string
		want MailParams
	}{
		{"FROM:<>", MailParams{Null: true}},
		{"from: <a@b.test>", MailParams{From: a}},
		{"FROM:<a@b.test> size=10 body=8bitmime SMTPUTF8 REQUIRETLS", MailParams{From: a, Size: 10, Body: "8BITMIME", SMTPUTF8: true, RequireTLS: true}},
		{"FROM:<a@b.test> RET=hdrs ENVID=x+2By AUTH=<>", MailParams{From: a, Ret: "HDRS", EnvID: "x+y", Auth: "<>"}},
	}
	for _, tt := range ok {
		if got, r := ParseMail(tt.in, offered); r != nil || got != tt.want {
			t.Errorf("MAIL %s: %+v, %v; want %+v", tt.in, got, r, tt.want)
		}
	}
	bad := []struct {
		in   string
		code string
	}{
		{"", "501 5.5.2"}, {"TO:<a@b.test>", "501 5.5.2"}, {"FROM:a@b.test", "501 5.1.7"}, {"FROM:<postmaster>", "501 5.1.7"},
		{"FROM:<a@b.test>SIZE=1", "501 5.5.2"}, {"FROM:<a@b.test> SIZE=x", "501 5.5.4"}, {"FROM:<a@b.test> SIZE=-1", "501 5.5.4"},
		{"FROM:<a@b.test> SIZE=1001", "552 5.3.4"}, {"FROM:<a@b.test> SIZE=99999999999999999999999", "552 5.3.4"},
		{"FROM:<a@b.test> BODY=BINARYMIME", "501 5.5.4"}, {"FROM:<a@b.test> SMTPUTF8=1", "501 5.5.4"}, {"FROM:<a@b.test> RET=ALL", "501 5.5.4"},
		{"FROM:<a@b.test> ENVID=+0Ax", "501 5.5.4"}, {"FROM:<a@b.test> FOO=1", "555 5.5.4"}, {"FROM:<a@b.test> SIZE=1 SIZE=2", "501 5.5.4"},
		{"FROM:<ä@b.test>", "553 5.6.7"},
	}
	for _, tt := range bad {
		if _, r := ParseMail(tt.in, offered); r == nil || !strings.HasPrefix(r.String(), tt.code) {
			t.Errorf("MAIL %s: %v, want %s", tt.in, r, tt.code)
		}
	}
	if _, r := ParseMail("FROM:<a@b.test> REQUIRETLS", Extensions{}); r == nil || r.Code != 555 {
		t.Errorf("REQUIRETLS where it is not offered: %v, want 555 (RFC 8689 §4)", r)
	}
}

func TestParseRcpt(t *testing.T) {
	t.Parallel()
	a := Address{"a", "b.test"}
	ok := []struct {
		in   string
		want RcptParams
	}{
		{"TO:<a@b.test>", RcptParams{To: a}},
		{"TO:<postmaster>", RcptParams{To: Address{Local: "postmaster"}}},
		{"TO:<a@b.test> NOTIFY=success,DELAY ORCPT=rfc822;x+2By@b.test", RcptParams{To: a, Notify: []string{"SUCCESS", "DELAY"}, ORcpt: "rfc822;x+2By@b.test"}},
		{"TO:<a@b.test> NOTIFY=NEVER", RcptParams{To: a, Notify: []string{"NEVER"}}},
	}
	for _, tt := range ok {
		if got, r := ParseRcpt(tt.in, offered); r != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("RCPT %s: %+v, %v; want %+v", tt.in, got, r, tt.want)
		}
	}
	for _, in := range []string{"TO:<>", "TO:<a>", "TO:<a@b.test> NOTIFY=NEVER,DELAY", "TO:<a@b.test> NOTIFY=", "TO:<a@b.test> NOTIFY=DELAY,DELAY",
		"TO:<a@b.test> ORCPT=x", "TO:<a@b.test> ORCPT=rfc822;a+0", "TO:<a@b.test> SIZE=1", "TO:<a@b.test> ORCPT=rfc822;a+0D+0A"} {
		if _, r := ParseRcpt(in, offered); r == nil || !r.Permanent() {
			t.Errorf("RCPT %s: %v, want a refusal", in, r)
		}
	}
}

func TestParseCommand(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Command{
		"quit": {Verb: "QUIT"}, "EHLO  a.test \t": {"EHLO", "a.test"}, "Mail FROM:<a@b>": {"MAIL", "FROM:<a@b>"},
	} {
		if got, err := ParseCommand([]byte(in)); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", " QUIT", "QU1T", "NOOP \x00", "NOOP \xff", "\x16\x03\x01", "NOOP\x7f"} {
		if got, err := ParseCommand([]byte(in)); err == nil {
			t.Errorf("%q was taken for %v", in, got)
		}
	}
}

func TestParseReply(t *testing.T) {
	t.Parallel()
	ok := []struct {
		in   string
		want Reply
	}{
		{"250 OK\r\n", Reply{Code: 250, Lines: []string{"OK"}}},
		{"250\r\n", Reply{Code: 250, Lines: []string{""}}},
		{"550-5.1.1 no\r\n550 5.1.1 user\r\n", Reply{Code: 550, Enhanced: Enhanced{5, 1, 1}, Lines: []string{"no", "user"}}},
		{"250-a.test\r\n250-SIZE 10\r\n250 DSN\r\n", Reply{Code: 250, Lines: []string{"a.test", "SIZE 10", "DSN"}}},
		{"550 4.7.1 wrong class\r\n", Reply{Code: 550, Lines: []string{"4.7.1 wrong class"}}},
		{"571 5.7.1 \x1b[31m\xff\r\n", Reply{Code: 571, Enhanced: Enhanced{5, 7, 1}, Lines: []string{" [31m\uFFFD"}}},
	}
	for _, tt := range ok {
		got, err := ParseReply(bufio.NewReader(strings.NewReader(tt.in)), ReplyLimits{})
		if err != nil || !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("%q: %+v, %v; want %+v", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{"\r\n", "25\r\n", "abc x\r\n", "150 x\r\n", "650 x\r\n", "250_x\r\n", "250-a\r\n251 b\r\n", "250 a\n", "250 a\rb\r\n",
		"250 " + strings.Repeat("x", 3000) + "\r\n", strings.Repeat("250-x\r\n", 300)} {
		_, err := ParseReply(bufio.NewReader(strings.NewReader(in)), ReplyLimits{})
		var se *ReplySyntaxError
		if !errors.As(err, &se) {
			t.Errorf("%.40q: %v, want a ReplySyntaxError", in, err)
		}
	}
	if _, err := ParseReply(bufio.NewReader(strings.NewReader("250-a\r\n")), ReplyLimits{}); err != io.EOF {
		t.Errorf("an end within a reply: %v", err)
	}
}

func TestAppendWire(t *testing.T) {
	t.Parallel()
	r := NewReply(550, Enhanced{5, 1, 1}, "no\nuser")
	if got := string(r.AppendWire(nil)); got != "550-5.1.1 no\r\n550 5.1.1 user\r\n" {
		t.Errorf("wire form is %q", got)
	}
	evil := &Reply{Code: 550, Lines: []string{"x\r\n250 OK"}}
	if got := string(evil.AppendWire(nil)); got != "550 x  250 OK\r\n" {
		t.Errorf("a line end got through: %q", got)
	}
}

func TestExtensions(t *testing.T) {
	t.Parallel()
	got := ParseExtensions([]string{"pipelining", "SIZE 1000", "StartTLS", "AUTH PLAIN login", "AUTH=LOGIN", "LIMITS RCPTMAX=20 mailmax=5 RCPTMAX=0 X", "REQUIRETLS", "X-FOO", "", "SIZE x"})
	want := Extensions{Pipelining: true, Size: true, MaxSize: 1000, StartTLS: true, Auth: []string{"PLAIN", "LOGIN"}, RequireTLS: true, Limits: Limits{RcptMax: 20, MailMax: 5}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if again := ParseExtensions(want.Lines()); !reflect.DeepEqual(again, want) {
		t.Errorf("Lines and back: %+v, want %+v", again, want)
	}
}

func TestXtext(t *testing.T) {
	t.Parallel()
	if got := EncodeXtext("a+b=c d\x00é"); got != "a+2Bb+3Dc+20d+00+C3+A9" {
		t.Errorf("encoded as %q", got)
	}
	for _, in := range []string{"+", "+2", "+GG", "a=b", "a b", "é"} {
		if got, err := DecodeXtext(in); err == nil {
			t.Errorf("%q was decoded to %q", in, got)
		}
	}
}

// Mailboxes with dots where RFC 5321 wants none exist, and their owners write to us
// and are written to: MAIL and RCPT take such addresses and keep every octet. What is
// to be ours is held to the rules.
func TestDotsBare(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, exact string }{ // exact "": refused
		{"abc..def@docomo.test", `"abc..def"@docomo.test`},
		{"abc.@docomo.test", `"abc."@docomo.test`},
		{".abc@docomo.test", `".abc"@docomo.test`},
		{"...@docomo.test", `"..."@docomo.test`},
		{"..a+b..c@Docomo.Test", `"..a+b..c"@Docomo.Test`},
		{"ab..c@[192.0.2.1]", `"ab..c"@[192.0.2.1]`},
		{"д..м@пример.test", `"д..м"@пример.test`},
		{`"abc..def"@docomo.test`, `"abc..def"@docomo.test`},
		{`"abc"@docomo.test`, `abc@docomo.test`},
		{`"a\b"@docomo.test`, `ab@docomo.test`},
		{"abc.def@docomo.test", "abc.def@docomo.test"},
		{"a,b@docomo.test", ""}, {"a b@docomo.test", ""}, {"a..b", ""}, {"a..b@", ""}, {"a..b@x..test", ""}, {"a..\x01@x.test", ""}, {"a..\xff@x.test", ""},
	} {
		m, mr := ParseMail("FROM:<@route.test:"+tt.in+"> SMTPUTF8", Extensions{SMTPUTF8: true})
		p, pr := ParseRcpt("TO:<"+tt.in+">", Extensions{SMTPUTF8: true})
		a, err := ParseReceived(tt.in, true)
		if tt.exact == "" {
			if mr == nil || pr == nil || err == nil {
				t.Errorf("%q was taken: %v %v %v", tt.in, m.From, p.To, a)
			}
			continue
		}
		if mr != nil || pr != nil || err != nil {
			t.Errorf("%q: %v %v %v", tt.in, mr, pr, err)
			continue
		}
		if m.Sender() != tt.in || p.Recipient() != tt.in {
			t.Errorf("%q is passed on as %q and %q", tt.in, m.Sender(), p.Recipient())
		}
		if m.From != a || p.To != a || a.String() != tt.exact {
			t.Errorf("%q is %q, %q and %q", tt.in, m.From, p.To, a)
		}
		_, strict := ParseAddress(tt.in, true)
		if ours := !strings.Contains(tt.exact, `"`) || tt.in[0] == '"'; (strict == nil) != ours {
			t.Errorf("%q as an address of ours: %v", tt.in, strict)
		}
	}
	if m := (MailParams{From: Address{"a", "b.test"}}); m.Sender() != "a@b.test" {
		t.Errorf("of a sender that was not parsed: %q", m.Sender())
	}
}

// FuzzReceived: what is taken is passed on octet for octet, and means the same
// written exactly.
func FuzzReceived(f *testing.F) {
	for _, s := range []string{"a..b@x.test", ".@x.test", `"a..b"@x.test`, "a@x.test", `"a"@x.test`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseReceived(s, true)
		if err != nil {
			return
		}
		if p, r := ParseRcpt("TO:<"+s+">", Extensions{SMTPUTF8: true}); r != nil || p.Recipient() != s || p.To != a {
			t.Fatalf("%q is passed on as %q (%v)", s, p.Recipient(), r)
		}
		if b, err := ParseAddress(a.String(), true); (err != nil || b != a) && len(a.String()) <= MaxPath-2 {
			t.Fatalf("%q: %q came back as %#v, %v", s, a, b, err)
		}
	})
}

func FuzzXtext(f *testing.F) {
	f.Add("a+b=c")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := DecodeXtext(EncodeXtext(s)); err != nil || got != s {
			t.Fatalf("%q came back as %q, %v", s, got, err)
		}
		DecodeXtext(s)
	})
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"<>", "<a@b.test> X", `<"a b"@b.test>`, "<@x.test:a@[IPv6:::1]>", "<дом@пример.test>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, rest, err := ParsePath(s, true)
		if err != nil || a.IsNull() {
			return
		}
		if !strings.HasSuffix(s, rest) || strings.ContainsAny(a.String(), "\r\n\x00") {
			t.Fatalf("%q: %q, rest %q", s, a.String(), rest)
		}
		b, rest, err := ParsePath("<"+a.String()+">", true)
		if err != nil && len(a.String()) > MaxPath-2 {
			return // quoting may make it longer
		}
		if err != nil || b != a || rest != "" {
			t.Fatalf("%q: %#v came back as %#v, %v", s, a, b, err)
		}
	})
}

func FuzzParams(f *testing.F) {
	f.Add("FROM:<a@b.test> SIZE=1 ENVID=x")
	f.Add("TO:<a@b.test> NOTIFY=DELAY ORCPT=rfc822;a@b.test")
	f.Fuzz(func(t *testing.T, s string) {
		if m, r := ParseMail(s, offered); r == nil && (m.Size < 0 || m.Size > offered.MaxSize || !printable(m.EnvID) || m.Null != m.From.IsNull()) {
			t.Fatalf("MAIL %q: %+v", s, m)
		} else if r != nil && (!r.Permanent() || strings.Count(string(r.AppendWire(nil)), "\n") != 1) {
			t.Fatalf("MAIL %q: %q", s, r.AppendWire(nil))
		}
		if p, r := ParseRcpt(s, offered); r == nil && (p.To.IsNull() || !printable(p.ORcpt)) {
			t.Fatalf("RCPT %q: %+v", s, p)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add([]byte("250-a\r\n250 5.1.1 b\r\n"))
	f.Add([]byte("550 5.1.1 x\r\n"))
	f.Add([]byte("250\t5.1.1 x\n"))
	f.Add([]byte("250-x\r\n550-y\nz\r250 a"))
	f.Fuzz(func(t *testing.T, in []byte) {
		// However it is written: a code or an error, little of it kept, and a strict reading says the same.
		lax, laxErr := ReadReply(bufio.NewReaderSize(&chunks{in, 3}, 16), ReplyLimits{Line: 20, Lines: 3})
		if (lax == nil) == (laxErr == nil) && !(lax != nil && lax.Faults&FaultCut != 0) {
			t.Fatalf("%q: %+v, %v", in, lax, laxErr)
		}
		if lax != nil && (lax.Code < 200 || lax.Code > 599 || len(lax.Lines) == 0 || len(lax.Lines) > 3 || len(lax.Text()) > 3*3*20+2) {
			t.Fatalf("%q: %+v", in, lax)
		}
		if strict, err := ParseReply(bufio.NewReaderSize(&chunks{in, 3}, 16), ReplyLimits{Line: 20, Lines: 3}); err == nil && !reflect.DeepEqual(strict, lax) {
			t.Fatalf("%q: strictly %+v, else %+v", in, strict, lax)
		}
		br := bufio.NewReaderSize(&chunks{in, 3}, 16)
		r, err := ParseReply(br, ReplyLimits{})
		if err != nil {
			return
		}
		again, err := ParseReply(bufio.NewReader(strings.NewReader(string(r.AppendWire(nil)))), ReplyLimits{Line: 8192})
		if err != nil || again.Code != r.Code || len(again.Lines) != len(r.Lines) {
			t.Fatalf("%q: %+v came back as %+v, %v", in, r, again, err)
		}
	})
}

func FuzzCommand(f *testing.F) {
	f.Add([]byte("EHLO x"))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := ParseCommand(in)
		if err == nil && (c.Verb == "" || c.Verb != strings.ToUpper(c.Verb) || strings.ContainsAny(c.Verb+c.Arg, "\r\n\x00")) {
			t.Fatalf("%q: %+v", in, c)
		}
	})
}

func FuzzExtensions(f *testing.F) {
	f.Add("SIZE 10\nAUTH PLAIN\nLIMITS RCPTMAX=1")
	f.Fuzz(func(t *testing.T, in string) {
		e := ParseExtensions(strings.Split(in, "\n"))
		if again := ParseExtensions(e.Lines()); !reflect.DeepEqual(again, e) {
			t.Fatalf("%q: %+v came back as %+v", in, e, again)
		}
	})
}

// RFC 4865 §4.2: HOLDFOR and HOLDUNTIL, one of them, within the limits offered.
func TestFutureRelease(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	offer := Extensions{FutureRelease: true, MaxHold: time.Hour, MaxHoldUntil: until}
	if got := ParseExtensions(offer.Lines()); !got.FutureRelease || got.MaxHold != time.Hour || !got.MaxHoldUntil.Equal(until) {
		t.Errorf("%+v from %q", got, offer.Lines())
	}
	if ParseExtensions([]string{"FUTURERELEASE", "FUTURERELEASE 0 x"}).FutureRelease {
		t.Error("an offer without limits counts")
	}
	for _, c := range []struct {
		params string
		code   int
		want   time.Duration
		until  string
	}{
		{"HOLDFOR=3600", 0, time.Hour, ""}, {"holdfor=1", 0, time.Second, ""},
		{"HOLDFOR=3601", 501, 0, ""}, {"HOLDFOR=0", 501, 0, ""}, {"HOLDFOR=-1", 501, 0, ""}, {"HOLDFOR=", 501, 0, ""}, {"HOLDFOR=01", 501, 0, ""}, {"HOLDFOR=9999999999", 501, 0, ""},
		{"HOLDUNTIL=2026-05-31T12:00:00Z", 0, 0, "2026-05-31T12:00:00Z"}, {"HOLDUNTIL=2001-01-01T00:00:00Z", 0, 0, "2001-01-01T00:00:00Z"},
		{"HOLDUNTIL=2026-05-31t12:00:00.50+00:00", 0, 0, "2026-05-31T12:00:00Z"},
		{"HOLDUNTIL=2026-06-01T00:00:01Z", 501, 0, ""}, {"HOLDUNTIL=2026-05-31T12:00:00+02:00", 501, 0, ""}, {"HOLDUNTIL=tomorrow", 501, 0, ""}, {"HOLDUNTIL", 501, 0, ""},
		{"HOLDFOR=60 HOLDUNTIL=2026-05-31T12:00:00Z", 501, 0, ""}, {"HOLDFOR=60 HOLDFOR=60", 501, 0, ""},
	} {
		m, r := ParseMail("FROM:<a@b.test> "+c.params, offer)
		switch {
		case c.code != 0 && (r == nil || r.Code != c.code || r.Enhanced != badParam):
			t.Errorf("%s: %v", c.params, r)
		case c.code == 0 && strings.NewReplacer("HOLDFOR=", "for;", "holdfor=", "for;", "HOLDUNTIL=", "until;").Replace(c.params) != m.Hold:
			t.Errorf("%s: %q for a DSN", c.params, m.Hold)
		case c.code == 0 && (r != nil || m.HoldFor != c.want || c.until != "" && m.HoldUntil.Format(time.RFC3339) != c.until):
			t.Errorf("%s: %+v, %v", c.params, m, r)
		}
	}
	if _, r := ParseMail("FROM:<a@b.test> HOLDFOR=60", Extensions{}); r == nil || r.Code != 555 {
		t.Errorf("not offered: %v", r)
	}
}
