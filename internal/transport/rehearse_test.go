package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/route"
	"waxwing/internal/session"
	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpclient"
	"waxwing/smtpserver"
)

// scramLogins knows the user of plainLogins by every mechanism.
type scramLogins struct{ mechs []string }

func (l scramLogins) Mechanisms(tls bool) []string { return l.mechs }

func (l scramLogins) Start(_ context.Context, mech string, c smtpserver.Conn) (sasl.Server, *smtp.Reply) {
	if mech == sasl.Plain {
		return plainLogins{}.Start(context.Background(), mech, c)
	}
	creds, err := sasl.NewCredentials(mech, "hunter2", []byte("salt"), 4096)
	if err != nil {
		return nil, smtp.NewReply(504, smtp.Enhanced{Class: 5, Subject: 5, Detail: 4}, "not known")
	}
	o := sasl.ScramServer{Mechanism: mech, PlusOffered: slices.ContainsFunc(l.mechs, sasl.IsPlus),
		Lookup: func(u string) (sasl.Credentials, string, bool, error) { return creds, u, u == "me", nil }}
	if cs := c.TLS(); cs != nil {
		o.Bindings = sasl.TLSBindings(*cs, nil)
	}
	srv, err := sasl.NewScramServer(o)
	if err != nil {
		return nil, smtp.NewReply(454, smtp.Enhanced{Class: 4, Subject: 7}, "no such login")
	}
	return srv, nil
}

// busyLogins cannot check passwords just now.
type busyLogins struct{ plainLogins }

func (busyLogins) Start(context.Context, string, smtpserver.Conn) (sasl.Server, *smtp.Reply) {
	return nil, smtp.NewReply(454, smtp.Enhanced{Class: 4, Subject: 7}, "the directory is away")
}

