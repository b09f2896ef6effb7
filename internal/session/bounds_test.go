package session

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/smtpclient"
)

// SES-7: each step in time, and all of them together not.
func TestSetupIsBounded(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	mx := &peer{cert: &p.good, answer: func(string, string, bool) string { time.Sleep(600 * time.Millisecond); return "" }}
	second := &peer{}
	r := newRig(t, network{addr1: mx, addr2: second})
	r.addrs(addr1, addr2)
	r.client.Bounds.Setup = time.Second
	rep := r.carry()
	first := rep.Visit.Sessions[0]
	if first.Err == nil || first.Err.Word != reason.Timeout || mx.saw("MAIL") != 0 || rep.Recipients[0].Outcome != delivery.Delivered || len(second.received()) != 1 {
		t.Errorf("%+v; %+v", first.Err, rep.Recipients[0])
	}
}

// SES-7: a host that takes its time over each recipient, one in a transaction or
// even one on a connection, gets so many in one attempt. Those that are left wait.
func TestTransactionsAreBounded(t *testing.T) {
	t.Parallel()
	for _, limits := range []string{"LIMITS RCPTMAX=1", "LIMITS RCPTMAX=1 MAILMAX=1"} {
		slow := func(verb, _ string, _ bool) string {
			if verb == "." {
				time.Sleep(60 * time.Millisecond)
			}
			return ""
		}
		mx, second := &peer{ext: []string{limits}, answer: slow}, &peer{}
		r := newRig(t, network{addr1: mx, addr2: second})
		r.addrs(addr1, addr2)
		r.rcpts(30)
		r.client.Bounds.Transactions = 300 * time.Millisecond
		sent := 0
		for i, res := range r.carry().Recipients {
			switch {
			case res.Outcome == delivery.Delivered && i == sent:
				sent++
			case res.Outcome != delivery.Pending || res.Word != reason.Timeout:
				t.Errorf("%s: recipient %d: %v %s", limits, i, res.Outcome, res.Word)
			}
		}
		if sent == 0 || sent > 10 || len(mx.received()) != sent || len(second.received()) != 0 {
			t.Errorf("%s: %d of 30 delivered, the hosts took %d and %d", limits, sent, len(mx.received()), len(second.received()))
		}
	}
}

// SES-7: a host with many addresses that never answer.
func TestAddressesAreBounded(t *testing.T) {
	t.Parallel()
	peers, addrs := network{}, []string{}
	for i := range 20 {
		a := fmt.Sprintf("192.0.2.%d", i+1)
		addrs, peers[a] = append(addrs, a), &peer{answer: to("", hang)}
	}
	r := newRig(t, peers)
	r.addrs(addrs...)
	r.short(100 * time.Millisecond)
	r.client.Bounds.Addresses = 250 * time.Millisecond
	rep := r.carry()
	if n := len(rep.Visit.Sessions); n < 1 || n > 3 || rep.Recipients[0].Outcome != delivery.Pending || rep.Recipients[0].Word != reason.Timeout {
		t.Errorf("%d sessions, %+v", n, rep.Recipients[0])
	}
}

func TestBoundsHaveDefaults(t *testing.T) {
	t.Parallel()
	b, each := (Bounds{}).withDefaults(), (smtpclient.Timeouts{}).WithDefaults()
	if b.Setup <= each.Greeting || b.Addresses < 2*(each.Connect+each.Greeting) || b.Transactions < b.Addresses {
		t.Errorf("%+v leaves no time for the address after two where nobody greets", b)
	}
	if b := (Bounds{Setup: 1, Addresses: 2, Transactions: 3}).withDefaults(); b != (Bounds{1, 2, 3}) {
		t.Errorf("%+v", b)
	}
}

