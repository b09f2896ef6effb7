package receive

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/allowance"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/junk"
	"waxwing/internal/login"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/milters"
	"waxwing/internal/reason"
	"waxwing/internal/rejects"
	"waxwing/internal/screening"
	"waxwing/internal/store/storetest"
	"waxwing/message"
	"waxwing/milter"
	"waxwing/milter/miltertest"
	"waxwing/smtp"
)

var (
	packet = miltertest.Packet
	texts  = miltertest.Texts
)

// fake is a milter whose answers a test sets.
type fake struct {
	mu      sync.Mutex
	answers map[byte]miltertest.Answer
	counts  []*answered
	*miltertest.Filter
}

func newFake(t *testing.T) *fake {
	f := &fake{}
	f.Filter = miltertest.Serve(t, func(cmd byte, _ string) *miltertest.Answer {
		f.mu.Lock()
		defer f.mu.Unlock()
		if a, ok := f.answers[cmd]; ok {
			return &a
		}
		return nil
	})
	return f
}

// says has the milter answer a command so, and go on at all others.
func (f *fake) says(at byte, packets ...[]byte) { f.does(at, miltertest.Say(packets...)) }

func (f *fake) does(at byte, a miltertest.Answer) {
	f.Forget()
	for _, a := range f.counts { // what is counted before tells nothing of what is done from now on
		a.reset()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers = map[byte]miltertest.Answer{at: a}
}

// told finds what the milter was told by a command and the beginning of what belongs to it.
func (f *fake) told(begins string) (all []string) {
	for _, h := range f.Heard() {
		if strings.HasPrefix(h, begins) {
			all = append(all, h)
		}
	}
	return all
}

// counter of what came of milters.
type answered struct {
	mu   sync.Mutex
	last string
	n    int // changes not made
}

// asking has a door ask fakes, in their order.
func (d *Door) asking(of config.MailOf, rule screening.Rule, fakes ...*fake) *answered {
	a := &answered{}
	rule.Of = of
	d.Milters = &milters.Room{Largest: 4 << 20, Macros: milter.Macros{"j": d.Hostname, "{daemon_name}": "MTA"}, Answered: func(m, result string, n int, _ time.Duration) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.last, a.n = m+" "+result, n
	}}
	for i, f := range fakes {
		f.counts = append(f.counts, a)
		d.Milters.Milters = append(d.Milters.Milters, milters.Milter{Name: string(rune('a' + i)), Endpoint: config.Endpoint{Network: "tcp", Address: f.Addr}, Timeout: time.Minute, Rule: rule})
	}
	return a
}

func (a *answered) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last, a.n = "", 0
}

func (a *answered) want(t *testing.T, last string, notDone int) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last != last || a.n != notDone {
		t.Errorf("counted %q with %d changes not made, want %q with %d", a.last, a.n, last, notDone)
	}
}

const plainMail = "From: x@far.test\r\nSubject: one\r\n two\r\n\r\nhello"

// JNK-3: what a milter is told, and that its refusals are said at the point where it refuses, in its words.
func TestMilterRefuses(t *testing.T) {
	t.Parallel()
	q, f := &outbox{}, newFake(t)
	mx := &MX{Door: common(q)}
	count := mx.asking(config.OfServers, screening.Rule{}, f)
	c := serve(t, mx, nil)
	f.says(0)
	c.send("250", "<x@far.test> SIZE=99", "<joe@here.test>", plainMail)
	count.want(t, "a accepted", 0)
	if got := q.last(t); !strings.HasSuffix(got.body, plainMail+"\r\n") || got.env.Sender != "x@far.test" {
		t.Errorf("%+v", got)
	}
	for _, want := range []string{"C[127.0.0.1]\x004", "Hclient.test\x00", "M<x@far.test>\x00SIZE=99\x00", "R<joe@here.test>\x00", "T", "LFrom\x00 x@far.test\x00", "LSubject\x00 one\n two\x00", "N", "Bhello\r\n", "E"} {
		if len(f.told(want)) != 1 {
			t.Errorf("told %q, not %q", f.Heard(), want)
		}
	}
	macros := strings.Join(append(append(f.told("DC"), f.told("DM")...), append(f.told("DR"), f.told("DE")...)...), " ")
	for _, want := range []string{"Cj\x00mx.here.test\x00", "{daemon_name}\x00MTA\x00", "{client_addr}\x00127.0.0.1\x00", "{client_resolve}\x00FAIL\x00", "{mail_addr}\x00x@far.test\x00", "{rcpt_mailer}\x00local\x00", "{rcpt_addr}\x00joe@here.test\x00", "Ei\x00"} {
		if !strings.Contains(macros, want) {
			t.Errorf("%q is not in %q", want, macros)
		}
	}

	f.says('C', packet('y', "554 5.7.1 go away\x00"))
	c.do("554 5.7.1 go away", "MAIL FROM:<x@far.test>")
	count.want(t, "a refused", 0)
	f.says('M', packet('t'))
	c.do("451 4.7.1 a filter asks for another try later", "MAIL FROM:<x@far.test>")
	count.want(t, "a deferred", 0)
	f.says('R', packet('y', "450 4.2.0 greylisted\x00"))
	c.do("250", "MAIL FROM:<x@far.test>")
	c.do("450 4.2.0 greylisted", "RCPT TO:<joe@here.test>")
	f.says(0)
	c.do("250", "RCPT TO:<ann@here.test>") // the next recipient is asked about anew
	c.do("354", "DATA")
	c.do("250", plainMail+"\r\n.")
	if got := q.last(t).env.Recipients; len(got) != 1 || got[0].Address != "ann@here.test" {
		t.Errorf("%+v", got)
	}
	n := q.count()
	for _, at := range []byte("TLNBE") {
		f.says(at, packet('y', "550 5.7.1 100%% a virus\x00"))
		c.send("550 5.7.1 100% a virus", "<x@far.test>", "<joe@here.test>", plainMail)
		count.want(t, "a refused", 0)
	}
	if q.count() != n {
		t.Error("a refused message was taken")
	}
	for _, at := range []byte("CHMRTLNBE") {
		f.says(at, packet('a'))
		c.send("250", "<x@far.test>", "<joe@here.test>", plainMail)
		count.want(t, "a accepted", 0)
	}
}

