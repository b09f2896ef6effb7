package session

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/sasl"
	"waxwing/smtp"
)

// loginAs has a peer take user "joe" with a password, by SCRAM and PLAIN.
func loginAs(password string, plusOffered bool) func(s *peerConn, arg string) bool {
	return func(s *peerConn, arg string) bool {
		mech, ir, _ := strings.Cut(arg, " ")
		srv, err := loginServer(s, mech, password, plusOffered)
		if err != nil {
			return s.reply("AUTH", arg, "504 5.5.4 what")
		}
		response := []byte(nil)
		if ir != "" {
			response, _ = base64.StdEncoding.DecodeString(ir)
		}
		for {
			challenge, done, err := srv.Next(response)
			switch {
			case err != nil:
				return s.reply("AUTH", arg, "535 5.7.8 no")
			case done:
				return s.reply("AUTH", arg, "235 2.7.0 welcome")
			}
			fmt.Fprintf(s.nc, "334 %s\r\n", base64.StdEncoding.EncodeToString(challenge))
			line, err := smtp.NewLineReader(s.br, 5000).ReadLine()
			if err != nil {
				return false
			}
			if string(line) == "*" {
				return s.reply("AUTH", arg, "501 5.7.0 as you wish")
			}
			response, _ = base64.StdEncoding.DecodeString(string(line))
		}
	}
}

func loginServer(s *peerConn, mech, password string, plusOffered bool) (sasl.Server, error) {
	if mech == sasl.Plain {
		return sasl.NewPlainServer(func(_, p string) (string, error) {
			if p != password {
				return "", sasl.ErrFailed
			}
			return "joe", nil
		}), nil
	}
	c, err := sasl.NewCredentials(mech, password, []byte("salt"), 4096)
	if err != nil {
		return nil, err
	}
	o := sasl.ScramServer{Mechanism: mech, PlusOffered: plusOffered, Lookup: func(string) (sasl.Credentials, string, bool, error) { return c, "joe", true, nil }}
	if tc, ok := s.nc.(*tls.Conn); ok {
		o.Bindings = sasl.TLSBindings(tc.ConnectionState(), s.p.cert.Leaf)
	}
	return sasl.NewScramServer(o)
}

// TRA-2.
func TestLogin(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	const all = "AUTH PLAIN LOGIN SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-256-PLUS"
	for _, tt := range []struct {
		name     string
		offer    string
		password string
		plan     func(*rig)
		with     string // the mechanism of AUTH; "": none was begun
		word     reason.Word
	}{
		{"strongest", all, "secret", (*rig).enforcePKIX, sasl.ScramSHA256Plus, ""},
		{"named", all, "secret", func(r *rig) { r.enforcePKIX(); r.client.Login.Mechanisms = []string{"PLAIN"} }, sasl.Plain, ""},
		{"without binding", "AUTH SCRAM-SHA-256 PLAIN", "secret", (*rig).enforcePKIX, sasl.ScramSHA256, ""},
		{"plain, verified", "AUTH PLAIN", "secret", (*rig).enforcePKIX, sasl.Plain, ""},
		{"plain, DANE", "AUTH PLAIN", "secret", func(r *rig) { r.enforceDANE(p.good.Leaf) }, sasl.Plain, ""},
		{"plain, not verified", "AUTH PLAIN LOGIN", "secret", func(*rig) {}, "", reason.AuthUnusable},
		{"scram, not verified", "AUTH PLAIN SCRAM-SHA-256", "secret", func(*rig) {}, sasl.ScramSHA256, ""},
		{"not offered", "SIZE", "secret", (*rig).enforcePKIX, "", reason.AuthUnusable},
		{"wrong password", all, "wrong", (*rig).enforcePKIX, sasl.ScramSHA256Plus, reason.AuthRefused},
		{"wrong password, plain", "AUTH PLAIN", "wrong", (*rig).enforcePKIX, sasl.Plain, reason.AuthRefused},
		{"unknown mechanism", "AUTH GSSAPI", "secret", (*rig).enforcePKIX, "", reason.AuthUnusable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mx := &peer{cert: &p.good, extTLS: []string{tt.offer}, login: loginAs("secret", true)}
			r := newRig(t, network{addr1: mx})
			r.client.Login = &Login{User: "joe", Password: tt.password}
			r.pooled()
			tt.plan(r)
			if tt.with == sasl.ScramSHA256 { // this one really knows no -PLUS
				mx.login = loginAs("secret", false)
			}
			for range 2 {
				res := r.carry().Recipients[0]
				if want := map[bool]delivery.Outcome{true: delivery.Delivered, false: delivery.Pending}[tt.word == ""]; res.Outcome != want || tt.word != "" && res.Word != tt.word {
					t.Fatalf("%v %s %s", res.Outcome, res.Word, res.Text)
				}
				if strings.Contains(fmt.Sprintf("%+v", res), "secret") {
					t.Errorf("the password shows in %+v", res)
				}
			}
			conns := mx.connections()
			auths := 0
			for _, line := range mx.lines() {
				if rest, ok := strings.CutPrefix(line, "AUTH "); ok {
					auths++
					if mech, _, _ := strings.Cut(rest, " "); mech != tt.with {
						t.Errorf("AUTH %s, want %q", mech, tt.with)
					}
				}
			}
			// A kept connection is logged in; a refused login is not tried with less.
			if want := map[bool]int{true: conns, false: 0}[tt.with != ""]; auths != want || tt.word == "" && conns != 1 {
				t.Errorf("AUTH %d times on %d connections", auths, conns)
			}
		})
	}
}