// refuseHello fails every TLS handshake.
func refuseHello(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no") }

// TestRehearse: a rehearsal goes as far as a mail would, login included, sends
// nothing, and says in words what to do (TRA-2, TRA-3).
func TestRehearse(t *testing.T) {
	t.Parallel()
	all := scramLogins{[]string{sasl.Plain, sasl.ScramSHA256, sasl.ScramSHA256Plus}}
	auth := func(a smtpserver.Authenticator) func(*smtpserver.Server) {
		return func(s *smtpserver.Server) { s.Auth = a }
	}
	noTLS := func(s *smtpserver.Server) { s.TLS, s.Auth = nil, nil }
	stranger := func(s *smtpserver.Server) {
		cert, _ := issue("smtp.isp.test", nil)
		s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	const way = "connect greeting EHLO STARTTLS certificate EHLO "
	for _, c := range []struct {
		name   string
		host   func(*smtpserver.Server)
		alter  func(*route.Transport)
		steps  string // all of them; the last one failed if there is a word
		word   reason.Word
		texts  []string // parts of the steps
		advice string   // a part of it
	}{
		{name: "SCRAM, bound", host: auth(all), steps: way + "AUTH RSET",
			texts: []string{"AUTH: as me by SCRAM-SHA-256-PLUS, bound to this TLS session (tls-exporter); the host proved", "certificate: PKIX: verified, smtp.isp.test", "STARTTLS: TLS1.3, ", "EHLO: smtp.isp.test offers "}},
		{name: "SCRAM, not bound", host: auth(scramLogins{[]string{sasl.ScramSHA256}}), steps: way + "AUTH RSET",
			texts: []string{"AUTH: as me by SCRAM-SHA-256, not bound to TLS; the host proved"}},
		{name: "PLAIN", steps: way + "AUTH RSET", texts: []string{"AUTH: as me by PLAIN, which handed the password over, to the host that TLS verified"}},
		{name: "TLS from the start", host: func(s *smtpserver.Server) { s.ImplicitTLS = true }, alter: func(t *route.Transport) { t.Implicit = true },
			steps: "connect TLS certificate greeting EHLO AUTH RSET"},
		{name: "wrong password, PLAIN", alter: func(t *route.Transport) { t.Password = "guess" }, steps: way + "AUTH", word: reason.AuthRefused,
			advice: `the user "me" or the password is wrong`},
		{name: "wrong password, SCRAM", host: auth(all), alter: func(t *route.Transport) { t.Password = "guess" }, steps: way + "AUTH", word: reason.AuthRefused,
			advice: `"waxwing transport set isp"`},
		{name: "logins are down", host: auth(busyLogins{}), steps: way + "AUTH", word: reason.AuthRefused, advice: "says nothing about the password"},
		{name: "PLAIN to a host that is not verified", alter: func(t *route.Transport) { t.Security = route.SecurityTLS }, steps: way + "AUTH", word: reason.AuthUnusable,
			texts: []string{"certificate: not verified"}, advice: "offers PLAIN, and nobody verified who it is"},
		{name: "SCRAM to a host that is not verified", host: auth(all), alter: func(t *route.Transport) { t.Security = route.SecurityTLS }, steps: way + "AUTH RSET"},
		{name: "a mechanism that is not there", alter: func(t *route.Transport) { t.Mechanisms = []string{sasl.ScramSHA256} }, steps: way + "AUTH", word: reason.AuthUnusable,
			advice: "offers PLAIN, and --mechanisms allows only SCRAM-SHA-256"},
		{name: "no login offered", host: auth(nil), steps: way + "AUTH", word: reason.AuthUnusable, advice: "offers no login at this port"},
		{name: "no login wanted", host: auth(nil), alter: func(t *route.Transport) { t.User, t.Password = "", "" }, steps: way + "RSET"},
		{name: "login offered, none configured", alter: func(t *route.Transport) { t.User, t.Password = "", "" }, steps: way + "RSET", advice: "the transport has none"},
		{name: "no TLS", host: noTLS, steps: "connect greeting EHLO STARTTLS", word: reason.StartTLSNotOffered, advice: "465"},
		{name: "no TLS, any", host: noTLS, alter: func(t *route.Transport) {
			t.Kind, t.Security, t.User, t.Password = route.Smarthost, route.SecurityAny, "", ""
		}, steps: "connect greeting EHLO RSET"},
		{name: "TLS broken, any", host: func(s *smtpserver.Server) { s.TLS.GetConfigForClient = refuseHello }, alter: func(t *route.Transport) {
			t.Kind, t.Security, t.User, t.Password = route.Smarthost, route.SecurityAny, "", ""
		}, steps: "connect greeting EHLO STARTTLS small hello connect greeting EHLO STARTTLS plaintext connect greeting EHLO RSET",
			texts: []string{"STARTTLS: tls-alert-internal-error: ", "small hello: a mail would be tried once more", "plaintext: a mail would be tried once more"}},
		{name: "TLS old, any", host: func(s *smtpserver.Server) { s.TLS.MaxVersion = tls.VersionTLS11; s.TLS.MinVersion = tls.VersionTLS10 }, alter: func(t *route.Transport) {
			t.Kind, t.Security, t.User, t.Password = route.Smarthost, route.SecurityAny, "", ""
		}, steps: way + "RSET", texts: []string{"STARTTLS: TLS1.1, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, X25519, weak: tls-version"}, advice: "the transport has none"},
		{name: "TLS old, verified", host: func(s *smtpserver.Server) { s.TLS.MaxVersion = tls.VersionTLS11; s.TLS.MinVersion = tls.VersionTLS10 },
			steps: "connect greeting EHLO STARTTLS small hello connect greeting EHLO STARTTLS", word: reason.TLSVersion, advice: "update the host's TLS"},
		{name: "another authority", host: stranger, steps: "connect greeting EHLO STARTTLS", word: reason.CertSelfSigned, advice: "an authority of your own"},
		{name: "TLS expected from the start", alter: func(t *route.Transport) { t.Implicit = true }, steps: "connect TLS", word: reason.TLSNotTLS, advice: "leave --implicit-tls out"},
		{name: "nobody there", alter: func(t *route.Transport) { t.Port = 9 }, steps: "connect", word: reason.ConnectRefused, advice: "listens on port 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := startRelayHost(t, c.host)
			tr := submission(h.port)
			if c.alter != nil {
				c.alter(&tr)
			}
			dec, found := relayOf(t, zone(t, dns.Insecure), tr).Rehearse(t.Context())
			if dec.Stop != nil || len(found) != 1 {
				t.Fatalf("%+v %+v", dec.Stop, found)
			}
			r, steps, told := found[0], "", ""
			for i, s := range r.Steps {
				steps += " " + string(s.Name)
				told += "\n" + string(s.Name) + ": " + s.Text
				last := i == len(r.Steps)-1
				bad := last && c.word != "" || !last && (r.Steps[i+1].Name == session.StepPlaintext || r.Steps[i+1].Name == session.StepSmallHello)
				if s.OK == bad || s.Text == "" || bad && last && !strings.HasPrefix(s.Text, string(c.word)+": ") {
					t.Errorf("step %d: %+v", i, s)
				}
			}
			if got := strings.TrimSpace(steps); got != strings.TrimSpace(c.steps) {
				t.Errorf("steps %q, want %q", got, c.steps)
			}
			if (r.Failure == nil) != (c.word == "") || r.Failure != nil && r.Failure.Word != c.word {
				t.Errorf("failure %+v, want %q", r.Failure, c.word)
			}
			for _, want := range c.texts {
				if !strings.Contains(told, "\n"+want) {
					t.Errorf("no %q in %s", want, told)
				}
			}
			if advice := Advice(&tr, &r); (advice == "") != (c.advice == "") || !strings.Contains(advice, c.advice) {
				t.Errorf("advice %q, want %q", advice, c.advice)
			}
			if len(h.took()) > 0 || strings.Contains(fmt.Sprintf("%+v %s", r, Advice(&tr, &r)), "hunter2") {
				t.Errorf("mail was sent, or the password shows: %+v", r)
			}
		})
	}
}

// relayOf builds a transport as the router would.
func relayOf(t *testing.T, resolver dns.Resolver, tr route.Transport) *Relay {
	t.Helper()
	ca, err := relayPKI()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	b := &Builder{Direct: &Direct{}, DNS: resolver, Session: func() *session.Client {
		return &session.Client{HELO: "mail.us.test", Roots: roots, Timeouts: smtpclient.Timeouts{Greeting: 5 * time.Second}}
	}}
	if err := tr.Check(); err != nil {
		t.Fatal(err)
	}
	d, err := b.Make(tr)
	if err != nil {
		t.Fatal(err)
	}
	return d.(*Relay)
}

// A refused login is made once, however many addresses the host has: each try
// counts towards the user's being locked out. After other failures all are seen.
func TestRehearseLogsInOnce(t *testing.T) {
	t.Parallel()
	for word, want := range map[reason.Word]int{reason.AuthRefused: 1, reason.AuthUnusable: 1, reason.ConnectRefused: 3, "": 3} {
		r := relayOf(t, zone(t, dns.Insecure, "smtp A 127.0.0.2", "smtp A 127.0.0.3"), submission(587))
		asked := &rehearsals{word: word}
		r.Session = asked
		if _, found := r.Rehearse(t.Context()); len(found) != want || asked.n != want {
			t.Errorf("%q: %d addresses, want %d", word, asked.n, want)
		}
	}
}

// rehearsals fail for one reason.
type rehearsals struct {
	Carrier
	word reason.Word
	n    int
}

func (r *rehearsals) Rehearse(_ context.Context, _ delivery.Plan, a netip.Addr) session.Rehearsal {
	r.n++
	out := session.Rehearsal{Addr: a}
	if r.word != "" {
		out.Failure = &delivery.Failure{Word: r.word}
	}
	return out
}