// What a milter throws away is answered 250, at whatever point it says so, and goes nowhere: also
// not to a report address.
func TestMilterDiscards(t *testing.T) {
	t.Parallel()
	q, f := &outbox{}, newFake(t)
	reports := &sink{}
	mx := &MX{Door: common(q), Reports: reports, IsReport: isReport}
	count := mx.asking(config.OfServers, screening.Rule{}, f)
	c := serve(t, mx, nil)
	for _, at := range []byte("CHMRTLNBE") {
		f.says(at, packet('d'))
		c.send("250 2.0.0 message accepted as", "<x@far.test>", "<joe@here.test> <tls-reports@here.test>", plainMail)
		count.want(t, "a discarded", 0)
	}
	f.says('E', packet('-', texts("<joe@here.test>")), packet('c'))
	c.send("250 2.0.0 message accepted as", "<x@far.test>", "<joe@here.test>", plainMail)
	if q.count() != 0 || len(reports.taken) != 0 {
		t.Errorf("%d queued", q.count())
	}
	// A report that is none is read by somebody: milters are asked about it too.
	f.says('R', packet('r'))
	c.do("250", "MAIL FROM:<x@far.test>")
	c.do("550 5.7.1", "RCPT TO:<tls-reports@here.test>")
	c.do("250", "RSET")
	f.says(0)
	c.send("250", "<x@far.test>", "<tls-reports@here.test>", "Subject: a report\r\n\r\nx")
	if len(reports.taken) != 1 || len(f.told("R<tls-reports@here.test>")) != 1 {
		t.Errorf("%q", f.Heard())
	}
}

func isReport(_ context.Context, local string, _ dns.Name) bool { return local == "tls-reports" }

// A milter that cannot be reached, falls silent or breaks the protocol, at whatever point: what the
// operator wants is done, and no message is lost or half changed.
func TestMilterDies(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		failure config.OnFailure
		code    string
		junk    bool
	}{{"", "451 4.7.1", false}, {config.DeferOnFailure, "451 4.7.1", false}, {config.RejectOnFailure, "550 5.7.1", false}, {config.AcceptOnFailure, "250", false}, {config.JunkOnFailure, "250", true}} {
		q, f := &outbox{}, newFake(t)
		mx := &MX{Door: common(q)}
		count := mx.asking(config.OfServers, screening.Rule{OnFailure: s.failure}, f)
		c := serve(t, mx, nil)
		for _, at := range []byte("OCHMRTLNBE") {
			before := q.count()
			f.does(at, miltertest.Answer{Raw: map[bool][]byte{true: packet('h', texts("X-Half", "done"))}[at == 'E'], Close: true})
			point := strings.IndexByte("OCHM", at) < 0
			if code := s.code; code != "250" && !point {
				c.do(code, "MAIL FROM:<x@far.test>")
			} else if c.do("250", "MAIL FROM:<x@far.test>"); code != "250" && at == 'R' {
				c.do(code, "RCPT TO:<joe@here.test>")
				c.do("250", "RSET")
			} else {
				c.do("250", "RCPT TO:<joe@here.test>")
				c.do("354", "DATA")
				c.do(code, plainMail+"\r\n.")
			}
			count.want(t, "a silent", 0)
			if s.code != "250" {
				if q.count() != before {
					t.Errorf("%s %c: taken", s.failure, at)
				}
				continue
			}
			if got := q.last(t); q.count() != before+1 || !strings.HasSuffix(got.body, plainMail+"\r\n") || strings.Contains(got.body, "X-Half") || got.env.Recipients[0].Junk != s.junk {
				t.Errorf("%s %c: %+v", s.failure, at, got)
			}
		}
		mx.Milters.Milters[0].Endpoint.Address = "127.0.0.1:1" // nobody is there
		if s.code == "250" {
			c.send("250", "<x@far.test>", "<joe@here.test>", plainMail)
		} else {
			c.do(s.code, "MAIL FROM:<x@far.test>")
		}
	}
}

