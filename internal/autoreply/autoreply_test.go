package autoreply

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/message"
)

// shape is mail that no program answers: its reverse-path, and its fields but To.
type shape struct{ name, sender, fields string }

// shapes are what programs, lists and servers send. Each has the marks that the program of that name
// gives its mail, and no others.
var shapes = []shape{
	{"postfix", "", "From: MAILER-DAEMON@far.test (Mail Delivery System)\nSubject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied\nContent-Type: multipart/report; report-type=delivery-status; boundary=x"},
	{"exim", "", "From: Mail Delivery System <Mailer-Daemon@far.test>\nSubject: Mail delivery failed: returning message to sender\nAuto-Submitted: auto-replied\nX-Failed-Recipients: a@b.test"},
	{"sendmail", "", "From: Mail Delivery Subsystem <MAILER-DAEMON@far.test>\nSubject: Returned mail: see transcript for details\nAuto-Submitted: auto-generated (failure)\nContent-Type: multipart/report; report-type=delivery-status; boundary=x"},
	{"qmail", "", "From: MAILER-DAEMON@far.test\nSubject: failure notice"},
	{"exchange bounce", "", "From: postmaster@far.test\nSubject: Undeliverable: hello\nContent-Type: multipart/report; report-type=delivery-status; boundary=x\nX-MS-Exchange-Message-Is-Ndr:"},
	{"gmail bounce", "", "From: Mail Delivery Subsystem <mailer-daemon@far.test>\nSubject: Delivery Status Notification (Failure)\nX-Failed-Recipients: a@b.test\nAuto-Submitted: auto-replied"},
	{"bounce that has a sender", "mailer-daemon@far.test", "From: Mailer <mailer-daemon@far.test>\nSubject: failure notice"},
	{"report of whoever", "someone@far.test", "From: someone@far.test\nSubject: report\nContent-Type: multipart/report; report-type=\"delivery-status\"; boundary=x"},
	{"delay", "", "From: MAILER-DAEMON@far.test\nSubject: Delayed Mail (still being retried)\nAuto-Submitted: auto-replied"},
	{"read receipt", "ann@far.test", "From: Ann <ann@far.test>\nSubject: Read: hello\nContent-Type: multipart/report; report-type=disposition-notification; boundary=x"},
	{"vacation of BSD", "ann@far.test", "From: ann@far.test\nSubject: away from my mail\nPrecedence: bulk"},
	{"vacation of Sieve", "", "From: ann@far.test\nSubject: Auto: hello\nAuto-Submitted: auto-replied (vacation)"},
	{"vacation with a sender", "ann@far.test", "From: ann@far.test\nSubject: Auto: hello\nAuto-Submitted: auto-replied"},
	{"out of office of Exchange", "ann@far.test", "From: Ann <ann@far.test>\nSubject: Automatic reply: hello\nX-Auto-Response-Suppress: All\nAuto-Submitted: auto-generated"},
	{"Outlook that wants no answer", "ann@far.test", "From: Ann <ann@far.test>\nSubject: offer\nX-Auto-Response-Suppress: DR, OOF, AutoReply"},
	{"autoreply of old programs", "ann@far.test", "From: ann@far.test\nSubject: Re: hello\nX-Autoreply: yes"},
	{"autorespond", "ann@far.test", "From: ann@far.test\nSubject: Re: hello\nX-Autorespond: hello"},
	{"cPanel", "ann@far.test", "From: ann@far.test\nSubject: Re: hello\nX-Autorespond:\nPrecedence: auto_reply"},
	{"Mailman 2", "list-bounces@lists.test", "From: Ann <ann@far.test>\nSubject: [list] hello\nPrecedence: list\nList-Id: A list <list.lists.test>\nX-BeenThere: list@lists.test\nX-Mailman-Version: 2.1.39\nSender: list-bounces@lists.test"},
	{"Mailman 2 with VERP", "list-bounces+joe=here.test@lists.test", "From: Ann <ann@far.test>\nSubject: [list] hello"},
	{"Mailman 3", "list-bounces@lists.test", "From: Ann <ann@far.test>\nSubject: [list] hello\nList-Id: <list.lists.test>\nList-Post: <mailto:list@lists.test>"},
	{"Sympa", "list-owner@lists.test", "From: Ann <ann@far.test>\nSubject: hello\nX-Loop: list@lists.test\nPrecedence: list\nList-Unsubscribe: <mailto:sympa@lists.test>"},
	{"majordomo", "owner-list@lists.test", "From: ann@far.test\nSubject: hello\nSender: owner-list@lists.test\nPrecedence: bulk"},
	{"majordomo's bare sender", "owner-list@lists.test", "From: ann@far.test\nSubject: hello"},
	{"ezmlm", "list-return-4711-joe=here.test@lists.test", "From: ann@far.test\nSubject: hello\nMailing-List: contact list-help@lists.test; run by ezmlm"},
	{"ezmlm's bare sender", "list-return-4711-joe=here.test@lists.test", "From: ann@far.test\nSubject: hello"},
	{"LISTSERV", "owner-list@lists.test", "From: Ann <ann@far.test>\nSender: A list <list@lists.test>\nSubject: hello\nPrecedence: list"},
	{"LISTSERV itself", "LISTSERV@lists.test", "From: LISTSERV <LISTSERV@lists.test>\nSubject: Your subscription"},
	{"Google Groups", "list+bncBC@lists.test", "From: Ann <ann@far.test>\nSubject: hello\nMailing-list: list list@lists.test; contact list+owners@lists.test\nList-ID: <list.lists.test>\nPrecedence: list"},
	{"newsletter", "news@shop.test", "From: Shop <news@shop.test>\nSubject: 20 % off\nList-Unsubscribe: <https://shop.test/u>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click"},
	{"newsletter with a feedback identifier", "b.123@shop.test", "From: Shop <hello@shop.test>\nSubject: 20 % off\nFeedback-ID: 123:shop"},
	{"newsletter with VERP", "bounce+123-joe=here.test@shop.test", "From: Shop <hello@shop.test>\nSubject: 20 % off"},
	{"invoice", "noreply@shop.test", "From: Shop <noreply@shop.test>\nSubject: Your invoice"},
	{"invoice, spelt otherwise", "No-Reply@shop.test", "From: Shop <hello@shop.test>\nSubject: Your invoice"},
	{"ticket", "support@shop.test", "From: Support <support@shop.test>\nSubject: [Ticket#1] received\nAuto-Submitted: auto-generated"},
	{"Bugzilla", "bugzilla-daemon@far.test", "From: bugzilla-daemon@far.test\nSubject: [Bug 1] New\nAuto-Submitted: auto-generated\nX-Auto-Response-Suppress: All"},
	{"GitHub", "noreply@github.test", "From: Ann <notifications@github.test>\nSubject: Re: [a/b] c\nList-ID: a/b <b.a.github.test>\nPrecedence: list\nX-Auto-Response-Suppress: All"},
	{"cron", "root@far.test", "From: Cron Daemon <root@far.test>\nSubject: Cron <root@far> true\nAuto-Submitted: auto-generated\nX-Cron-Env: <SHELL=/bin/sh>"},
	{"notification of Sieve", "ann@far.test", "From: ann@far.test\nSubject: New mail\nAuto-Submitted: auto-notified; owner-email=\"ann@far.test\""},
	{"subscription", "list-request@lists.test", "From: list-request@lists.test\nSubject: confirm 123"},
	{"junk that somebody has marked", "ann@far.test", "From: ann@far.test\nSubject: pills\nX-Spam-Flag: YES"},
	{"own mail", "joe@here.test", "From: joe@here.test\nSubject: note to self"},
}

