package smtpserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/peers"
)

// from dials with an address of ours: on loopback each is another client, and
// 127.0.1.0/24 is another network than 127.0.2.0/24.
func from(t *testing.T, addr, own string) *peer {
	t.Helper()
	nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(own)}}).Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	return &peer{t, nc, bufio.NewReader(nc)}
}

// hasty are peers whose errors are answered soon.
func hasty() *peers.Ledger {
	return &peers.Ledger{Patience: peers.Patience{Step: 10 * time.Millisecond, Most: 50 * time.Millisecond}}
}

// open begins a transaction.
func (p *peer) open() {
	p.t.Helper()
	for _, line := range []string{"S: 220", "C: HELO c.test", "S: 250", "C: MAIL FROM:<a@x.test>", "S: 250"} {
		p.line(0, line)
	}
}

// erred collects what the trace tells of errors.
type erred struct {
	mu    sync.Mutex
	waits []time.Duration
}

func (e *erred) note(_ netip.Addr, a peers.Answer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waits = append(e.waits, a.Wait)
}

// INB-3: names are tried at ten a connection, then ever later, and then not at all;
// in one batch or one by one, and a new connection is no new beginning.
func TestHarvesting(t *testing.T) {
	t.Parallel()
	for _, pipelined := range []bool{false, true} {
		var seen erred
		addr := start(t, &Server{Hostname: "mx.test", Backend: &mailbox{}, Peers: hasty(), Trace: Trace{Erred: seen.note}})
		p := from(t, addr, "127.0.1.1")
		p.open()
		if pipelined {
			p.send(strings.Repeat("RCPT TO:<no1@y.test>\r\n", 500))
		}
		for range 19 {
			if !pipelined {
				p.line(0, "C: RCPT TO:<no1@y.test>")
			}
			p.want("550 5.1.1")
		}
		if !pipelined {
			p.line(0, "C: RCPT TO:<b@y.test>") // what is no error is answered
			p.want("250")
			p.line(0, "C: RCPT TO:<no1@y.test>")
		}
		p.want("421 4.7.0 mx.test too many errors")
		p.want("CLOSED")
		seen.mu.Lock()
		for i, w := range seen.waits {
			if want := min(50*time.Millisecond, time.Duration(max(0, i-9))*10*time.Millisecond); i < 19 && w != want {
				t.Errorf("pipelined %v: error %d waits %s, want %s", pipelined, i+1, w, want)
			}
		}
		if len(seen.waits) != 20 {
			t.Errorf("pipelined %v: %d errors", pipelined, len(seen.waits))
		}
		seen.mu.Unlock()
		again := from(t, addr, "127.0.1.1")
		again.want("421 4.7.0 mx.test too many connections or errors")
		again.want("CLOSED")
		for _, other := range []string{"127.0.1.2", "127.0.2.1"} {
			p := from(t, addr, other)
			p.open()
			p.line(0, "C: RCPT TO:<b@y.test>")
			p.want("250")
		}
	}
}