// A milter that fails at one recipient has seen neither those after it nor the message: none of them passes.
func TestMilterDiesAtRecipient(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		failure config.OnFailure
		code    string
	}{{config.DeferOnFailure, "451 4.7.1"}, {config.RejectOnFailure, "550 5.7.1"}, {config.AcceptOnFailure, "250"}} {
		q, f := &outbox{}, newFake(t)
		mx := &MX{Door: common(q), Reports: &sink{}, IsReport: isReport}
		count := mx.asking(config.OfServers, screening.Rule{OnFailure: s.failure}, f)
		c := serve(t, mx, nil)
		f.does('R', miltertest.Answer{Close: true})
		c.do("250", "MAIL FROM:<x@far.test>")
		c.do(s.code, "RCPT TO:<joe@here.test>")
		c.do(s.code, "RCPT TO:<ann@here.test>")
		c.do(s.code, "RCPT TO:<tls-reports@here.test>")
		count.want(t, "a silent", 0)
		f.says(0)
		c.do("250", "RSET")
		c.do("250", "MAIL FROM:<x@far.test>")
		c.do("250", "RCPT TO:<joe@here.test>")
		f.does('R', miltertest.Answer{Close: true})
		c.do(s.code, "RCPT TO:<ann@here.test>")
		f.says(0)
		c.do("354", "DATA")
		c.do(s.code, plainMail+"\r\n.")
		if (q.count() == 1) != (s.code == "250") {
			t.Errorf("%s: %d taken", s.failure, q.count())
		}
	}
}

