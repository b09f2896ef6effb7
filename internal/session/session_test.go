package session

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/tlsrpt"
)

func TestVerification(t *testing.T) {
	t.Parallel()
	p, err := makePKI()
	if err != nil {
		t.Fatal(err)
	}
	good, other := p.good.Leaf, p.wrong.Leaf
	tests := []struct {
		name   string
		cert   *tls.Certificate
		plan   func(*rig)
		tls    string // how it travelled; "": not delivered
		typ    tlsrpt.ResultType
		reason reason.Word
		result func(delivery.Session) *delivery.Verification // where typ and reason stand too
	}{
		{"pkix", &p.good, func(r *rig) { r.enforcePKIX() }, "pkix", "", "", nil},
		{"pkix untrusted", &p.alone, func(r *rig) { r.enforcePKIX() }, "", tlsrpt.CertificateNotTrusted, reason.CertSelfSigned, pkixOf},
		{"pkix expired", &p.expired, func(r *rig) { r.enforcePKIX() }, "", tlsrpt.CertificateExpired, reason.CertExpired, pkixOf},
		{"pkix wrong name", &p.wrong, func(r *rig) { r.enforcePKIX() }, "", tlsrpt.CertificateHostMismatch, reason.CertHostMismatch, pkixOf},
		{"dane", &p.alone, func(r *rig) { r.enforceDANE(p.alone.Leaf) }, "dane", "", "", nil},
		{"dane mismatch", &p.good, func(r *rig) { r.enforceDANE(other) }, "", tlsrpt.ValidationFailure, "dane-no-match", daneOf},
		{"dane and pkix", &p.good, func(r *rig) { r.enforcePKIX(); r.enforceDANE(good) }, "dane+pkix", "", "", nil},
		// POL-1: both must pass.
		{"dane good, pkix not", &p.alone, func(r *rig) { r.enforcePKIX(); r.enforceDANE(p.alone.Leaf) }, "", tlsrpt.CertificateNotTrusted, reason.CertSelfSigned, pkixOf},
		{"pkix good, dane not", &p.good, func(r *rig) { r.enforcePKIX(); r.enforceDANE(other) }, "", tlsrpt.ValidationFailure, "dane-no-match", daneOf},
		{"nobody asks", &p.alone, func(*rig) {}, "unverified", "", "", nil},
		{"all TLSA unusable", &p.alone, func(r *rig) { r.req.Plan.TLS, r.req.Plan.PlaintextFallback = delivery.TLSRequired, false }, "unverified", "", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mx := &peer{cert: tt.cert}
			r := newRig(t, network{addr1: mx})
			tt.plan(r)
			rep := r.carry()
			s, res := last(rep), rep.Recipients[0]
			if tt.typ == "" {
				if res.Outcome != delivery.Delivered || res.TLS != tt.tls || s.TLSFailure != nil || len(mx.received()) != 1 || !mx.received()[0].tls {
					t.Fatalf("outcome %v over %q, TLS failure %v, text %q; want delivered over %q", res.Outcome, res.TLS, s.TLSFailure, res.Text, tt.tls)
				}
				if s.TLS == nil || s.TLS.Version != "TLS1.3" || s.TLS.Cipher == "" || s.TLS.KeyExchange == "" || len(s.TLS.Fingerprint) != 64 {
					t.Errorf("TLS facts are %+v", s.TLS)
				}
				return
			}
			if res.Outcome != delivery.Pending || res.Word != tt.reason || !res.PolicyFailure || len(mx.received()) != 0 || mx.saw("MAIL") != 0 {
				t.Errorf("outcome %v, word %q, policy failure %v; peer saw %v", res.Outcome, res.Word, res.PolicyFailure, mx.lines())
			}
			if s.TLSFailure == nil || s.TLSFailure.Type != tt.typ || s.TLSFailure.Word != tt.reason {
				t.Fatalf("TLS failure %+v, want %s %s", s.TLSFailure, tt.typ, tt.reason)
			}
			if v := tt.result(s); v == nil || v.Failure == nil || v.Failure.Word != tt.reason {
				t.Errorf("result %+v, want %s", v, tt.reason)
			}
			if len(rep.Visit.Sessions) != 1 {
				t.Errorf("%d sessions: a failed verification must not be retried, least of all in plaintext", len(rep.Visit.Sessions))
			}
		})
	}
}

