package dsn

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/reason"
	"waxwing/message"
	"waxwing/smtp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const original = "Received: from a by b\r\nMessage-ID: <1@example.org>\r\nFrom: alice@example.org\r\nSubject: secret plans\r\n\r\nthe body\r\n"

var at = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func report() Report {
	return Report{
		Hostname: dns.MustParse("mx.example.org"), To: "alice@example.org", Date: at,
		EnvID: "QQ314159", Arrival: at.Add(-5 * time.Hour), ReceivedBy: "client.example.org",
		Original: []byte(original), Random: bytes.NewReader(make([]byte, 100)),
	}
}

func failure() Recipient {
	return Recipient{
		Address: "bob@example.net", Original: "rfc822;bob+tag@example.net", Action: Failed,
		Reply:     &smtp.Reply{Code: 550, Enhanced: smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}, Lines: []string{"No such user", "in this house"}},
		RemoteMTA: "mx.example.net", RemoteAddr: netip.MustParseAddr("192.0.2.7"), LastAttempt: at.Add(-time.Minute), LogID: "abc123",
		Text: "The server refused the recipient.",
	}
}

func samples() map[string]Report {
	fail, full, delay, success, mixed, policy, utf8, secret, redacted := report(), report(), report(), report(), report(), report(), report(), report(), report()
	fail.Recipients = []Recipient{failure()}
	full.Recipients, full.Full = fail.Recipients, true
	delay.Recipients = []Recipient{{
		Address: "bob@example.net", Action: Delayed, Status: smtp.Enhanced{Class: 4, Subject: 4, Detail: 1},
		Text: "The server mx.example.net could not be reached: connection refused.", LastAttempt: at.Add(-time.Hour), RetryUntil: at.Add(115 * time.Hour),
	}}
	success.Recipients = []Recipient{
		{Address: "bob@example.net", Action: Delivered, Status: smtp.Enhanced{Class: 2}},
		{Address: "carol@example.com", Action: Relayed, RemoteMTA: "mx.example.com", RemoteAddr: netip.MustParseAddr("2001:db8::1"), Reply: smtp.NewReply(250, smtp.Enhanced{Class: 2}, "queued")},
	}
	mixed.Recipients = append([]Recipient{failure()}, delay.Recipients[0])
	policy.Recipients = []Recipient{{
		Address: "bob@example.net", Action: Failed, Status: smtp.Enhanced{Class: 4, Subject: 7, Detail: 5},
		Text:            "No server for example.net could be used: the certificate of mx.example.net does not match its TLSA records (dane-no-match).",
		PolicyFirstFail: "17 November 2026 12:00 UTC, dane-no-match at mx.example.net", LastAttempt: at,
	}}
	utf8.SMTPUTF8 = true
	utf8.Original = []byte("Subject: Grüße\r\n\r\nHällo\r\n")
	utf8.Full = true
	utf8.Recipients = []Recipient{{Address: "jörg@bücher.example", Original: `utf-8;j\x{F6}rg@b\x{FC}cher.example`, Action: Failed, Status: smtp.Enhanced{Class: 5, Subject: 6, Detail: 7}, Text: "The server offers no SMTPUTF8."}}
	ascii := utf8
	ascii.ASCII, ascii.To, ascii.Random = true, "alice@grüße.example", bytes.NewReader(make([]byte, 100))
	latin := report()
	latin.ASCII, latin.Full, latin.Recipients = true, true, []Recipient{failure()}
	latin.Original = []byte("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe\r\n")
	secret.Recipients, secret.Full, secret.RequireTLS = fail.Recipients, true, true
	redacted.Recipients, redacted.RequireTLS, redacted.Redact = fail.Recipients, true, true
	delay.Hold = "until;2026-11-22T11:00:00Z"
	mixed.Hold = "for;3600"
	unknown := report()
	unknown.Recipients = []Recipient{{
		Address: "bob@example.net", Action: Failed, Status: smtp.Enhanced{Class: 4, Subject: 4, Detail: 7}, LastAttempt: at, Unanswered: at.Add(-100 * time.Hour),
		Text: "Delivery failed for 5 days, in 21 attempts.", LastFail: "connection refused",
	}}
	optional := report()
	optional.Recipients, optional.TLSOptional = fail.Recipients, true
	return map[string]Report{"optional": optional, "failure": fail, "full": full, "delay": delay, "success": success, "mixed": mixed, "policy": policy, "utf8": utf8, "requiretls": secret, "redacted": redacted, "unknown": unknown, "ascii": ascii, "latin": latin}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, r := range samples() {
		got, err := r.Compose()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		file := filepath.Join("testdata", name+".eml")
		if *update {
			if err := os.WriteFile(file, got, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from its golden file (go test ./dsn -update rewrites it):\n%s", name, got)
		}
		if bytes.Contains(bytes.ReplaceAll(got, []byte("\r\n"), nil), []byte("\n")) {
			t.Errorf("%s holds a bare LF", name)
		}
	}
}

// readdressed is whom a notification goes to as it is written.
func readdressed(r Report) string {
	if r.ASCII {
		r.To, _ = smtp.ASCIIAddress(r.To)
	}
	return r.To
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, r := range samples() {
		msg, err := r.Compose()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(msg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Hostname != r.Hostname || got.EnvID != r.EnvID || !got.Arrival.Equal(r.Arrival) || got.To != readdressed(r) || got.ReceivedBy != r.ReceivedBy || !got.Date.Equal(r.Date) {
			t.Errorf("%s: %+v", name, got)
		}
		if len(got.Recipients) != len(r.Recipients) {
			t.Fatalf("%s: recipients %+v", name, got.Recipients)
		}
		for i, want := range r.Recipients {
			g := got.Recipients[i]
			if g.Address != want.Address || g.Action != want.Action || g.Status != want.status() || g.RemoteMTA != want.RemoteMTA || g.RemoteAddr != want.RemoteAddr || !g.LastAttempt.Equal(want.LastAttempt) || g.LogID != want.LogID {
				t.Errorf("%s: recipient %+v, want %+v", name, g, want)
			}
			if want.Reply != nil && (g.Reply == nil || g.Reply.String() != want.Reply.String()) {
				t.Errorf("%s: reply %v, want %v", name, g.Reply, want.Reply)
			}
			if !strings.Contains(got.Human, want.Address) {
				t.Errorf("%s: the words do not name %s", name, want.Address)
			}
		}
	}
}

// RFC 3461 §4.2, RFC 6533 §3: how recipients are typed and decoded.
func TestOriginalRecipient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		orcpt  string
		global bool
		want   string
	}{
		{"rfc822;bob+44@example.net", false, "rfc822; bob+44@example.net"}, // decoded once, by the caller
		{`utf-8;j\x{F6}@b.example`, true, "utf-8; jö@b.example"},
		{`utf-8;j\x{F6}@b.example`, false, `utf-8; j\x{F6}@b.example`},
		{`utf-8;jö@b.example`, false, `utf-8; j\x{F6}@b.example`},
		{`utf-8;j\x{D800}@b.example`, true, `rfc822; j\x{D800}@b.example`},
		{"no-type", false, "rfc822; no-type"},
	} {
		if got := originalRecipient(c.orcpt, c.global); got != c.want {
			t.Errorf("%s (global %v): %s, want %s", c.orcpt, c.global, got, c.want)
		}
	}
}

