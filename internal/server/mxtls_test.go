package server

import (
	"crypto/tls"
	"strings"
	"testing"

	"waxwing/internal/config"
)

// INB-9: on the MX no session is resumed, no client certificate is asked for, and whatever name a client
// wants, or none, it gets the host's certificate.
func TestMXHandshakes(t *testing.T) {
	t.Parallel()
	s := run(t, parse(t, config.MX))
	cache := tls.NewLRUClientSessionCache(10)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, name := range []string{"", "unknown.test", "mail.example.test", "unknown.test", ""} {
			p := dial(t, s.Addr(config.MX))
			p.say("", "220")
			p.say("EHLO client.test", "250")
			p.say("STARTTLS", "220")
			asked := false
			p.tls(&tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, ClientSessionCache: cache,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					asked = true
					return &tls.Certificate{}, nil
				}})
			state := p.Conn.(*tls.Conn).ConnectionState()
			p.say("EHLO client.test", "250") // with TLS 1.3 a ticket would have come by now
			if err := state.PeerCertificates[0].VerifyHostname("mail.example.test"); err != nil || state.DidResume || asked {
				t.Errorf("%s for %q: resumed %v, a certificate asked for %v, %v", tls.VersionName(version), name, state.DidResume, asked, err)
			}
		}
	}
}

// INB-9: where the operator wants session tickets on the MX, sessions are resumed.
func TestMXTickets(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX)
	cfg.Listen[0].SessionTickets = true
	s := run(t, cfg)
	cache, resumed := tls.NewLRUClientSessionCache(10), false
	for range 2 {
		p := dial(t, s.Addr(config.MX))
		p.say("", "220")
		p.say("EHLO client.test", "250")
		p.say("STARTTLS", "220")
		p.tls(&tls.Config{ServerName: "mail.example.test", InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, ClientSessionCache: cache})
		resumed = p.Conn.(*tls.Conn).ConnectionState().DidResume
		p.say("EHLO client.test", "250")
	}
	if !resumed {
		t.Error("a session is not resumed")
	}
}

// INB-11: requiretls = false takes the offer back, on that listener alone.
func TestNoRequireTLS(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX, config.Submission)
	cfg.Listen[0].NoRequireTLS = true
	s := run(t, cfg)
	for kind, want := range map[config.Kind]string{config.MX: "555 5.5.4", config.Submission: "530 5.7.0"} {
		p := dial(t, s.Addr(kind))
		p.say("", "220")
		p.say("EHLO client.test", "250")
		p.say("STARTTLS", "220")
		p.tls(&tls.Config{InsecureSkipVerify: true})
		if offered := strings.Contains(p.say("EHLO client.test", "250"), "REQUIRETLS"); offered != (kind == config.Submission) {
			t.Errorf("%s offers REQUIRETLS: %v", kind, offered)
		}
		p.say("MAIL FROM:<a@b.test> REQUIRETLS", want)
	}
}
