package server

import (
	"crypto/tls"
	"testing"

	"waxwing/internal/config"
)

// ticketCache notes whether a session was offered to be resumed.
type ticketCache struct{ put bool }

func (c *ticketCache) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (c *ticketCache) Put(_ string, s *tls.ClientSessionState)    { c.put = c.put || s != nil }

// TestServerTLS: any name, and none, gets the host's certificate (CRT-2); TLS is 1.2
// at least, without session tickets, and port 25 asks nobody for a certificate (CRT-4).
func TestServerTLS(t *testing.T) {
	t.Parallel()
	s := run(t, parse(t, config.MX))
	for name, tt := range map[string]struct {
		server  string
		version uint16
		ok      bool
	}{
		"the host's name": {"mail.example.test", tls.VersionTLS13, true},
		"another name":    {"unknown.example", tls.VersionTLS13, true},
		"no name":         {"", tls.VersionTLS13, true},
		"TLS 1.2":         {"mail.example.test", tls.VersionTLS12, true},
		"TLS 1.1":         {"mail.example.test", tls.VersionTLS11, false},
	} {
		p := dial(t, s.Addr(config.MX))
		p.say("", "220")
		p.say("EHLO client.example", "250")
		p.say("STARTTLS", "220")
		cache, asked := &ticketCache{}, false
		c := tls.Client(p.Conn, &tls.Config{
			ServerName: tt.server, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tt.version, ClientSessionCache: cache,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = true
				return &tls.Certificate{}, nil
			},
		})
		err := c.Handshake()
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !tt.ok {
			continue
		}
		p.Conn = c
		p.r.Reset(c)
		p.say("NOOP", "250") // a ticket would have come before this answer
		if err := c.ConnectionState().PeerCertificates[0].VerifyHostname("mail.example.test"); err != nil || cache.put || asked {
			t.Errorf("%s: certificate %v, ticket %v, asked for a certificate %v", name, err, cache.put, asked)
		}
	}
}