func pkixOf(s delivery.Session) *delivery.Verification { return s.PKIX }
func daneOf(s delivery.Session) *delivery.Verification { return s.DANE }

// SES-3: both results are known even where the first already fails.
func TestBothResults(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	r := newRig(t, network{addr1: {cert: &p.wrong}})
	r.enforcePKIX()
	r.enforceDANE(p.good.Leaf)
	s := last(r.carry())
	if s.PKIX == nil || s.PKIX.Failure == nil || s.DANE == nil || s.DANE.Failure == nil {
		t.Fatalf("PKIX %+v, DANE %+v", s.PKIX, s.DANE)
	}
}

// CheckReport records and never stops (POL-2 testing, POL-5).
func TestCheckReport(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	r := newRig(t, network{addr1: {cert: &p.expired}})
	r.enforceDANE(p.good.Leaf)
	r.req.Plan.PKIX, r.req.Plan.DANE, r.req.Plan.TLS = delivery.CheckReport, delivery.CheckReport, delivery.TLSOpportunistic
	rep := r.carry()
	s := last(rep)
	if res := rep.Recipients[0]; res.Outcome != delivery.Delivered || res.TLS != "unverified" {
		t.Fatalf("outcome %v over %q", res.Outcome, res.TLS)
	}
	if s.PKIX == nil || s.PKIX.Failure == nil || s.PKIX.Failure.Type != tlsrpt.CertificateExpired || s.DANE == nil || s.DANE.Failure == nil || s.TLSFailure != nil {
		t.Errorf("PKIX %+v, DANE %+v, TLS failure %v", s.PKIX, s.DANE, s.TLSFailure)
	}
}

// oldServerHello answers with a ServerHello of TLS 1.1.
func oldServerHello(nc net.Conn) {
	nc.Read(make([]byte, 4096))
	body := append([]byte{3, 2}, make([]byte, 32)...) // version, random
	body = append(body, 0, 0x00, 0x2f, 0)             // no session id, TLS_RSA_WITH_AES_128_CBC_SHA, no compression
	hello := append([]byte{2, 0, 0, byte(len(body))}, body...)
	nc.Write(append([]byte{22, 3, 2, 0, byte(len(hello))}, hello...))
	io.Copy(io.Discard, nc)
}