// A message is never lost between those whom a milter takes it from and those whom it cannot be given to.
func TestMilterSendsAstray(t *testing.T) {
	t.Parallel()
	q, f, other := &outbox{}, newFake(t), newFake(t)
	mx := &MX{Door: common(q)}
	count := mx.asking(config.OfServers, screening.Rule{}, f, other)
	c := serve(t, mx, nil)
	add, remove := func(who string) []byte { return packet('+', texts(who)) }, packet('-', texts("<joe@here.test>"))
	for _, tt := range []struct {
		to, want string
		counted  string
		changes  [][]byte
	}{
		{"<joe@here.test>", "550 5.7.1 a filter sends this message on", "a refused", [][]byte{add("<joe@elsewhere.test>"), remove}},
		{"<joe@here.test>", "550 5.7.1", "a refused", [][]byte{remove, add("<nobody@here.test>")}},
		{"<joe@here.test>", "550 5.7.1", "a refused", [][]byte{remove, add("nonsense")}},
		{"<joe@here.test> <ann@here.test>", "550 5.7.1", "a refused", [][]byte{remove, add("<nobody@here.test>")}},
		{"<joe@here.test>", "451 4.7.1 a filter sends this message on", "a deferred", [][]byte{remove, add("<x@paused.test>")}},
		{"<joe@here.test>", "550 5.7.1", "a refused", [][]byte{remove, add("<x@paused.test>"), add("<nobody@here.test>")}},
	} {
		f.says('E', append(tt.changes, packet('c'))...)
		c.send(tt.want, "<x@far.test>", tt.to, plainMail)
		count.want(t, tt.counted, 1+len(tt.changes)/3)
	}
	// What one milter adds in vain another one must not have relied on.
	f.says('E', add("<nobody@here.test>"), packet('c'))
	other.says('E', remove, packet('c'))
	c.send("550 5.7.1", "<x@far.test>", "<joe@here.test>", plainMail)
	if q.count() != 0 {
		t.Errorf("%d taken", q.count())
	}
	other.says(0)
	for _, tt := range []struct {
		to, want string
		changes  [][]byte
	}{
		{"<joe@here.test> NOTIFY=SUCCESS ORCPT=rfc822;j@far.test", "ann@here.test 1 rfc822;j@far.test", [][]byte{remove, add("<ann@here.test>")}},
		{"<joe@here.test> NOTIFY=NEVER", "ann@here.test 8 ", [][]byte{add("<ann@here.test>"), remove}},
		{"<joe@here.test> NOTIFY=SUCCESS", "joe@here.test 1  ann@here.test 8 ", [][]byte{add("<ann@here.test>")}},
	} {
		f.says('E', append(tt.changes, packet('c'))...)
		c.do("250", "MAIL FROM:<x@far.test>")
		to, rest, _ := strings.Cut(tt.to, " ")
		c.do("250", "RCPT TO:"+to+" "+rest)
		c.do("354", "DATA")
		c.do("250", plainMail+"\r\n.")
		var got []string
		for _, r := range q.last(t).env.Recipients {
			got = append(got, fmt.Sprintf("%s %d %s", r.Address, r.Notify, r.ORcpt))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// What a milter puts aside, or is held for it, is opened as a report by nobody.
func TestMilterAndReports(t *testing.T) {
	t.Parallel()
	q, f, reports := &outbox{}, newFake(t), &sink{}
	mx := &MX{Door: common(q), Reports: reports, IsReport: isReport}
	for _, s := range []struct {
		rule screening.Rule
		at   byte
		says miltertest.Answer
		junk bool
	}{
		{screening.Rule{}, 'E', miltertest.Say(packet('q', texts("Eicar")), packet('c')), true},
		{screening.Rule{Quarantine: config.QuarantineHold}, 'E', miltertest.Say(packet('q', texts("Eicar")), packet('c')), false},
		{screening.Rule{OnFailure: config.JunkOnFailure}, 'B', miltertest.Answer{Close: true}, true},
	} {
		mx.asking(config.OfServers, s.rule, f)
		f.does(s.at, s.says)
		serve(t, mx, nil).send("250", "<x@far.test>", "<tls-reports@here.test>", "Subject: a report\r\n\r\nx")
		got := q.last(t)
		if len(reports.taken) != 0 || len(got.env.Recipients) != 1 || got.env.Recipients[0].Junk != s.junk || (got.env.Quarantine.Word != "") == s.junk || !strings.Contains(got.body, "Waxwing-Report-Not-Taken: tls-reports@here.test: a filter has the message put\r\n aside") {
			t.Errorf("%+v: %d taken, %+v", s.rule, len(reports.taken), got)
		}
	}
}

// The queue is told of octets above 127 as they are when all milters are done.
func TestMilterAndEightBits(t *testing.T) {
	t.Parallel()
	q, f := &outbox{}, newFake(t)
	mx := &MX{Door: common(q)}
	mx.asking(config.OfServers, screening.Rule{}, f)
	c := serve(t, mx, nil)
	for _, tt := range []struct {
		mail   string
		change []byte
		want   bool
	}{
		{"Subject: x\r\n\r\nx", packet('h', texts("X-A", " ü")), true},
		{"Subject: ü\r\n\r\nx", packet('m', miltertest.Number(1), texts("Subject", " x")), false},
		{"Subject: ü\r\n\r\nü", packet('m', miltertest.Number(1), texts("Subject", "")), true},
	} {
		f.says('E', tt.change, packet('c'))
		c.send("250", "<x@far.test>", "<joe@here.test>", tt.mail)
		if got := q.last(t); got.env.EightBit != tt.want {
			t.Errorf("%q: 8-bit %v", got.body, got.env.EightBit)
		}
	}
}

// The client goes in the middle: this tells nothing of the milter, and lets nothing pass it.
func TestMilterAndClientGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := &fake{Filter: miltertest.Serve(t, func(cmd byte, _ string) *miltertest.Answer {
		if cmd != 'M' {
			return nil
		}
		cancel()
		return &miltertest.Answer{Hang: true}
	})}
	d := common(&outbox{})
	count := d.asking(config.OfServers, screening.Rule{OnFailure: config.AcceptOnFailure}, f)
	tx := d.Milters.Begin(milters.Client{})
	defer tx.Close()
	if got := tx.Mail(ctx, smtp.MailParams{From: smtp.Address{Local: "x", Domain: "far.test"}}); got.Action != screening.Refuse || !got.Reply.Temporary() {
		t.Errorf("%+v", got)
	}
	count.want(t, "", 0)
}

// Each change that a milter may ask for, and what is not done.
func TestMilterChanges(t *testing.T) {
	t.Parallel()
	q, f := &outbox{}, newFake(t)
	mx := &MX{Door: common(q)}
	count := mx.asking(config.OfServers, screening.Rule{}, f)
	c := serve(t, mx, nil)
	for _, tt := range []struct {
		name    string
		changes [][]byte
		body    string // how the message ends behind Received
		env     string
		notDone int
	}{
		{"fields", [][]byte{packet('h', texts("X-A", " 1\n\t2")), packet('i', miltertest.Number(0), texts("X-B", " 3")), packet('m', miltertest.Number(1), texts("Subject", ""))},
			"X-B: 3\r\nFrom: x@far.test\r\nX-A: 1\r\n\t2\r\n\r\nhello\r\n", "x@far.test joe@here.test", 0},
		{"reserved", [][]byte{packet('h', texts(junk.FieldName, " inbox")), packet('h', texts("Return-Path", " <>")), packet('m', miltertest.Number(1), texts("Received", ""))}, plainMail + "\r\n", "x@far.test joe@here.test", 3},
		{"body", [][]byte{packet('b', "a\nb\r"), packet('b', "\nc\rd")}, "From: x@far.test\r\nSubject: one\r\n two\r\n\r\na\r\nb\r\nc\r\nd\r\n", "x@far.test joe@here.test", 0},
		{"body and field", [][]byte{packet('b', "new"), packet('h', texts("X-A", " 1"))}, "From: x@far.test\r\nSubject: one\r\n two\r\nX-A: 1\r\n\r\nnew\r\n", "x@far.test joe@here.test", 0},
		{"no body", [][]byte{packet('b', "")}, "From: x@far.test\r\nSubject: one\r\n two\r\n\r\n", "x@far.test joe@here.test", 0},
		{"sender", [][]byte{packet('e', texts("<other@far.test>", "SIZE=1"))}, plainMail + "\r\n", "other@far.test joe@here.test", 0},
		{"null sender", [][]byte{packet('e', texts("<>"))}, plainMail + "\r\n", " joe@here.test", 0},
		{"recipients", [][]byte{packet('+', texts("<ann@here.test>")), packet('2', texts("<JOE@here.test>", "NOTIFY=NEVER")), packet('-', texts("<joe@here.test>"))}, plainMail + "\r\n", "x@far.test ann@here.test JOE@here.test", 0},
		{"nobody's", [][]byte{packet('+', texts("<joe@elsewhere.test>")), packet('+', texts("<nobody@here.test>")), packet('+', texts("<board@here.test>")), packet('+', texts("nonsense")), packet('-', texts("<ann@here.test>"))}, plainMail + "\r\n", "x@far.test joe@here.test", 5},
	} {
		f.says('E', append(tt.changes, packet('c'))...)
		c.send("250", "<x@far.test>", "<joe@here.test>", plainMail)
		got := q.last(t)
		if !strings.HasSuffix(got.body, "+0000\r\n"+tt.body) {
			t.Errorf("%s: %q", tt.name, got.body)
		}
		env := got.env.Sender
		for _, r := range got.env.Recipients {
			env += " " + r.Address
			// Those in place of a removed one ask for what it did, and others for no notifications.
			if joe := strings.Contains(tt.env, "joe@here.test"); !r.Local || r.Notify.Wants(delivery.NotifyFailure) != (!joe || r.Address == "joe@here.test") {
				t.Errorf("%s: %+v", tt.name, r)
			}
		}
		if env != tt.env {
			t.Errorf("%s: %s, want %s", tt.name, env, tt.env)
		}
		count.want(t, "a accepted", tt.notDone)
	}
	// A body that no mail may have is a fault of the milter's, and nothing of it is done.
	for _, bad := range [][]byte{packet('b', "a\x00b"), bytes.Repeat(packet('b', strings.Repeat("x", 65535)), 70)} {
		f.says('E', packet('h', texts("X-A", " 1")), bad, packet('c'))
		c.send("451 4.7.1", "<x@far.test>", "<joe@here.test>", plainMail)
		count.want(t, "a silent", 0)
	}
}

// A long message lies in a file: it is changed there, and what replaces a body may be long too.
func TestMilterChangesLongMail(t *testing.T) {
	t.Parallel()
	q, f := &outbox{}, newFake(t)
	mx := &MX{Door: common(q)}
	mx.TempDir = t.TempDir()
	mx.asking(config.OfServers, screening.Rule{}, f)
	c := serve(t, mx, nil)
	line := strings.Repeat("0123456789", 7) + "\r\n"
	long, half := strings.Repeat(line, 2<<20/len(line)), strings.Repeat(line, 80000/len(line))
	head := "From: x@far.test\r\nSubject: one\r\n"
	field := packet('h', texts("X-A", " 1"))
	for _, tt := range []struct {
		name, body, want string
		changes          [][]byte
		file             bool
	}{
		{"a field", long, head + "X-A: 1\r\n\r\n" + long, [][]byte{field}, true},
		{"nothing", long, head + "\r\n" + long, nil, true},
		{"a short body for a long one", long, head + "\r\nshort\r\n", [][]byte{packet('b', "short")}, true},
		{"a long body for a short one", "short\r\n", head + "X-A: 1\r\n\r\n" + half, [][]byte{packet('b', half), field}, true},
		{"a long body for a long one", long, head + "\r\n" + half + "ü\r\n", [][]byte{packet('b', half), packet('b', "ü\r\n")}, true},
	} {
		var split [][]byte
		for _, p := range tt.changes {
			if p[4] != 'b' {
				split = append(split, p)
				continue
			}
			for part := p[5:]; len(part) > 0; part = part[min(len(part), 65000):] {
				split = append(split, packet('b', string(part[:min(len(part), 65000)])))
			}
		}
		f.says('E', append(split, packet('c'))...)
		c.send("250", "<x@far.test>", "<joe@here.test>", head+"\r\n"+strings.TrimSuffix(tt.body, "\r\n"))
		got := q.last(t)
		_, after, _ := strings.Cut(got.body, "+0000\r\n")
		if after != tt.want || got.file != tt.file || got.env.EightBit != strings.Contains(tt.want, "ü") {
			t.Errorf("%s: %d octets, file %v, 8-bit %v; want %d", tt.name, len(after), got.file, got.env.EightBit, len(tt.want))
		}
		told := ""
		for _, b := range f.told("B") {
			told += b[1:]
		}
		if told != tt.body {
			t.Errorf("%s: the milter was told %d octets of %d", tt.name, len(told), len(tt.body))
		}
	}
	left, err := os.ReadDir(mx.TempDir)
	if err != nil || len(left) > 0 {
		t.Errorf("%v %v", left, err)
	}
}

// What one milter has made of a message is what the next one sees, and no refusal comes too late.
func TestMiltersInOrder(t *testing.T) {
	t.Parallel()
	q, a, b := &outbox{}, newFake(t), newFake(t)
	mx := &MX{Door: common(q)}
	count := mx.asking(config.OfServers, screening.Rule{}, a, b)
	c := serve(t, mx, nil)
	a.says('E', packet('h', texts("X-A", " 1")), packet('b', "changed\r\n"), packet('c'))
	b.says('E', packet('m', miltertest.Number(1), texts("X-A", " 2")), packet('c'))
	c.send("250", "<x@far.test>", "<joe@here.test>", plainMail)
	if got := q.last(t); !strings.HasSuffix(got.body, "X-A: 2\r\n\r\nchanged\r\n") || len(b.told("LX-A\x00 1\x00")) != 1 || len(b.told("Bchanged\r\n")) != 1 {
		t.Errorf("%q, %q", got.body, b.Heard())
	}
	count.want(t, "b accepted", 0)
	b.says('E', packet('r'))
	c.send("550 5.7.1 a filter refuses this", "<x@far.test>", "<joe@here.test>", plainMail)
	a.says('M', packet('r'))
	c.do("550", "MAIL FROM:<x@far.test>")
	a.says('M', packet('a')) // and the other one is asked all the same
	c.send("550", "<x@far.test>", "<joe@here.test>", plainMail)
	b.says('M', packet('d'))
	c.send("250", "<x@far.test>", "<joe@here.test>", plainMail)
	if q.count() != 1 {
		t.Error("a message was taken that is thrown away")
	}
}

// JNK-3: what a milter wants put aside goes into Junk, whoever sent it, or is held; and the evidence
// tells what milters did.
func TestMilterQuarantines(t *testing.T) {
	t.Parallel()
	q, f := &outbox{}, newFake(t)
	mx, room := weighing(t, q)
	count := mx.asking(config.OfServers, screening.Rule{}, f)
	if err := wrote(t, room.Correspondents.DB, "x@good.test"); err != nil {
		t.Fatal(err)
	}
	c := serve(t, mx, nil)
	const msg = "From: x@good.test\r\n\r\nbody"
	f.says('E', packet('q', texts("Eicar\nfound")), packet('c'))
	c.send("250", "<x@good.test>", "<joe@here.test>", msg)
	if d := weighedAs(t, q.last(t), 0); d.Action != junk.Junk || words(d) != "replied-to milter-quarantine" || d.Evidence[1].Text != "a: Eicar found" {
		t.Errorf("%+v", d)
	}
	count.want(t, "a quarantined", 0)
	f.says('E', packet('h', texts("X-A", "1")), packet('c'))
	c.send("250", "<x@good.test>", "<joe@here.test>", msg)
	if d := weighedAs(t, q.last(t), 0); d.Action != junk.Inbox || words(d) != "replied-to milter-passed" || d.Evidence[1].Text != "a: a field added" {
		t.Errorf("%+v", d)
	}
	// Where it gives no answer and the operator wants mail in Junk for that, no sum has a say.
	mx.Milters.Milters[0].Rule.OnFailure = config.JunkOnFailure
	f.does('B', miltertest.Answer{Close: true})
	c.send("250", "<x@good.test>", "<joe@here.test>", msg)
	if got := q.last(t); !got.env.Recipients[0].Junk || weighedAs(t, got, 0).Action != junk.Junk || words(weighedAs(t, got, 0)) != "replied-to filter-silent" {
		t.Errorf("%+v", got.env.Recipients)
	}
	// Who trusts a list has its mail put aside for what a milter says, not for the author's policy.
	mx.Milters.Milters[0].Rule = screening.Rule{Of: config.OfServers}
	f.says('E', packet('q', texts("Eicar")), packet('c'))
	c.send("250", "<x@anns-list.test>", "<joe@here.test> <ann@here.test>", "From: x@aside.test\r\n\r\nbody")
	for i, want := range []bool{true, false} {
		if d := weighedAs(t, q.last(t), i); d.Action != junk.Junk || strings.Contains(words(d), "dmarc-quarantine") != want || !strings.Contains(words(d), "milter-quarantine") {
			t.Errorf("%d: %+v", i, d)
		}
	}
	// What is held is told as such, and goes where it would when it is let go.
	mx.Milters.Milters[0].Rule = screening.Rule{Quarantine: config.QuarantineHold, Of: config.OfServers}
	f.says('E', packet('q', texts("Eicar")), packet('c'))
	c.send("250", "<new@good.test>", "<joe@here.test>", "From: new@good.test\r\n\r\nbody")
	if got := q.last(t); got.env.Recipients[0].Junk || words(weighedAs(t, got, 0)) != "written-to-domain first-contact milter-quarantine" || got.env.Quarantine.Word == "" {
		t.Errorf("%+v", got.env)
	}
	if err := room.Correspondents.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.says(0)
	c.send("250", "<new@good.test>", "<joe@here.test>", "From: new@good.test\r\n\r\nbody")
	if d := weighedAs(t, q.last(t), 0); words(d) != "written-to-domain first-contact milter-passed" {
		t.Errorf("somebody has heard of a message that is held: %+v", d)
	}
	plain := &MX{Door: mx.Door} // where nobody weighs
	plain.asking(config.OfServers, screening.Rule{}, f)
	c = serve(t, plain, nil)
	f.says('E', packet('q', texts("Eicar")), packet('c'))
	c.send("250", "<x@good.test>", "<joe@here.test>", msg)
	if got := q.last(t).env; !got.Recipients[0].Junk || got.Quarantine.Word != "" {
		t.Errorf("%+v", got)
	}
	plain.asking(config.OfServers, screening.Rule{Quarantine: config.QuarantineHold}, f)
	c = serve(t, plain, nil)
	c.send("250", "<x@good.test>", "<joe@here.test>", msg)
	if got := q.last(t).env; got.Recipients[0].Junk || got.Quarantine.Word != reason.MilterQuarantine || got.Quarantine.Text != "a: Eicar" {
		t.Errorf("%+v", got)
	}
}

// Mail of accounts is changed before it is signed, and by the keys of who its author is then.
func TestMilterOfSubmission(t *testing.T) {
	t.Parallel()
	q, f := &outbox{}, newFake(t)
	b := &Submission{Door: common(q), Signer: seal{}}
	b.asking(config.OfAccounts, screening.Rule{OnFailure: config.JunkOnFailure}, f)
	c := serve(t, b, &login.Checker{Accounts: people{}})
	c.login()
	const msg = "From: joe@here.test\r\nDate: today\r\nMessage-ID: <1@x>\r\nBcc: ann@here.test\r\n\r\nbody"
	f.says('E', packet('h', texts("X-A", " 1")), packet('m', miltertest.Number(1), texts("From", " joe@other.test")), packet('+', texts("<y@elsewhere.test>")), packet('q', texts("odd")), packet('c'))
	c.send("250", "<joe@here.test>", "<x@far.test>", msg)
	got := q.last(t)
	const want = "From: joe@other.test\r\nDate: today\r\nMessage-ID: <1@x>\r\nX-A: 1\r\n\r\nbody\r\n"
	if !strings.HasSuffix(got.body, fmt.Sprintf("DKIM-Signature: d=other.test; l=%d\r\n", len(want))+want) {
		t.Errorf("%q", got.body)
	}
	if len(got.env.Recipients) != 2 || got.env.Recipients[1].Address != "y@elsewhere.test" || got.env.Recipients[1].Local || got.env.Quarantine.Text != "a: odd" || got.env.Recipients[0].Junk {
		t.Errorf("%+v", got.env)
	}
	if len(f.told("LBcc")) != 0 || !strings.Contains(strings.Join(f.told("DM"), ""), "{auth_type}\x00SASL\x00{auth_authen}\x00joe\x00") || !strings.Contains(strings.Join(f.told("DH"), ""), "{tls_version}\x00TLSv1.3\x00") {
		t.Errorf("%q", f.Heard())
	}
	f.says('E', packet('m', miltertest.Number(1), texts("From", "")), packet('c'))
	c.send("550 5.6.0 a filter has left the message without an author", "<joe@here.test>", "<x@far.test>", msg)
	f.does('E', miltertest.Answer{Close: true}) // there is no Junk
	c.send("451", "<joe@here.test>", "<x@far.test>", msg)
	// Programs hand in mail without SMTP, and pass milters all the same.
	f.says('E', packet('r'))
	if err := handIn(t, b, nil); err == nil || !strings.Contains(err.Error(), "a filter refuses this") {
		t.Errorf("%v", err)
	}
}

// What a milter refuses is kept for the accounts that want to see it; what it has not even looked at is not.
func TestMilterSilentIsNotKept(t *testing.T) {
	t.Parallel()
	q, f := &outbox{}, newFake(t)
	mx, room := weighing(t, q)
	mx.asking(config.OfServers, screening.Rule{OnFailure: config.RejectOnFailure}, f)
	now := func() time.Time { return noon }
	boxes := &mailboxes.Store{DB: room.Correspondents.DB, Now: now}
	mx.Rejects = &rejects.Store{DB: boxes.DB, Boxes: boxes, Now: now}
	if err := mx.Rejects.Want(t.Context(), "joe", true); err != nil {
		t.Fatal(err)
	}
	c := serve(t, mx, nil)
	f.does('B', miltertest.Answer{Close: true})
	c.send("550 5.7.1 a filter does not answer", "<x@good.test>", "<joe@here.test>", "From: x@good.test\r\n\r\nsilence")
	f.says('B', packet('r'))
	c.send("550 5.7.1 a filter refuses this", "<x@good.test>", "<joe@here.test>", "From: x@good.test\r\n\r\nno")
	if all, err := boxes.List(t.Context(), "joe", mailbox.Rejects, 0); err != nil || len(all) != 1 {
		t.Errorf("%d kept, %v", len(all), err)
	}
}

// Those whom a milter adds an account has not written to: they are neither charged to it nor remembered.
func TestMilterAddsToSubmission(t *testing.T) {
	t.Parallel()
	q, f := &outbox{}, newFake(t)
	b := &Submission{Door: common(q), Signer: seal{}, Allowance: &allowance.Store{DB: storetest.Open(t), Limit: allowance.Count{Messages: 9, Recipients: 2}, Now: func() time.Time { return noon }}}
	b.asking(config.OfAccounts, screening.Rule{}, f)
	c := serve(t, b, &login.Checker{Accounts: people{}})
	c.login()
	add := packet('+', texts("<y@elsewhere.test>"))
	f.says('E', add, add, packet('+', texts("<z@elsewhere.test>")), packet('c'))
	for range 2 {
		c.send("250", "<joe@here.test>", "<x@far.test>", "From: joe@here.test\r\n\r\nhi")
	}
	if env := q.last(t).env; len(env.Recipients) != 3 || !slices.Equal(env.Wrote.To, []string{"x@far.test"}) {
		t.Errorf("to %d recipients, remembered %v", len(env.Recipients), env.Wrote)
	}
	c.do("450 4.7.1 your account has written to 2 recipients", "MAIL FROM:<joe@here.test>")
}

// Nothing more is done about a message that is thrown away, and the log says who wanted it.
func TestMilterEndsChecks(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	mx := &MX{Door: common(&outbox{})}
	var log bytes.Buffer
	mx.Log = slog.New(slog.NewTextHandler(&log, nil))
	mx.Checks = []Check{{Message: func(context.Context, *Facts) Decision {
		t.Error("a check was asked about a message that is thrown away")
		return Decision{}
	}}}
	mx.asking(config.OfServers, screening.Rule{}, f)
	mx.Milters.Log = mx.Log
	c := serve(t, mx, nil)
	for _, tt := range []struct {
		at      byte
		packets [][]byte
		want    string
	}{
		{'M', [][]byte{packet('d')}, `msg="message thrown away: a milter wants it" filter=a`},
		{'E', [][]byte{packet('d')}, `msg="message thrown away: a milter wants it" filter=a`},
		{'E', [][]byte{packet('-', texts("<joe@here.test>")), packet('c')}, `msg="message thrown away: a milter wants it" filter=a`},
		{'M', [][]byte{packet('r')}, `msg="refused by a milter" filter=a`},
		{'R', [][]byte{packet('r')}, `msg="refused by a milter" filter=a`},
		{'E', [][]byte{packet('r')}, `msg="message refused by a milter" filter=a`},
	} {
		f.says(tt.at, tt.packets...)
		log.Reset()
		c.do(map[bool]string{true: "550", false: "250"}[tt.at == 'M' && tt.packets[0][4] == 'r'], "MAIL FROM:<x@far.test>")
		if tt.at != 'M' || tt.packets[0][4] != 'r' {
			c.do(map[bool]string{true: "550", false: "250"}[tt.at == 'R'], "RCPT TO:<joe@here.test>")
			if tt.at != 'R' {
				c.do("354", "DATA")
				c.do(map[bool]string{true: "550", false: "250"}[tt.packets[0][4] == 'r'], plainMail+"\r\n.")
			} else {
				c.do("250", "RSET")
			}
		}
		if strings.Count(log.String(), tt.want) != 1 {
			t.Errorf("%c %q: %s", tt.at, tt.packets, log.String())
		}
	}
}

// A header that fills its bounds leaves no room for what milters mark it with: it does not pass unmarked.
func TestMilterAndFullHeader(t *testing.T) {
	t.Parallel()
	q, f := &outbox{}, newFake(t)
	mx := &MX{Door: common(q)}
	count := mx.asking(config.OfServers, screening.Rule{}, f)
	c := serve(t, mx, nil)
	f.says('E', append(slices.Repeat([][]byte{packet('h', texts("X-Spam", " yes"))}, screening.RoomFields), packet('c'))...)
	many := strings.Repeat("X: y\r\n", message.MaxFields-screening.RoomFields)
	c.send("250", "<x@far.test>", "<joe@here.test>", many+"\r\nx")
	count.want(t, "a accepted", 0)
	if got := q.last(t).body; strings.Count(got, "X-Spam: yes\r\n") != screening.RoomFields {
		t.Errorf("%d marks", strings.Count(got, "X-Spam"))
	}
	c.send("550 5.6.0 the message's header has 901 fields, 900 are allowed", "<x@far.test>", "<joe@here.test>", many+"X: y\r\n\r\nx")
	long := strings.Repeat("X: "+strings.Repeat("y", 900)+"\r\n", (message.MaxHeader-screening.RoomOctets)/905)
	c.send("250", "<x@far.test>", "<joe@here.test>", long+"\r\nx")
	c.send("552 5.3.4", "<x@far.test>", "<joe@here.test>", long+"X: "+strings.Repeat("y", 900)+"\r\n\r\nx")
	mx.Milters = nil
	serve(t, mx, nil).send("250", "<x@far.test>", "<joe@here.test>", many+"X: y\r\n\r\nx")
}