// vary spells fields otherwise, without another meaning: case, blanks, folds, order, other fields.
func vary(r *rand.Rand, fields string) string {
	lines := strings.Split(fields, "\n")
	r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	for i, l := range lines {
		name, value, _ := strings.Cut(l, ":")
		switch r.IntN(4) {
		case 0:
			name = strings.ToUpper(name)
		case 1:
			name = strings.ToLower(name)
		}
		value = strings.TrimSpace(value)
		switch r.IntN(5) {
		case 0:
			value = "  " + value + " "
		case 1:
			value = "\r\n " + value
		case 2:
			value = "\t" + value
		default:
			value = " " + value
		}
		if strings.EqualFold(name, "Precedence") && r.IntN(2) == 0 {
			value = strings.ToUpper(value)
		}
		lines[i] = name + ":" + value
	}
	for range r.IntN(4) {
		lines = append([]string{fmt.Sprintf("Received: from a%d.test by b.test; Sat, 28 Feb 2026 23:30:00 -0500", r.IntN(99))}, lines...)
	}
	to := []string{"To: joe@here.test", "To: Joe <Joe@Here.test>", "To: ann@far.test, joe@here.test", "Cc: \"Joe, you\" <joe@here.test>"}[r.IntN(4)]
	return strings.Join(append(lines, to), "\r\n") + "\r\n\r\n"
}