func TestNoTLS(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	garbage := func(nc net.Conn) {
		nc.Read(make([]byte, 4096))
		nc.Write([]byte("500 what?\r\n"))
		nc.Read(make([]byte, 4096))
	}
	tests := []struct {
		name   string
		peer   *peer
		typ    tlsrpt.ResultType
		reason reason.Word
	}{
		{"not offered", &peer{}, tlsrpt.StartTLSNotSupported, reason.StartTLSNotOffered},
		{"454", &peer{cert: &p.good, answer: to("STARTTLS", "454 4.7.0 not now")}, tlsrpt.StartTLSNotSupported, "starttls-reply-454"},
		{"554", &peer{cert: &p.good, answer: to("STARTTLS", "554 5.7.0 never")}, tlsrpt.StartTLSNotSupported, "starttls-reply-554"},
		{"closed before reply", &peer{cert: &p.good, answer: to("STARTTLS", drop)}, tlsrpt.ValidationFailure, reason.StartTLSLost},
		{"no TLS spoken", &peer{cert: &p.good, handshake: garbage}, tlsrpt.ValidationFailure, reason.TLSNotTLS},
		{"closed in handshake", &peer{cert: &p.good, handshake: func(nc net.Conn) { nc.Read(make([]byte, 4096)) }}, tlsrpt.ValidationFailure, reason.TLSClosed},
		{"alert", &peer{cert: &p.good, handshake: func(nc net.Conn) {
			nc.Read(make([]byte, 4096))
			nc.Write([]byte{21, 3, 3, 0, 2, 2, 40})
			nc.Read(make([]byte, 1))
		}}, tlsrpt.ValidationFailure, "tls-alert-handshake-failure"},
		{"old version", &peer{cert: &p.good, config: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }},
			tlsrpt.ValidationFailure, reason.TLSVersion},
		// The same, from a server that does not say so but chooses what it knows.
		{"old version chosen", &peer{cert: &p.good, handshake: oldServerHello}, tlsrpt.ValidationFailure, reason.TLSVersion},
		{"SSL 3.0", &peer{cert: &p.good, handshake: func(nc net.Conn) {
			nc.Read(make([]byte, 4096))
			nc.Write([]byte{21, 3, 0, 0, 2, 2, 70}) // protocol_version, in an SSL 3.0 record
			nc.Read(make([]byte, 1))
		}}, tlsrpt.ValidationFailure, reason.TLSVersion},
		{"injection", &peer{cert: &p.good, answer: to("STARTTLS", "220 go on\n250 injected")}, tlsrpt.ValidationFailure, reason.StartTLSInjection},
		// A server that wants a client certificate says so after the handshake.
		{"late alert", &peer{cert: &p.good, config: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }},
			tlsrpt.ValidationFailure, "tls-alert-certificate-required"},
	}
	for _, tt := range tests {
		for _, required := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/required=%v", tt.name, required), func(t *testing.T) {
				t.Parallel()
				mx := &peer{cert: tt.peer.cert, answer: tt.peer.answer, handshake: tt.peer.handshake, config: tt.peer.config}
				r := newRig(t, network{addr1: mx})
				if required {
					r.enforcePKIX()
				}
				rep := r.carry()
				first, res := rep.Visit.Sessions[0], rep.Recipients[0]
				if first.TLSFailure == nil || first.TLSFailure.Type != tt.typ || first.TLSFailure.Word != tt.reason {
					t.Fatalf("TLS failure %+v, want %s %s", first.TLSFailure, tt.typ, tt.reason)
				}
				if required {
					if res.Outcome != delivery.Pending || len(mx.received()) != 0 || len(rep.Visit.Sessions) != 1 {
						t.Errorf("outcome %v, %d messages, %d sessions", res.Outcome, len(mx.received()), len(rep.Visit.Sessions))
					}
					return
				}
				if res.Outcome != delivery.Delivered || res.TLS != "none" || len(mx.received()) != 1 || mx.received()[0].tls {
					t.Fatalf("outcome %v over %q: %s", res.Outcome, res.TLS, res.Text)
				}
				if fellBack := tt.reason != reason.StartTLSNotOffered; fellBack != last(rep).Plaintext || fellBack && len(rep.Visit.Sessions) != 2 {
					t.Errorf("sessions %+v", rep.Visit.Sessions)
				}
			})
		}
	}
}

// to answers one verb, and leaves the others alone.
func to(verb, reply string) func(string, string, bool) string {
	return func(v, _ string, _ bool) string {
		if v == verb {
			return reply
		}
		return ""
	}
}

// Without the plan's leave there is no plaintext retry, and a plan that
// contradicts itself errs on the safe side.
func TestNoFallback(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	for name, change := range map[string]func(*delivery.Plan){
		"not allowed":   func(p *delivery.Plan) { p.PlaintextFallback = false },
		"contradictory": func(p *delivery.Plan) { p.PKIX = delivery.CheckRequire },
	} {
		mx := &peer{cert: &p.good, answer: to("STARTTLS", "454 not now")}
		r := newRig(t, network{addr1: mx})
		change(&r.req.Plan)
		rep := r.carry()
		if rep.Recipients[0].Outcome != delivery.Pending || len(rep.Visit.Sessions) != 1 || len(mx.received()) != 0 {
			t.Errorf("%s: %v in %d sessions", name, rep.Recipients[0].Outcome, len(rep.Visit.Sessions))
		}
	}
	// Opportunistic by name, but a check is required and STARTTLS is missing.
	mx := &peer{}
	r := newRig(t, network{addr1: mx})
	r.req.Plan.DANE = delivery.CheckRequire
	if rep := r.carry(); rep.Recipients[0].Outcome != delivery.Pending || len(mx.received()) != 0 {
		t.Errorf("sent in plaintext although a check is required")
	}
}