// Every kind of error counts, and is remembered.
func TestErrorsOfEveryKind(t *testing.T) {
	t.Parallel()
	wrong := base64.StdEncoding.EncodeToString([]byte("\x00joe\x00wrong"))
	for i, tt := range []struct{ cmd, want string }{
		{"VRFY joe", "252"}, {"EXPN list", "502"}, {"WHAT", "500"}, {"RCPT TO:<no@y.test>", "550"}, {"RCPT FROM:<x>", "501"}, {"MAIL FROM:<>", "503"}, {"AUTH PLAIN " + wrong, "503"},
		{"DATA x", "501"}, {strings.Repeat("x", 13000), "500"}, {"BDAT 2\r\n", "554"}, {"\x00", "500"}, {"STARTTLS x", "501"}, {"ETRN x", "502"}, {"RSET x", "501"},
	} {
		book := hasty()
		addr := start(t, &Server{Hostname: "mx.test", Backend: &mailbox{}, Peers: book, Auth: doorman{plain: true}, TLS: testTLS()})
		own := fmt.Sprintf("127.0.1.%d", i+1)
		p := from(t, addr, own)
		p.open()
		for range 5 {
			p.send(tt.cmd + "\r\n")
			p.want(tt.want)
		}
		if client, network := book.Conduct(netip.MustParseAddr(own)); client.Errors != 5 || network.Errors != 5 {
			t.Errorf("%.20s: %+v, %+v", tt.cmd, client, network)
		}
	}
	book := hasty()
	addr := start(t, &Server{Hostname: "mx.test", Backend: &mailbox{}, Peers: book, Auth: doorman{plain: true}})
	for range 4 { // of three on a connection the last is answered 421
		p := from(t, addr, "127.0.1.1")
		p.want("220")
		p.ehlo()
		for _, want := range []string{"535", "535", "421"} {
			p.line(0, "C: AUTH PLAIN "+wrong)
			p.want(want)
		}
		p.want("CLOSED")
	}
	if client, _ := book.Conduct(netip.MustParseAddr("127.0.1.1")); client.Errors != 12 {
		t.Errorf("failed logins: %+v", client)
	}
}

// deliver sends a message to n recipients, each called in turn by name.
func (p *peer) deliver(n int, name func(i int) string) {
	p.t.Helper()
	p.line(0, "C: MAIL FROM:<list@x.test>")
	p.want("250")
	for i := range n {
		p.line(0, "C: RCPT TO:<"+name(i)+"@y.test>")
		p.want("")
	}
	p.line(0, "C: DATA")
	p.want("354")
	p.send(".\r\n")
	p.want("250")
}

// A mailing list has dead addresses. While most of what it sends is accepted, no
// answer waits; to say the same address again and again, or with other details, is
// no delivery to many.
func TestMailingList(t *testing.T) {
	t.Parallel()
	var seen erred
	book := hasty()
	addr := start(t, &Server{Hostname: "mx.test", Backend: &mailbox{}, Peers: book, Trace: Trace{Erred: seen.note}})
	hello := func(own string) *peer {
		p := from(t, addr, own)
		p.want("220")
		p.line(0, "C: HELO c.test")
		p.want("250")
		return p
	}
	list := hello("127.0.1.1")
	list.deliver(45, func(i int) string { return fmt.Sprintf("live%d", i) })
	for range 2 {
		list.deliver(60, func(i int) string {
			if i%3 == 0 {
				return fmt.Sprintf("no%d", i)
			}
			return fmt.Sprintf("live%d", i)
		})
		list = hello("127.0.1.1")
	}
	seen.mu.Lock()
	for i, w := range seen.waits {
		if w != 0 {
			t.Errorf("error %d of a mailing list waits %s", i, w)
		}
	}
	if len(seen.waits) != 40 {
		t.Errorf("%d errors", len(seen.waits))
	}
	seen.mu.Unlock()

	spammer := hello("127.0.2.1")
	spammer.deliver(200, func(i int) string { return []string{"joe", "Joe", "joe+" + fmt.Sprint(i)}[i%3] })
	if client, _ := book.Conduct(netip.MustParseAddr("127.0.2.1")); client.Accepted != 1 {
		t.Errorf("one recipient, two hundred times: %+v", client)
	}
}

// Who has logged in pays with the connection alone; its neighbours do not.
func TestErrorsAfterLogin(t *testing.T) {
	t.Parallel()
	book := hasty()
	addr := start(t, &Server{Hostname: "mx.test", Backend: &mailbox{}, Peers: book, Auth: doorman{plain: true}})
	p := from(t, addr, "127.0.1.1")
	p.want("220")
	p.ehlo()
	p.line(0, "C: AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00joe\x00secret")))
	p.want("235")
	for range 19 {
		p.line(0, "C: WHAT")
		p.want("500")
	}
	p.line(0, "C: WHAT")
	p.want("421")
	if client, _ := book.Conduct(netip.MustParseAddr("127.0.1.1")); client.Errors != 0 || !book.Known(netip.MustParseAddr("127.0.1.1")) {
		t.Errorf("%+v", client)
	}
}

