package lab

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/dsn"
	"waxwing/internal/spool"
	"waxwing/smtp"
)

// oddHost is a mail host of another make: it answers octet for octet what it is
// told, and keeps what it took.
type oddHost struct {
	offers []string // EHLO lines
	final  string   // the reply to the final dot; "": the end of the connection

	mu   sync.Mutex
	got  []Received
	seen []string // commands
}

func (h *oddHost) serve(nc net.Conn) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Minute))
	say := func(lines ...string) { io.WriteString(nc, strings.Join(lines, "\r\n")+"\r\n") }
	say("220 odd.test ESMTP")
	br := bufio.NewReader(nc)
	var m Received
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		h.mu.Lock()
		h.seen = append(h.seen, line)
		h.mu.Unlock()
		verb, arg, _ := strings.Cut(line, " ")
		switch verb {
		case "EHLO":
			lines := append([]string{"odd.test"}, h.offers...)
			for i, l := range lines {
				mark := "-"
				if i == len(lines)-1 {
					mark = " "
				}
				lines[i] = "250" + mark + l
			}
			say(lines...)
		case "MAIL":
			m = Received{From: arg}
			say("250 ok")
		case "RCPT":
			m.To = append(m.To, arg)
			say("250 ok")
		case "DATA":
			say("354 go")
			if m.Data, err = io.ReadAll(smtp.NewDataReader(br, 0)); err != nil {
				return
			}
			h.mu.Lock()
			h.got = append(h.got, m)
			h.mu.Unlock()
			if io.WriteString(nc, h.final); h.final == "" {
				return
			}
		default:
			say("250 ok")
		}
	}
}

func (h *oddHost) received() []Received {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Received(nil), h.got...)
}

// publishOdd makes a domain of such hosts, in their order.
func (w *days) publishOdd(domain string, hosts ...*oddHost) {
	w.t.Helper()
	z := dnstest.Zone{Name: domain, Security: dns.Insecure}
	for i, h := range hosts {
		addr := w.Network.Addr()
		z.Records = append(z.Records, fmt.Sprintf("@ MX %d mx%d", 10*(i+1), i+1), fmt.Sprintf("mx%d A %s", i+1, addr))
		if h == nil {
			continue // nobody answers there
		}
		l, err := w.Network.Listen(netip.AddrPortFrom(addr, 25))
		w.must(err)
		w.t.Cleanup(func() { l.Close() })
		go func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				go h.serve(nc)
			}
		}()
	}
	w.must(w.DNS.Set(z))
}

// settled submits a mail and waits for the end of its recipient, moving the clock
// on whenever it waits for another attempt.
func (w *days) settled(m Mail) spool.Item {
	w.t.Helper()
	if m.From == "" {
		m.From = w.sender.Address()
	}
	w.must(w.sender.Submit(w.ctx, m))
	var it spool.Item
	w.waitFor("the end of the mail to "+m.To, func() bool {
		items, err := spool.List(w.ctx, w.sender.Queue.Store, spool.Filter{Address: m.To, States: everyState()})
		w.must(err)
		if len(items) != 1 {
			return false
		}
		if it = items[0]; it.State == spool.Waiting && it.Due.After(w.Clock.Now()) {
			w.Clock.Advance(it.Due.Sub(w.Clock.Now()))
			w.sender.Queue.Wake()
		}
		return it.State == spool.Delivered || it.State == spool.Failed
	})
	return it
}

// bounces are the notifications in the sender's mailbox.
func (w *days) bounces() []*dsn.Report {
	w.t.Helper()
	list, err := w.sender.Mailboxes.List(w.ctx, w.sender.Account, "INBOX", 100)
	w.must(err)
	var out []*dsn.Report
	for _, m := range list {
		c, _, err := w.sender.Mailboxes.Open(w.ctx, m.ID)
		w.must(err)
		rc, err := c.Open()
		w.must(err)
		b, err := io.ReadAll(rc)
		w.must(err)
		rc.Close()
		r, err := dsn.Parse(b)
		w.must(err)
		out = append(out, r)
	}
	return out
}

// bounce waits for the notification that a recipient failed.
func (w *days) bounce(about string) (found *dsn.Report) {
	w.t.Helper()
	w.waitFor("the bounce about "+about, func() bool {
		for _, r := range w.bounces() {
			if rc := r.Recipients[0]; rc.Address == about && rc.Action == dsn.Failed {
				found = r
			}
		}
		return found != nil
	})
	return found
}

// SES-13: hosts that write their 250 to the final dot oddly get one copy each,
// the recipients are delivered and nobody is sent a bounce.
func TestOddFinalReplies(t *testing.T) {
	t.Parallel()
	w := newDays(t)
	for i, final := range []string{"250 2.0.0 Ok: queued\n", "250 2.0.0 Ok: " + strings.Repeat("x", 3000) + "\r\n", "250\t2.0.0 Ok: queued\r\n",
		"250-2.0.0 Ok\r\n251 queued\r\n", "250 2.0.0 Ok\r\nqueued as 4711\r\n"} {
		h := &oddHost{final: final}
		domain := fmt.Sprintf("odd%d.test", i)
		w.publishOdd(domain, h)
		it := w.settled(Mail{To: "x@" + domain, Body: "Hello"})
		if it.State != spool.Delivered || it.Recipient.Attempts != 1 || !strings.Contains(it.Text, "malformed") {
			t.Errorf("%.20q: %v after %d attempts: %s", final, it.State, it.Recipient.Attempts, it.Text)
		}
		w.Clock.Advance(6 * 24 * time.Hour)
		w.sender.Queue.Wake()
		if n := len(h.received()); n != 1 {
			t.Errorf("%.20q: the host has %d copies", final, n)
		}
	}
	if b := w.bounces(); len(b) != 0 {
		t.Errorf("bounces: %+v", b)
	}
}