// Whatever a host says or does before MAIL: the message goes to the second
// address or over a second session, once, and nothing takes long.
func TestBadSetup(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	faults := []string{drop, hang, drip, half, garbage, alert, reset, "421 4.3.2 closing!", "421 4.3.2 closing", "454 4.3.0 not now", "554 5.7.1 never",
		"150 wait", "354 go on", "999 what", "25", "\x00\x01", strings.Repeat("x", 100000), "250-a\n251 b", "220-a\n250 b",
		strings.Repeat("220-and so on\n", 5000) + "220 end", strings.Repeat("250-SIZE 9999999999999999999999\n", 199) + "250 end", strings.Repeat("250-X\n", 100000)}
	for _, fault := range faults {
		for _, at := range []string{"", "EHLO", "STARTTLS", "EHLO over TLS"} {
			t.Run(fmt.Sprintf("%.12q at %q", fault, at), func(t *testing.T) {
				t.Parallel()
				mx, second := &peer{cert: &p.good}, &peer{}
				mx.answer = func(verb, _ string, overTLS bool) string {
					if over := map[bool]string{true: " over TLS"}[overTLS]; verb+over == at {
						return fault
					}
					return ""
				}
				r := newRig(t, network{addr1: mx, addr2: second})
				r.addrs(addr1, addr2)
				r.client.Timeouts = smtpclient.Timeouts{Greeting: 400 * time.Millisecond, Hello: 400 * time.Millisecond, StartTLS: 400 * time.Millisecond}
				began := time.Now()
				rep := r.carry()
				if d := time.Since(began); d > 10*time.Second {
					t.Errorf("took %v", d)
				}
				if n := len(mx.received()) + len(second.received()); rep.Recipients[0].Outcome != delivery.Delivered || n != 1 {
					t.Errorf("taken %d times: %+v", n, rep.Recipients[0])
				}
				if first := rep.Visit.Sessions[0]; first.Err == nil && first.TLSFailure == nil && len(rep.Visit.Sessions) > 1 {
					t.Errorf("nothing says what was wrong: %+v", first)
				}
				for _, s := range rep.Visit.Sessions {
					if len(fmt.Sprint(s)) > 10000 {
						t.Errorf("%d octets are kept of a session", len(fmt.Sprint(s)))
					}
				}
			})
		}
	}
}

// Faults within the message: what the host read of it is not the message, so the
// second address gets it; a refusal in its midst is a refusal.
func TestFaultsInBody(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	for _, fault := range []string{drop, hang, half, garbage, alert, reset, "552 5.3.4 too big!", "451 4.3.0 full!", "421 4.3.2 closing!"} {
		for _, cert := range []*tls.Certificate{nil, &p.good} {
			t.Run(fmt.Sprintf("%s, TLS %v", fault, cert != nil), func(t *testing.T) {
				t.Parallel()
				mx, second := &peer{cert: cert}, &peer{}
				mx.body = func(nc net.Conn, br *bufio.Reader) bool {
					io.CopyN(io.Discard, br, 100<<10)
					text, last := strings.CutSuffix(fault, "!")
					switch {
					case last:
						io.WriteString(nc, text+"\r\n")
						time.Sleep(200 * time.Millisecond)
					case fault == drop:
					default:
						under(nc, fault)
						time.Sleep(3 * time.Second)
					}
					return false
				}
				r := newRig(t, network{addr1: mx, addr2: second})
				r.addrs(addr1, addr2)
				r.client.Timeouts = smtpclient.Timeouts{Block: 2 * time.Second, Final: 10 * time.Second} // a busy machine is no fault
				body := delivery.Bytes("Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 1<<20))
				r.req.Content, r.req.Job.Size = body, body.Size()
				began := time.Now()
				res := r.carry().Recipients[0]
				if d := time.Since(began); d > time.Minute {
					t.Errorf("took %v", d)
				}
				// TCP may lose the refusal to the RST that follows it.
				refused := strings.HasPrefix(fault, "552") && res.Outcome == delivery.Failed && res.Reply.Code == 552
				switch n := len(second.received()); {
				case refused && n == 0, res.Outcome == delivery.Delivered && n == 1 && second.received()[0].data == string(body):
				case strings.HasPrefix(fault, "4") && res.Outcome == delivery.Pending && n == 0 && res.Reply != nil:
				default:
					t.Errorf("%v %s %s, and the second address took %d", res.Outcome, res.Word, res.Text, n)
				}
				if len(mx.received()) != 0 {
					t.Error("the first host took it")
				}
			})
		}
	}
}

// TLS that goes on and on, or is larger than anything real.
func TestAbsurdHandshakes(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	long := *p.chained(t, 1500) // beyond what crypto/tls takes of certificates
	some := *p.chained(t, 100)  // beyond maxChain
	hello := func(nc net.Conn) { nc.Read(make([]byte, 4096)) }
	for _, tt := range []struct {
		name string
		peer *peer
		word reason.Word // "": delivered over TLS
	}{
		{"drip within a record", &peer{cert: &p.good, handshake: func(nc net.Conn) {
			hello(nc)
			nc.Write([]byte{22, 3, 3, 0x3f, 0xff})
			for range 200 {
				time.Sleep(20 * time.Millisecond)
				if _, err := nc.Write([]byte{0}); err != nil {
					return
				}
			}
		}}, reason.TLSTimeout},
		{"records without end", &peer{cert: &p.good, handshake: func(nc net.Conn) {
			hello(nc)
			for {
				if _, err := nc.Write([]byte{21, 3, 3, 0, 2, 1, 90}); err != nil { // warnings
					return
				}
			}
		}}, reason.TLSHandshake},
		{"silence", &peer{cert: &p.good, handshake: func(nc net.Conn) { io.Copy(io.Discard, nc) }}, reason.TLSTimeout},
		{"half a hello, closed", &peer{cert: &p.good, handshake: func(nc net.Conn) { hello(nc); nc.Write([]byte{22, 3, 3, 0, 100, 2, 0, 0}) }}, reason.TLSClosed},
		{"a chain of 100", &peer{cert: &some}, ""},
		{"a chain of 1500", &peer{cert: &long}, reason.TLSHandshake},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, network{addr1: tt.peer})
			r.enforcePKIX()
			r.client.Timeouts.StartTLS = time.Second
			if tt.word != reason.TLSTimeout {
				r.client.Timeouts.StartTLS = 10 * time.Second
			}
			began := time.Now()
			rep := r.carry()
			if d := time.Since(began); d > 8*time.Second {
				t.Errorf("took %v", d)
			}
			s, res := last(rep), rep.Recipients[0]
			if tt.word == "" && (res.Outcome != delivery.Delivered || res.TLS != "pkix") {
				t.Errorf("%+v", res)
			}
			if tt.word != "" && (s.TLSFailure == nil || s.TLSFailure.Word != tt.word || res.Outcome != delivery.Pending || len(tt.peer.received()) != 0) {
				t.Errorf("%+v; %+v", s.TLSFailure, res)
			}
		})
	}
}