func mine(a string) bool { return strings.EqualFold(a, "joe@here.test") }

func incoming(t *testing.T, sender, text string) Incoming {
	t.Helper()
	h, _, err := message.SplitHeader([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return Incoming{Sender: sender, Header: h, Mine: mine}
}

// SIV-1: of more than 800 bounces, lists and mails of programs, none is answered.
func TestNoneIsAnswered(t *testing.T) {
	t.Parallel()
	n := 0
	for _, s := range shapes {
		for seed := range uint64(21) {
			text := vary(rand.New(rand.NewPCG(seed, 7)), s.fields)
			n++
			if why := Decide(incoming(t, s.sender, text)); why == Answer {
				t.Errorf("%s is answered:\n%s", s.name, text)
			}
		}
	}
	if n < 800 {
		t.Fatalf("only %d mails", n)
	}
	t.Logf("%d mails, none answered", n)
}

// SIV-1: what people write is.
func TestPeopleAreAnswered(t *testing.T) {
	t.Parallel()
	for _, s := range []shape{
		{"plain", "ann@far.test", "From: Ann <ann@far.test>\nSubject: hello"},
		{"that says it is of a person", "ann@far.test", "From: ann@far.test\nSubject: hello\nAuto-Submitted: no"},
		{"with a comment", "ann@far.test", "From: ann@far.test\nSubject: hello\nAuto-Submitted: No (really)"},
		{"first class", "ann@far.test", "From: ann@far.test\nSubject: hello\nPrecedence: first-class"},
		{"forwarded", "SRS0=abcd=XY=far.test=ann@forwarder.test", "From: ann@far.test\nSubject: hello"},
		{"with a detail", "ann+x@far.test", "From: ann+x@far.test\nSubject: hello"},
		{"of Outlook", "ann@far.test", "From: ann@far.test\nSubject: hello\nX-Auto-Response-Suppress: DR, RN, NRN"},
		{"that was found to be none", "ann@far.test", "From: ann@far.test\nSubject: hello\nX-Spam-Status: No, score=1"},
		{"a name like a list's", "request-ann@far.test", "From: request-ann@far.test\nSubject: hello"},
	} {
		for seed := range uint64(20) {
			text := vary(rand.New(rand.NewPCG(seed, 8)), s.fields)
			if why := Decide(incoming(t, s.sender, text)); why != Answer {
				t.Errorf("%s is not answered, %s:\n%s", s.name, why, text)
			}
		}
	}
	in := incoming(t, "ann@far.test", "From: ann@far.test\r\nTo: else@here.test\r\n\r\n")
	if why := Decide(in); why != NotToUs {
		t.Errorf("to others: %q", why)
	}
	in = incoming(t, "ann@far.test", "To: joe@here.test\r\n\r\n")
	in.Junk = true
	if why := Decide(in); why != LooksLikeAds {
		t.Errorf("junk: %q", why)
	}
	in = incoming(t, "ann@far.test", strings.Repeat("Received: x\r\n", 51)+"To: joe@here.test\r\n\r\n")
	if why := Decide(in); why != TooManyHops {
		t.Errorf("hops: %q", why)
	}
	for _, sender := range []string{"", "nobody", "@far.test", "ann@"} {
		if why := Decide(incoming(t, sender, "To: joe@here.test\r\n\r\n")); why != NoSender {
			t.Errorf("sender %q: %q", sender, why)
		}
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Message-ID: <1@a>\r\n\r\n":                                         "<1@a> | <1@a>",
		"Message-ID: <2@a>\r\nReferences: <0@a>\r\n <1@a>\r\n\r\n":          "<2@a> | <0@a> <1@a> <2@a>",
		"Message-ID: <2@a>\r\nIn-Reply-To: <1@a>\r\n\r\n":                   "<2@a> | <1@a> <2@a>",
		"Message-ID: <2@a>\r\nIn-Reply-To: mail of <1@a> and <0@a>\r\n\r\n": "<2@a> | <2@a>",
		"Message-ID: none\r\n\r\n":                                          " | ",
		"Message-ID: <a b>\r\n\r\n":                                         " | ",
		"References: <1@a>\r\n\r\n":                                         " | ",
	} {
		h, _, err := message.SplitHeader([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		a, b := References(h)
		if got := a + " | " + b; got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	h, _, _ := message.SplitHeader([]byte("Message-ID: <x@a>\r\nReferences:" + strings.Repeat(" <y@a>", 100) + "\r\n\r\n"))
	if _, refs := References(h); strings.Count(refs, "<") != maxReferences+1 {
		t.Errorf("%s", refs)
	}
}

// SIV-1: what is sent is US-ASCII, whatever the script says, and has one header.
func TestCompose(t *testing.T) {
	t.Parallel()
	host, err := dns.ParseName("mail.here.test")
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]Mail{
		"plain": {Subject: "Fort\r\nX-Evil: yes", Text: "Grüße\n" + strings.Repeat("lang ", 500)},
		"mime":  {Subject: "a", MIME: true, Text: "Content-Type: text/html; charset=utf-8\nX-Evil: yes\n\n<p>Grüße\n"},
		"parts": {Subject: "a", MIME: true, Text: "Content-Type: multipart/alternative; boundary=foo\n\n--foo\nContent-Type: text/plain; charset=utf-8\n\nGrüße\n--foo--\n"},
		"none":  {Subject: "a", MIME: true, Text: "no fields at all"},
	} {
		m.From, m.To, m.Submitted, m.Now, m.Hostname = "joe@here.test", "ann@far.test", "auto-replied", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), host
		text := Compose(m)
		h, body, err := message.SplitHeader(text)
		if err != nil || message.EightBit(text) || h.Has("X-Evil") || len(body) == 0 {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		for _, f := range []string{"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"} {
			if h.Count(f) != 1 {
				t.Errorf("%s: %d times %s in\n%s", name, h.Count(f), f, text)
			}
		}
	}
}

// FuzzCompose: whatever a script says in the name of an account, its message has one header that can be
// read, and no field that the script has smuggled in.
func FuzzCompose(f *testing.F) {
	f.Add("Fort", "Content-Type: text/plain\n\nhello", true)
	f.Add("a\r\nb", "text", false)
	f.Fuzz(func(t *testing.T, subject, text string, mime bool) {
		b := Compose(Mail{From: "joe@here.test", To: "ann@far.test", Subject: Subject("", subject), Text: text, MIME: mime, Submitted: "auto-replied"})
		h, _, err := message.SplitHeader(b)
		if err != nil {
			t.Fatalf("%v in\n%q", err, b)
		}
		for _, field := range h.Fields {
			switch n := strings.ToLower(field.Name); {
			case n == "from", n == "to", n == "subject", n == "date", n == "message-id", n == "auto-submitted", n == "mime-version", strings.HasPrefix(n, "content-"):
			default:
				t.Fatalf("field %q in\n%q", field.Name, b)
			}
		}
		if h.Count("From") != 1 || h.Count("Auto-Submitted") != 1 {
			t.Fatalf("%q", b)
		}
	})
}