// Somebody took -PLUS out of the list: the server notices, and no password is
// handed over afterwards.
func TestLoginDowngrade(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	mx := &peer{cert: &p.good, extTLS: []string{"AUTH PLAIN SCRAM-SHA-256"}, login: loginAs("secret", true)}
	r := newRig(t, network{addr1: mx})
	r.enforcePKIX()
	r.client.Login = &Login{User: "joe", Password: "secret"}
	if res := r.carry().Recipients[0]; res.Outcome != delivery.Pending || res.Word != reason.AuthRefused || mx.saw("AUTH PLAIN") != 0 || mx.saw("MAIL") != 0 {
		t.Errorf("%v %s; peer saw %q", res.Outcome, res.Word, mx.lines())
	}
	// A refusal is not asked for at each address.
	r = newRig(t, network{addr1: mx, addr2: mx})
	r.addrs(addr1, addr2)
	r.enforcePKIX()
	r.client.Login = &Login{User: "joe", Password: "secret"}
	if rep := r.carry(); len(rep.Visit.Sessions) != 1 {
		t.Errorf("%d sessions", len(rep.Visit.Sessions))
	}
	// A server that says welcome without knowing the password is not believed.
	mx.login = func(s *peerConn, arg string) bool { return s.reply("AUTH", arg, "235 2.7.0 welcome") }
	if res := r.carry().Recipients[0]; res.Outcome != delivery.Pending || res.Word != reason.AuthServer || mx.saw("MAIL") != 0 {
		t.Errorf("%v %s", res.Outcome, res.Word)
	}
}

// Logins of different users have connections of their own.
func TestLoginKeys(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	mx := &peer{cert: &p.good, extTLS: []string{"AUTH PLAIN"}, login: loginAs("secret", true)}
	r := newRig(t, network{addr1: mx})
	r.enforcePKIX()
	r.pooled()
	for _, l := range []*Login{{User: "joe", Password: "secret"}, {User: "ann", Password: "secret"}, {User: "joe", Password: "secret"}, nil} {
		r.client.Login = l
		if rep := r.carry(); !delivered(rep) {
			t.Fatalf("%+v", rep.Recipients[0])
		}
	}
	if mx.connections() != 3 {
		t.Errorf("%d connections, want one for each user and one for nobody", mx.connections())
	}
}

// RFC 8314 §3.3: TLS before the greeting.
func TestImplicitTLS(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	for name, tt := range map[string]struct {
		cert *tls.Certificate
		word reason.Word
	}{"good": {&p.good, ""}, "wrong name": {&p.wrong, reason.CertHostMismatch}} {
		mx := &peer{cert: tt.cert, implicit: true}
		r := newRig(t, network{addr1: mx})
		r.enforcePKIX()
		r.client.ImplicitTLS = true
		r.pooled()
		for range 2 {
			rep := r.carry()
			if res := rep.Recipients[0]; delivered(rep) != (tt.word == "") || tt.word != "" && (res.Word != tt.word || !res.PolicyFailure) || mx.saw("STARTTLS") != 0 {
				t.Errorf("%s: %v %s %s", name, res.Outcome, res.Word, res.Text)
			}
		}
		if s := mx.saw("EHLO"); tt.word == "" && (mx.connections() != 1 || s != 1) {
			t.Errorf("%s: EHLO %d times on %d connections", name, s, mx.connections())
		}
	}
	// A host that speaks in plaintext there is no TLS server.
	mx := &peer{}
	r := newRig(t, network{addr1: mx})
	r.enforcePKIX()
	r.client.ImplicitTLS = true
	if res := r.carry().Recipients[0]; res.Outcome != delivery.Pending || res.Word != reason.TLSNotTLS {
		t.Errorf("%v %s %s", res.Outcome, res.Word, res.Text)
	}
	// There is no plaintext to fall back to, whatever the plan says.
	r = newRig(t, network{addr1: mx})
	r.client.ImplicitTLS = true
	if rep := r.carry(); rep.Recipients[0].Outcome != delivery.Pending || len(rep.Visit.Sessions) != 1 {
		t.Errorf("%v in %d sessions", rep.Recipients[0].Outcome, len(rep.Visit.Sessions))
	}
	// A TLS 1.3 server that wants a client certificate refuses after the handshake.
	mx = &peer{cert: &p.good, implicit: true, config: func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }}
	r = newRig(t, network{addr1: mx})
	r.enforcePKIX()
	r.client.ImplicitTLS = true
	if res := r.carry().Recipients[0]; res.Outcome != delivery.Pending || res.Word != "tls-alert-certificate-required" {
		t.Errorf("%v %s %s", res.Outcome, res.Word, res.Text)
	}
}

// A password shows in no text that fmt makes.
func TestLoginHidesPassword(t *testing.T) {
	t.Parallel()
	l := Login{User: "joe", Password: "secret"}
	client := Client{Login: &l}
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %s", l, l, l, l), fmt.Sprintf("%v %+v", &client, &l), fmt.Sprintf("%v %+v %#v", SOCKS{Password: "secret"}, SOCKS{Password: "secret"}, SOCKS{Password: "secret"})} {
		if strings.Contains(s, "secret") {
			t.Error(s)
		}
	}
}