// SES-13: a host that takes each message and never answers: the bounce says that
// nobody knows, also where the last attempt did not come so far.
func TestUnknownOutcomeBounce(t *testing.T) {
	t.Parallel()
	w := newDays(t)
	h := &oddHost{}
	w.publishOdd("silent.test", h)
	it := w.settled(Mail{To: "x@silent.test", Body: "Hello"})
	if it.State != spool.Failed || len(h.received()) < 2 {
		t.Fatalf("%v after %d copies", it.State, len(h.received()))
	}
	human := w.bounce("x@silent.test").Human
	if !strings.Contains(human, "It is not known whether your message reached") || strings.Contains(human, "could not be delivered") {
		t.Errorf("the bounce says\n%s", human)
	}
}

// SES-14: a message that the first host cannot take for its size goes to the
// second; while that one cannot be reached it waits, and where both cannot take
// it the sender is told at once.
func TestWhatOneHostCannotTake(t *testing.T) {
	t.Parallel()
	w := newDays(t)
	small, large := &oddHost{offers: []string{"SIZE 100"}}, &oddHost{final: "250 2.0.0 taken\r\n", offers: []string{"SIZE 100000"}}
	w.publishOdd("next.test", small, large)
	w.publishOdd("wait.test", small, nil)
	w.publishOdd("both.test", small, &oddHost{offers: []string{"SIZE 200"}})
	body := strings.Repeat("Hello\r\n", 100)
	if it := w.settled(Mail{To: "x@next.test", Body: body}); it.State != spool.Delivered || len(large.received()) != 1 || it.Recipient.Attempts != 1 {
		t.Errorf("%v after %d attempts: %s", it.State, it.Recipient.Attempts, it.Text)
	}
	if it := w.settled(Mail{To: "x@both.test", Body: body}); it.State != spool.Failed || it.Recipient.Attempts != 1 {
		t.Errorf("%v after %d attempts: %s", it.State, it.Recipient.Attempts, it.Text)
	}
	if status := w.bounce("x@both.test").Recipients[0].Status.String(); status != "5.3.4" {
		t.Errorf("the bounce has status %s", status)
	}
	w.must(w.sender.Submit(w.ctx, Mail{From: w.sender.Address(), To: "x@wait.test", Body: body}))
	var it spool.Item
	w.waitFor("the first attempt", func() bool {
		items, err := spool.List(w.ctx, w.sender.Queue.Store, spool.Filter{Address: "x@wait.test", States: everyState()})
		w.must(err)
		if len(items) == 1 {
			it = items[0]
		}
		return it.Recipient.Attempts > 0 && it.State != spool.Leased
	})
	if it.State != spool.Waiting || it.Word != "size-exceeded" {
		t.Errorf("%v %s: %s", it.State, it.Word, it.Text)
	}
	if n := len(small.received()); n != 0 {
		t.Errorf("the small host took %d", n)
	}
}

// SES-17: a message for a domain with U-labels, written with them, goes in A-label
// form to a host without SMTPUTF8, its body as it is; the signature stays good.
func TestULabelDomain(t *testing.T) {
	t.Parallel()
	w := newDays(t)
	h := &oddHost{final: "250 2.0.0 taken\r\n", offers: []string{"8BITMIME"}}
	w.publishOdd("xn--bcher-kva.test", h)
	it := w.settled(Mail{To: "x@bücher.test", Header: []string{"From: <" + w.sender.Address() + ">", "To: <x@bücher.test>", "Subject: hello"}, Body: "Grüße"})
	got := h.received()
	if it.State != spool.Delivered || len(got) != 1 {
		t.Fatalf("%v: %s", it.State, it.Text)
	}
	if got[0].To[0] != "TO:<x@xn--bcher-kva.test>" || strings.Contains(got[0].From, "SMTPUTF8") {
		t.Errorf("MAIL %s, RCPT %v", got[0].From, got[0].To)
	}
	head, body, _ := strings.Cut(string(got[0].Data), "\r\n\r\n")
	for _, want := range []string{"To: <x@xn--bcher-kva.test>", "for <x@xn--bcher-kva.test>", "DKIM-Signature:"} {
		if !strings.Contains(head, want) {
			t.Errorf("%q is not in\n%s", want, head)
		}
	}
	if !strings.Contains(body, "Gr") {
		t.Errorf("the body is %q", body)
	}
	// An address that needs SMTPUTF8 as such comes back.
	if it := w.settled(Mail{To: "jörg@bücher.test", Body: "x"}); it.State != spool.Failed || it.Word != "smtputf8-not-offered" {
		t.Errorf("%v %s: %s", it.State, it.Word, it.Text)
	}
}
