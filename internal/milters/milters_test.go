package milters

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/screening"
	"waxwing/message"
	"waxwing/milter/miltertest"
	"waxwing/smtp"
)

// mail is a message that notes what is done with it.
type mail struct {
	header string
	body   bytes.Buffer
	broken error
	done   string
}

func (m *mail) Parts() (message.Header, io.Reader, error) {
	h, body, err := message.SplitHeader([]byte(m.header + "\r\nhello\r\n"))
	if err == nil {
		err = m.broken
	}
	return h, bytes.NewReader(body), err
}
func (m *mail) Replacement() io.Writer { return &m.body }
func (m *mail) Amend(h message.Header, replaced bool) error {
	m.done += fmt.Sprintf("%d fields, replaced %v. ", len(h.Fields), replaced)
	return nil
}
func (m *mail) Envelope(_ context.Context, all []screening.Envelope, _ screening.Astray) (words []string, _ *smtp.Reply, _ error) {
	for _, e := range all {
		m.done += e.Op.String() + " " + e.Written + ". "
		words = append(words, map[bool]string{true: screening.NotTaken}[e.Address.Local == "nobody"])
	}
	return words, nil, nil
}

// asked has a milter with this script asked about a message: what is logged, counted and done.
func ask(t *testing.T, timeout time.Duration, m *mail, script func(cmd byte, data string) *miltertest.Answer) (out Outcome, told string, err error) {
	t.Helper()
	f := miltertest.Serve(t, script)
	var log bytes.Buffer
	r := &Room{Largest: 1 << 20, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})), Answered: func(name, result string, n int, took time.Duration) {
		told += fmt.Sprintf("%s %s %d\n", name, result, n)
	}}
	r.Milters = New([]config.Milter{{Name: "fake", Address: f.Addr, Timeout: timeout}, {Name: "other", Address: f.Addr, For: []config.MailOf{config.OfAccounts}}}, config.OfServers, nil)
	tx := r.Begin(Client{HELO: "far.test"})
	defer tx.Close()
	d := tx.Mail(t.Context(), smtp.MailParams{From: smtp.Address{Local: "x", Domain: "far.test"}})
	if d.Action == screening.GoOn {
		d = tx.Rcpt(t.Context(), delivery.Recipient{Address: "joe@here.test"})
	}
	if d.Action == screening.GoOn {
		out, err = tx.Whole(t.Context(), m)
	} else {
		out.Decision = d
	}
	return out, told + log.String(), err
}

func at(cmd byte, packets ...[]byte) func(byte, string) *miltertest.Answer {
	return func(c byte, _ string) *miltertest.Answer {
		if c != cmd {
			return nil
		}
		a := miltertest.Say(packets...)
		return &a
	}
}

// What is done, counted and logged; what is not done is never passed over in silence.
func TestWhole(t *testing.T) {
	t.Parallel()
	p, texts := miltertest.Packet, miltertest.Texts
	m := &mail{header: "Subject: x\r\n"}
	out, told, err := ask(t, time.Minute, m, at('E', p('h', texts("X-A", "1")), p('h', texts("Received", "1")), p('b', "new"), p('+', texts("<ann@here.test>")), p('+', texts("<nobody@here.test>")), p('c')))
	if err != nil || out.Action != screening.GoOn || m.done != "2 fields, replaced true. add-recipient ann@here.test. add-recipient nobody@here.test. " || m.body.String() != "new" {
		t.Errorf("%+v, %s", out, m.done)
	}
	const want = "fake accepted 2\n" + `level=INFO msg="milter asked" filter=fake message="" result=accepted text="a field added, a recipient added, the body replaced"
level=WARN msg="changes that a milter asks for are not made" filter=fake message="" n=2 text="add-field: reserved, add-recipient: not-taken"` + "\n"
	if told != want || len(out.Notes) != 1 || out.Notes[0].Aside {
		t.Errorf("%s\nwant %s", told, want)
	}
	broken := errors.New("a bad disk")
	if _, told, err := ask(t, time.Minute, &mail{broken: broken}, at(0)); err != broken || told != "" {
		t.Errorf("%v, %s", err, told)
	}
}