func TestRequireTLS(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	for _, tt := range []struct {
		name    string
		extTLS  []string
		verb    delivery.Check
		outcome delivery.Outcome
		sent    bool
	}{
		{"required, offered", []string{"REQUIRETLS"}, delivery.CheckRequire, delivery.Delivered, true},
		{"required, not offered", nil, delivery.CheckRequire, delivery.Pending, false},
		{"where offered, offered", []string{"requiretls"}, delivery.CheckReport, delivery.Delivered, true},
		{"where offered, not offered", nil, delivery.CheckReport, delivery.Delivered, false},
		{"not asked for", []string{"REQUIRETLS"}, delivery.CheckNone, delivery.Delivered, false},
	} {
		mx := &peer{cert: &p.good, extTLS: tt.extTLS}
		r := newRig(t, network{addr1: mx})
		r.enforcePKIX()
		r.req.Plan.RequireTLSVerb = tt.verb
		rep := r.carry()
		if res := rep.Recipients[0]; res.Outcome != tt.outcome || res.Outcome == delivery.Pending && (res.Word != reason.RequireTLSNotOffered || !res.PolicyFailure) {
			t.Errorf("%s: %v %s", tt.name, res.Outcome, res.Word)
		}
		if sent := mx.saw("MAIL FROM:<from@sender.test> REQUIRETLS") == 1; sent != tt.sent {
			t.Errorf("%s: REQUIRETLS sent: %v", tt.name, sent)
		}
		if last(rep).RequireTLS != (tt.extTLS != nil) {
			t.Errorf("%s: recorded as offered: %v", tt.name, last(rep).RequireTLS)
		}
	}
	// RFC 8689 §3: what is offered before TLS does not count.
	mx := &peer{cert: &p.good, ext: []string{"REQUIRETLS"}, answer: func(verb, _ string, overTLS bool) string {
		if verb == "EHLO" && overTLS {
			return "250 peer.test"
		}
		return ""
	}}
	r := newRig(t, network{addr1: mx})
	r.enforcePKIX()
	r.req.Plan.RequireTLSVerb = delivery.CheckRequire
	if rep := r.carry(); rep.Recipients[0].Outcome != delivery.Pending {
		t.Errorf("an offer from before TLS was believed")
	}
}