// RFC 8689 §5: RET=FULL is disregarded under REQUIRETLS.
func TestRequireTLSReturnsHeaderOnly(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ header, body bool }{
		"full": {true, true}, "failure": {true, false}, "requiretls": {true, false}, "redacted": {false, false},
	} {
		msg, err := samples()[name].Compose()
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(msg, []byte("secret plans")); got != want.header {
			t.Errorf("%s: header returned %v", name, got)
		}
		if got := bytes.Contains(msg, []byte("the body")); got != want.body {
			t.Errorf("%s: body returned %v", name, got)
		}
	}
}

func TestLargeOriginalGoesBackAsHeader(t *testing.T) {
	t.Parallel()
	r := samples()["full"]
	r.Original = append(r.Original, bytes.Repeat([]byte("x"), MaxReturn)...)
	msg, err := r.Compose()
	if err != nil || len(msg) > 10000 || !bytes.Contains(msg, []byte("rfc822-headers")) {
		t.Errorf("%d octets, %v", len(msg), err)
	}
}

// A sender whose address has dots where none should be is told all the same, in a
// header that keeps to RFC 5322.
func TestSenderWithDots(t *testing.T) {
	t.Parallel()
	r := samples()["failure"]
	r.To = "abc..def@docomo.test"
	msg, err := r.Compose()
	if err != nil || !bytes.Contains(msg, []byte("\r\nTo: <\"abc..def\"@docomo.test>\r\n")) {
		t.Errorf("%v: %s", err, msg)
	}
	if back, err := Parse(msg); err != nil || back.To == "" {
		t.Errorf("read back: %+v, %v", back, err)
	}
}

func TestComposeRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Report){
		"null sender": func(r *Report) { r.To = "" }, "host": func(r *Report) { r.Hostname = dns.Name{} },
		"date": func(r *Report) { r.Date = time.Time{} }, "recipients": func(r *Report) { r.Recipients = nil },
		"action": func(r *Report) { r.Recipients = []Recipient{{Action: "eaten"}} },
	} {
		r := samples()["failure"]
		change(&r)
		if _, err := r.Compose(); err == nil {
			t.Errorf("composed without %s", name)
		}
	}
}

// What a remote server answers cannot add fields, lines or controls.
func TestHostileReply(t *testing.T) {
	t.Parallel()
	r := samples()["failure"]
	r.Recipients[0].Reply = &smtp.Reply{Code: 550, Lines: []string{"x\r\nAction: delivered\r\n\r\n--=_aaaa\x1b[31m\xff ü"}}
	r.Recipients[0].RemoteMTA = "evil\r\nStatus: 2.0.0"
	msg, err := r.Compose()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(msg)
	if err != nil || len(got.Recipients) != 1 || got.Recipients[0].Action != Failed || got.Recipients[0].Status.Class != 5 {
		t.Errorf("parsed %+v, %v", got, err)
	}
	if bytes.ContainsRune(msg, 0x1b) {
		t.Error("an escape sequence got through")
	}
}

func TestAdviceIsComplete(t *testing.T) {
	t.Parallel()
	for subject := range 8 {
		for detail := range 40 {
			for _, policy := range []bool{false, true} {
				a := reason.Advise(reason.Cause{Unmet: policy, Subject: subject, Detail: detail}, nil)
				if a.Meaning == "" || a.Cure == "" {
					t.Errorf("no advice for x.%d.%d", subject, detail)
				}
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range samples() {
		msg, err := r.Compose()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(msg)
	}
	f.Add([]byte(notice(perMessage+perBob+perAnn, "message/global-delivery-status", "Content-Transfer-Encoding: base64\n")))
	f.Add([]byte("X-Failed-Recipients: a@b.example\n\na@b.example: 550 no\n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		r, err := Parse(msg)
		if err != nil {
			return
		}
		if len(r.Recipients) == 0 || len(r.Recipients) > maxRecipients {
			t.Fatalf("%q: %d recipients", msg, len(r.Recipients))
		}
		// What was read can be written again, and read again.
		r.Date, r.To, r.Hostname, r.Full = at, "a@example.org", dns.MustParse("mx.example.org"), false
		for i := range r.Recipients {
			r.Recipients[i].Action, r.Recipients[i].Original = Failed, ""
		}
		again, err := r.Compose()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := message.SplitHeader(again); err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(again); err != nil {
			t.Fatal(err)
		}
	})
}

// QUE-12, INB-13: whatever a server says and a message holds, the notification
// holds no line that SMTP cannot carry: it is signed, and nobody could mend it.
func TestShortLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3000)
	for _, original := range []string{"Subject: x\r\n\r\n" + long + "\r\n", "Subject: " + long + "\r\n\r\nx\r\n", "Subject: ä" + long + "\r\n\r\nä" + long + "\r\n",
		"MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nä" + long + "\r\n--b--\r\n"} {
		for _, full := range []bool{false, true} {
			for _, utf8 := range []bool{false, true} {
				for _, ascii := range []bool{false, true} {
					r := report()
					r.Original, r.Full, r.SMTPUTF8, r.ASCII = []byte(original), full, utf8, ascii
					rc := failure()
					rc.Reply = &smtp.Reply{Code: 550, Lines: []string{long, "ä" + long}}
					rc.Text = long
					r.Recipients = []Recipient{rc}
					got, err := r.Compose()
					if err != nil || message.LongLine(got) || ascii && message.EightBit(got) {
						t.Errorf("%.30q full %v, SMTPUTF8 %v, ASCII %v: %v, long %v", original, full, utf8, ascii, err, message.LongLine(got))
					}
					if back, err := Parse(got); err != nil || len(back.Original) == 0 {
						t.Errorf("%.30q full %v, SMTPUTF8 %v, ASCII %v: %v", original, full, utf8, ascii, err)
					}
				}
			}
		}
	}
}