// JNK-3: a milter has so many sessions at one time. A message beyond waits, and is put off, also
// where a milter that is silent is done without; nothing passes unseen because others are slow.
func TestPlaces(t *testing.T) {
	t.Parallel()
	f := miltertest.Serve(t, at(0))
	all := []config.Milter{{Name: "fake", Address: f.Addr, OnFailure: config.AcceptOnFailure}}
	places := NewPlaces(all)
	places["fake"].AtOnce, places["fake"].Waiting, places["fake"].Wait = 1, 1, 20*time.Millisecond
	r := &Room{Largest: 1 << 20, Milters: New(all, config.OfServers, places)}
	mail := func() (*Transaction, screening.Decision) {
		tx := r.Begin(Client{HELO: "far.test"})
		return tx, tx.Mail(t.Context(), smtp.MailParams{From: smtp.Address{Local: "x", Domain: "far.test"}})
	}
	first, d := mail()
	if d.Action != screening.GoOn {
		t.Fatalf("%+v", d)
	}
	if second, d := mail(); d.Action != screening.Refuse || d.Reply.Code/100 != 4 {
		t.Errorf("%+v", d)
	} else {
		second.Close()
	}
	first.Close()
	for range 3 { // a place is given back, and once
		tx, d := mail()
		if tx.Close(); d.Action != screening.GoOn {
			t.Fatalf("%+v", d)
		}
	}
}

// However a milter misbehaves, a client has its answer in time, the message is as it was, and the log says why.
func TestMisbehaves(t *testing.T) {
	t.Parallel()
	p, texts := miltertest.Packet, miltertest.Texts
	for _, c := range []struct {
		name    string
		timeout time.Duration
		script  func(byte, string) *miltertest.Answer
		want    string
	}{
		{"endless changes", time.Minute, at('E', bytes.Repeat(p('h', texts("X-A", "1")), maxChanges+1)), "more than 1000 changes"},
		{"endless body", time.Minute, at('E', bytes.Repeat(p('b', strings.Repeat("x", 65535)), 100)), "too many octets"},
		{"signs of life for ever", time.Minute, at('M', bytes.Repeat(p('p'), maxPackets+1)), "too many packets"},
		{"an oversized packet", time.Minute, at('R', []byte{0x7f, 0, 0, 0, 'c'}), "a packet of"},
		{"silence", 50 * time.Millisecond, func(cmd byte, _ string) *miltertest.Answer {
			if cmd == 'B' {
				return &miltertest.Answer{Hang: true}
			}
			return nil
		}, "no answer in time"},
	} {
		m := &mail{header: "Subject: x\r\n"}
		out, told, err := ask(t, c.timeout, m, c.script)
		if err != nil || out.Action != screening.Refuse || !out.Reply.Temporary() || m.done != "" || !strings.HasPrefix(told, "fake silent 0\n") || !strings.Contains(told, c.want) || !strings.Contains(told, "filter gives no answer") {
			t.Errorf("%s: %+v, %v, %s", c.name, out, err, told)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	r := &Room{Milters: New([]config.Milter{{Name: "gone", Address: l.Addr().String(), OnFailure: config.JunkOnFailure}, {Name: "bad", Address: "x"}}, config.OfServers, nil)}
	tx := r.Begin(Client{})
	if d := tx.Mail(t.Context(), smtp.MailParams{From: smtp.Address{Local: "x", Domain: "far.test"}}); d.Action != screening.GoOn || len(tx.Silent) != 1 || len(r.Milters) != 1 {
		t.Errorf("%+v, %v", d, tx.Silent)
	}
}

// Nobody is left with a session of a message that is refused at MAIL.
func TestRefusedAtMail(t *testing.T) {
	t.Parallel()
	quit := make(chan struct{}, 1)
	first := miltertest.Serve(t, func(cmd byte, _ string) *miltertest.Answer {
		if cmd == 'Q' {
			quit <- struct{}{}
		}
		return nil
	})
	second := miltertest.Serve(t, at('M', miltertest.Packet('r')))
	r := &Room{Largest: 1 << 20, Milters: New([]config.Milter{{Name: "first", Address: first.Addr}, {Name: "second", Address: second.Addr}}, config.OfServers, nil)}
	tx := r.Begin(Client{HELO: "far.test"})
	if d := tx.Mail(t.Context(), smtp.MailParams{From: smtp.Address{Local: "x", Domain: "far.test"}}); d.Action != screening.Refuse {
		t.Errorf("%+v", d)
	}
	select {
	case <-quit:
	case <-time.After(2 * time.Minute):
		t.Error("the first milter's session goes on")
	}
}