// SES-11, and: no recipient is lost or doubled, whatever is said wherever.
func TestRepliesAtEachStep(t *testing.T) {
	t.Parallel()
	tests := []struct {
		verb, reply string
		want        delivery.Outcome
		word        reason.Word
	}{
		{"", "421 4.3.2 busy!", delivery.Pending, reason.GreetingReply},
		{"", "554 5.7.1 go away", delivery.Pending, reason.GreetingReply},
		{"", "HTTP/1.1 400 Bad Request", delivery.Pending, reason.ProtocolError},
		{"EHLO", "421 4.3.2 busy!", delivery.Pending, reason.HelloReply},
		{"EHLO", "550 5.7.1 bad name", delivery.Pending, reason.HelloReply},
		{"MAIL", "451 4.3.0 later", delivery.Pending, reason.RemoteReply},
		{"MAIL", "421 4.3.0 later!", delivery.Pending, reason.RemoteReply},
		{"MAIL", "550 5.1.8 bad sender", delivery.Failed, reason.RemoteReply},
		{"MAIL", "354 what", delivery.Pending, reason.RemoteReply},
		{"RCPT", "450 4.2.1 greylisted", delivery.Pending, reason.RemoteReply},
		{"RCPT", "421 4.3.0 later!", delivery.Pending, ""},
		{"RCPT", "550 5.1.1 no such user", delivery.Failed, reason.RemoteReply},
		{"DATA", "451 4.3.0 later", delivery.Pending, reason.RemoteReply},
		{"DATA", "554 5.5.0 no", delivery.Failed, reason.RemoteReply},
		{"DATA", "250 2.0.0 done", delivery.Pending, ""},
		{".", "451 4.3.0 later", delivery.Pending, reason.RemoteReply},
		{".", "421 4.3.0 later!", delivery.Pending, reason.RemoteReply},
		{".", "554 5.6.0 spam", delivery.Failed, reason.RemoteReply},
		{".", "354 what", delivery.Deferred, reason.Unanswered},
		{".", "no reply at all", delivery.Deferred, reason.Unanswered},
	}
	for _, tt := range tests {
		for _, ext := range [][]string{nil, {"PIPELINING"}} {
			t.Run(fmt.Sprintf("%s %s %v", tt.verb, tt.reply, ext), func(t *testing.T) {
				t.Parallel()
				mx := &peer{ext: ext, answer: to(tt.verb, tt.reply)}
				r := newRig(t, network{addr1: mx})
				r.rcpts(3)
				if tt.word == reason.Unanswered { // the peer stays, and says no more
					r.short(300 * time.Millisecond)
				}
				rep := r.carry()
				for i, res := range rep.Recipients {
					if res.Outcome != tt.want || tt.word != "" && res.Word != tt.word {
						t.Errorf("recipient %d: %v %s (%s), want %v %s", i, res.Outcome, res.Word, res.Text, tt.want, tt.word)
					}
					if res.Word == reason.RemoteReply && (res.Reply == nil || !strings.Contains(res.Text, res.Reply.Text())) {
						t.Errorf("recipient %d: text %q without its reply", i, res.Text)
					}
				}
				// The peer takes DATA pipelined behind a refusal: then it gets nothing.
				for _, m := range mx.received() {
					if m.data != "" || len(m.to) > 0 && tt.verb != "MAIL" {
						t.Errorf("the peer took %+v", m)
					}
				}
			})
		}
	}
}

func TestDropsAtEachStep(t *testing.T) {
	t.Parallel()
	for _, how := range []string{drop, hang} {
		for _, verb := range []string{"", "EHLO", "MAIL", "RCPT", "DATA", ".", "QUIT"} {
			for _, ext := range [][]string{nil, {"PIPELINING"}} {
				t.Run(fmt.Sprintf("%s at %q %v", how, verb, ext), func(t *testing.T) {
					t.Parallel()
					mx, second := &peer{ext: ext, answer: to(verb, how)}, &peer{}
					r := newRig(t, network{addr1: mx, addr2: second})
					r.addrs(addr1, addr2)
					r.short(300 * time.Millisecond)
					r.rcpts(2)
					rep := r.carry()
					want, elsewhere := delivery.Delivered, 1
					switch verb {
					case ".": // nobody knows whether the host has it: it goes nowhere else now
						want, elsewhere = delivery.Deferred, 0
					case "QUIT":
						elsewhere = 0
					}
					for i, res := range rep.Recipients {
						if res.Outcome != want {
							t.Errorf("recipient %d: %v %s %s, want %v", i, res.Outcome, res.Word, res.Text, want)
						}
					}
					if n := len(second.received()); n != elsewhere {
						t.Errorf("the second address took %d messages, want %d", n, elsewhere)
					}
					first := rep.Visit.Sessions[0]
					if wantWord := map[string]reason.Word{drop: reason.ConnectionLost, hang: reason.Timeout}[how]; verb != "QUIT" && (first.Err == nil || first.Err.Word != wantWord) {
						t.Errorf("first session ended with %+v, want %s", first.Err, wantWord)
					}
				})
			}
		}
	}
}