// Late answers hold a bounded number of connections, and none of them up when the
// server stops.
func TestWaitingIsBounded(t *testing.T) {
	t.Parallel()
	slow := &peers.Ledger{Patience: peers.Patience{Free: 1, Step: time.Minute, Most: time.Minute}}
	s := &Server{Hostname: "mx.test", Backend: &mailbox{}, Peers: slow, Limits: Limits{Waiting: 4}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	err2 := func(p *peer) {
		p.want("220")
		p.line(0, "C: WHAT")
		p.want("500")
		p.line(0, "C: WHAT")
	}
	first := from(t, l.Addr().String(), "127.0.1.1")
	err2(first)
	for s.gate.Wait(Limits{Waiting: 1}.Shares(), netip.MustParseAddr("127.9.9.9")) { // until it waits
		s.gate.Waited(netip.MustParseAddr("127.9.9.9"))
		time.Sleep(time.Millisecond)
	}
	second := from(t, l.Addr().String(), "127.0.1.1")
	second.want("220")
	second.line(0, "C: WHAT")
	second.want("421 4.7.0") // its client waits already
	cancel()
	first.want("500")
	first.want("421 4.3.2")
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(2 * time.Minute):
		t.Error("a late answer keeps the server from stopping")
	}
}

// Nearly full, a server has time for nobody, and its last places are for clients
// who are known. Those who waited already are held to it too.
func TestCrowdedServer(t *testing.T) {
	t.Parallel()
	book := &peers.Ledger{}
	s := &Server{Hostname: "mx.test", Backend: &mailbox{}, Peers: book, Limits: Limits{Connections: 10}, Timeouts: Timeouts{Crowded: 300 * time.Millisecond}}
	addr := start(t, s)
	var idle []*peer
	for i := range 9 {
		p := from(t, addr, fmt.Sprintf("127.0.%d.1", i+1))
		p.want("220")
		idle = append(idle, p)
	}
	p := from(t, addr, "127.0.20.1")
	p.want("421 4.7.0")
	book.LoggedIn(netip.MustParseAddr("127.0.21.1"))
	friend := from(t, addr, "127.0.21.1")
	friend.want("220")
	for _, p := range idle {
		p.want("421 4.4.2 mx.test timeout")
	}
	for range 100 {
		if !s.gate.Crowded() {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	p = from(t, addr, "127.0.20.1")
	p.want("220")
	time.Sleep(600 * time.Millisecond)
	p.line(0, "C: NOOP") // there is leisure again
	p.want("250")
}

// A connection is held to the timeout of a crowded server too if the server became crowded
// between its choice of a timeout and its read.
func TestCrowdedBeforeTheRead(t *testing.T) {
	t.Parallel()
	s := &Server{Hostname: "mx.test", Backend: &mailbox{}, Limits: Limits{Connections: 2}, Timeouts: Timeouts{Crowded: time.Millisecond}}
	s.prepare()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	defer ours.Close()
	c := newConn(s, ours)
	c.await(true, time.Hour, time.Hour)
	for i := range 2 {
		if why := s.gate.enter(netip.AddrFrom4([4]byte{127, 0, byte(i), 1}), s.limits()); why != "" {
			t.Fatal(why)
		}
	}
	c.hurry(time.Millisecond) // nothing is read yet
	ended := time.AfterFunc(30*time.Second, func() { ours.Close() })
	defer ended.Stop()
	if _, err := c.fill(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the read ended with %v", err)
	}
}

// One client has a part of the TLS handshakes that are under way, and is not led to
// go on without TLS.
func TestHandshakesAreBounded(t *testing.T) {
	t.Parallel()
	addr := start(t, &Server{Hostname: "mx.test", Backend: &mailbox{}, TLS: testTLS(), Limits: Limits{Handshakes: 4}})
	first := from(t, addr, "127.0.1.1")
	first.want("220")
	first.line(0, "C: STARTTLS")
	first.want("220") // and says nothing
	second := from(t, addr, "127.0.1.1")
	second.want("220")
	second.line(0, "C: STARTTLS")
	second.want("421 4.7.0 mx.test too many TLS handshakes")
	second.want("CLOSED")
	other := from(t, addr, "127.0.2.1")
	other.want("220")
	other.line(0, "C: STARTTLS")
	other.want("220")
	other.tls()
	other.ehlo()
	first.tls()
	first.ehlo()
	third := from(t, addr, "127.0.1.1")
	third.want("220")
	third.line(0, "C: STARTTLS")
	third.want("220")
	third.tls()

	implicit := start(t, &Server{Hostname: "mx.test", Backend: &mailbox{}, TLS: testTLS(), ImplicitTLS: true, Limits: Limits{Handshakes: 4}})
	from(t, implicit, "127.0.1.1")
	for range 100 { // until it is accepted
		refused := from(t, implicit, "127.0.1.1")
		if err := tls.Client(refused.nc, &tls.Config{InsecureSkipVerify: true}).Handshake(); err != nil {
			break
		}
		refused.nc.Close()
	}
	ok := from(t, implicit, "127.0.2.1")
	ok.tls()
	ok.want("220")
}

// A stranger connects only so often.
func TestConnectionRate(t *testing.T) {
	t.Parallel()
	book := &peers.Ledger{Rate: peers.Rate{Burst: 3, Every: time.Hour}, RateTLS: peers.Rate{Burst: 2, Every: time.Hour}}
	addr := start(t, &Server{Hostname: "mx.test", Backend: &mailbox{}, Peers: book, TLS: testTLS()})
	for _, want := range []string{"220", "220", "421"} {
		p := from(t, addr, "127.0.1.1")
		p.want("220")
		p.line(0, "C: STARTTLS")
		p.want(want)
	}
	p := from(t, addr, "127.0.1.1")
	p.want("421 4.7.0")
	from(t, addr, "127.0.1.2").want("220")
}

// INB-2: what the recipients of strangers hold is bounded, of one and of all
// together, however they are written; and is given back.
func TestEnvelopeMemory(t *testing.T) {
	t.Parallel()
	limited := make(chan string, 1000)
	s := &Server{Hostname: "mx.test", Backend: &mailbox{}, Auth: doorman{plain: true}, Limits: Limits{EnvelopeMemory: 64 << 10},
		Trace: Trace{Limited: func(limit string) { limited <- limit }}}
	addr := start(t, s)
	fill := func(p *peer, most int) (n int) {
		p.line(0, "C: MAIL FROM:<a@x.test>")
		p.want("250")
		for n < most {
			p.send(fmt.Sprintf("RCPT TO:<joe%d@y.test>%sNOTIFY=NEVER%s\r\n", n, strings.Repeat(" ", 2000), strings.Repeat(" ", 1900)))
			if line := p.want(""); strings.HasPrefix(line, "452 4.5.3 too many recipients for now") {
				break
			}
			n++
		}
		return n
	}
	hello := func() *peer {
		p := dial(t, addr)
		p.want("220")
		p.ehlo()
		return p
	}
	first, second := hello(), hello()
	a, b := fill(first, 1000), fill(second, 1000)
	if a < 20 || a > 40 || b < 5 || b > 10 {
		t.Errorf("%d recipients and then %d of another", a, b)
	}
	if got := <-limited; got != "envelope-memory" {
		t.Errorf("limit %q", got)
	}
	friend := hello()
	friend.line(0, "C: AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00joe\x00secret")))
	friend.want("235")
	if n := fill(friend, 100); n != 100 {
		t.Errorf("%d recipients of who has logged in", n)
	}
	first.line(0, "C: RSET")
	first.want("250")
	if n := fill(second.reset(), 1000); n < 20 {
		t.Errorf("%d recipients once there is room again", n)
	}
	for _, p := range []*peer{first, second, friend} {
		p.nc.Close()
	}
	for range 1000 {
		if s.lent.Load() == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%d octets are lent to nobody", s.lent.Load())
}

func (p *peer) reset() *peer {
	p.line(0, "C: RSET")
	p.want("250")
	return p
}