// chained is the good certificate with n strangers behind it.
func (p *pki) chained(t *testing.T, n int) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert := p.good
	cert.Certificate = append([][]byte(nil), cert.Certificate...)
	for range n {
		cert.Certificate = append(cert.Certificate, der)
	}
	return &cert
}

// Offers that make no sense: every recipient is served, once, and nothing loops.
func TestAbsurdOffers(t *testing.T) {
	t.Parallel()
	for _, ext := range [][]string{
		{"LIMITS"}, {"LIMITS RCPTMAX=0 MAILMAX=0 RCPTDOMAINMAX=0"}, {"LIMITS RCPTMAX=-1 MAILMAX=-1"}, {"LIMITS RCPTMAX=99999999999999999999"},
		{"LIMITS RCPTMAX=1 RCPTMAX=1000 MAILMAX=1"}, {"LIMITS RCPTMAX=1", "LIMITS RCPTMAX=2"}, {"LIMITS RCPTMAX RCPTMAX= =1 MAILMAX=x"}, {"LIMITS RCPTDOMAINMAX=1 MAILMAX=1"},
		{"SIZE -1"}, {"SIZE 99999999999999999999"}, {"SIZE x y z"}, {"PIPELINING PIPELINING", "CHUNKING x"}, {"AUTH " + strings.Repeat("X ", 900)},
		{"STARTTLS"}, {"", " ", "-", "8BITMIME\tSMTPUTF8"}, slices.Repeat([]string{"X-SAME"}, 190),
	} {
		t.Run(fmt.Sprintf("%.60q", ext), func(t *testing.T) {
			t.Parallel()
			mx := &peer{ext: ext, answer: to("STARTTLS", "502 5.5.1 what")}
			r := newRig(t, network{addr1: mx})
			r.short(5 * time.Second)
			r.pooled()
			for range 3 {
				r.rcpts(3)
				if rep := r.carry(); slices.ContainsFunc(rep.Recipients, func(res delivery.RecipientResult) bool { return res.Outcome != delivery.Delivered }) {
					t.Fatalf("%+v", rep.Recipients)
				}
			}
			n := 0
			for _, m := range mx.received() {
				n += len(m.to)
			}
			if n != 9 || mx.connections() > 9 {
				t.Errorf("%d recipients served over %d connections", n, mx.connections())
			}
		})
	}
}