func TestRecipientsApart(t *testing.T) {
	t.Parallel()
	for _, ext := range [][]string{nil, {"PIPELINING"}} {
		mx := &peer{ext: ext, answer: func(verb, arg string, _ bool) string {
			switch {
			case verb == "RCPT" && strings.Contains(arg, "<r1@"):
				return "550 5.1.1 no"
			case verb == "RCPT" && strings.Contains(arg, "<r2@"):
				return "450 4.2.1 later"
			}
			return ""
		}}
		r := newRig(t, network{addr1: mx})
		r.rcpts(4)
		rep := r.carry()
		want := []delivery.Outcome{delivery.Delivered, delivery.Failed, delivery.Pending, delivery.Delivered}
		for i, res := range rep.Recipients {
			if res.Outcome != want[i] {
				t.Errorf("%v, recipient %d: %v, want %v", ext, i, res.Outcome, want[i])
			}
		}
		got := mx.received()
		if len(got) != 1 || len(got[0].to) != 2 || got[0].data != string(r.req.Content.(delivery.Bytes)) {
			t.Errorf("%v: received %+v", ext, got)
		}
	}
}

// A peer that takes DATA although it refused all recipients gets an empty
// message, and nobody counts as served (RFC 2920 §3.1).
func TestPipelinedDataInVain(t *testing.T) {
	t.Parallel()
	mx := &peer{ext: []string{"PIPELINING"}, answer: to("RCPT", "550 5.1.1 no")}
	r := newRig(t, network{addr1: mx})
	rep := r.carry()
	if rep.Recipients[0].Outcome != delivery.Failed {
		t.Errorf("outcome %v", rep.Recipients[0].Outcome)
	}
	if got := mx.received(); len(got) != 1 || got[0].data != "" {
		t.Errorf("received %+v", got)
	}
}

// SES-5: a host's limit on recipients, told by LIMITS or by 452, splits the
// message into transactions on one connection.
func TestTooManyRecipients(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"LIMITS RCPTMAX=3", "452 4.5.3 too many", "552 too many", "452 4.2.2 over quota"} {
		mx := &peer{ext: []string{"PIPELINING"}}
		if strings.HasPrefix(how, "LIMITS") {
			mx.ext = append(mx.ext, how)
		} else {
			n := 0
			mx.answer = func(verb, _ string, _ bool) string {
				switch verb {
				case "MAIL":
					n = 0
				case "RCPT":
					if n++; n > 3 {
						return how
					}
				}
				return ""
			}
		}
		r := newRig(t, network{addr1: mx})
		r.rcpts(8)
		rep := r.carry()
		taken := map[string]int{}
		for _, m := range mx.received() {
			for _, to := range m.to {
				taken[to]++
			}
		}
		quota := strings.Contains(how, "quota")
		for i, res := range rep.Recipients {
			want, times := delivery.Delivered, 1
			if quota && i >= 3 {
				want, times = delivery.Pending, 0
			}
			if res.Outcome != want || taken["TO:<"+r.req.Recipients[i].Address+">"] != times {
				t.Errorf("%s: recipient %d is %v and was sent to %d times", how, i, res.Outcome, taken["TO:<"+r.req.Recipients[i].Address+">"])
			}
		}
		if mx.connections() != 1 || !quota && len(mx.received()) != 3 {
			t.Errorf("%s: %d connections, %d transactions", how, mx.connections(), len(mx.received()))
		}
	}
}

func TestManyRecipients(t *testing.T) {
	t.Parallel()
	mx := &peer{ext: []string{"PIPELINING"}}
	r := newRig(t, network{addr1: mx})
	r.rcpts(250)
	for i, res := range r.carry().Recipients {
		if res.Outcome != delivery.Delivered {
			t.Fatalf("recipient %d: %v %s", i, res.Outcome, res.Text)
		}
	}
	if n := len(mx.received()); n != 3 {
		t.Errorf("%d transactions, want 3 of at most %d", n, maxRcpts)
	}
}

// SES-11: 5.7.x on the first attempt at a dual-stack host is not final.
func TestOtherFamily(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		addrs    []string
		attempts int
		reply    string
		want     delivery.Outcome
	}{
		{"first, dual stack", []string{addr6, addr1}, 0, "550 5.7.1 listed", delivery.Deferred},
		{"second attempt", []string{addr6, addr1}, 1, "550 5.7.1 listed", delivery.Failed},
		{"one family", []string{addr1, addr2}, 0, "550 5.7.1 listed", delivery.Failed},
		{"other code", []string{addr6, addr1}, 0, "550 5.1.1 nobody", delivery.Failed},
		{"no enhanced code", []string{addr6, addr1}, 0, "550 listed", delivery.Failed},
	} {
		for _, verb := range []string{"MAIL", "RCPT", "DATA", "."} {
			mx := &peer{answer: to(verb, tt.reply)}
			r := newRig(t, network{addr1: mx, addr2: mx, addr6: mx})
			r.addrs(tt.addrs...)
			r.req.Recipients[0].Attempts = tt.attempts
			rep := r.carry()
			if res := rep.Recipients[0]; res.Outcome != tt.want || len(rep.Visit.Sessions) != 1 {
				t.Errorf("%s at %s: %v in %d sessions, want %v in one", tt.name, verb, res.Outcome, len(rep.Visit.Sessions), tt.want)
			}
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	parse := func(s string) (out []netip.Addr) {
		for f := range strings.FieldsSeq(s) {
			out = append(out, netip.MustParseAddr(f))
		}
		return out
	}
	for _, tt := range []struct{ addrs, last, want string }{
		{"::1 ::2 1.1.1.1 1.1.1.2", "", "::1 ::2 1.1.1.1 1.1.1.2"},
		{"::1 ::2 1.1.1.1 1.1.1.2", "9.9.9.9", "::1 ::2 1.1.1.1 1.1.1.2"},
		{"::1 ::2 1.1.1.1 1.1.1.2", "::2", "1.1.1.1 1.1.1.2 ::2 ::1"},
		{"::1 ::2 1.1.1.1 1.1.1.2", "1.1.1.2", "::1 ::2 1.1.1.2 1.1.1.1"},
		{"::1 1.1.1.1 1.1.1.2", "::1 1.1.1.2", "1.1.1.2 1.1.1.1 ::1"},
		{"1.1.1.1 1.1.1.2", "1.1.1.2", "1.1.1.2 1.1.1.1"}, // greylisting sees the same address
	} {
		if got := order(parse(tt.addrs), parse(tt.last)); !slices.Equal(got, parse(tt.want)) {
			t.Errorf("%s after %s: %v, want %s", tt.addrs, tt.last, got, tt.want)
		}
	}
}

func TestConnectFailures(t *testing.T) {
	t.Parallel()
	mx := &peer{}
	r := newRig(t, network{addr2: mx})
	r.addrs(addr1, addr2)
	rep := r.carry()
	if s := rep.Visit.Sessions; len(s) != 2 || s[0].Err == nil || s[0].Err.Word != reason.ConnectRefused || s[0].Connected || !s[1].Connected || !s[1].Greeted {
		t.Errorf("sessions %+v", s)
	}
	if res := rep.Recipients[0]; res.Outcome != delivery.Delivered || res.Addr.String() != addr2 || !res.Host.Name.Under(r.req.Plan.Host.Name.Name) {
		t.Errorf("result %+v", res)
	}
	r.addrs(addr1)
	if res := r.carry().Recipients[0]; res.Outcome != delivery.Pending || res.Word != reason.ConnectRefused {
		t.Errorf("result %+v", res)
	}
	r.addrs()
	if res := r.carry().Recipients[0]; res.Outcome != delivery.Pending || res.Word != reason.NoAddress {
		t.Errorf("result %+v", res)
	}
}
