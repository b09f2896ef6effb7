package server

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"waxwing/internal/config"
)

// TestInternetNL: TLS of the MX listener as docs/operating/internet-nl.md tells of it:
// versions, ciphers, key exchange and the extended master secret.
func TestInternetNL(t *testing.T) {
	t.Parallel()
	s := run(t, parse(t, config.MX))
	handshake := func(conf *tls.Config) (tls.ConnectionState, error) {
		p := dial(t, s.Addr(config.MX))
		p.say("", "220")
		p.say("EHLO client.example", "250")
		p.say("STARTTLS", "220")
		conf.InsecureSkipVerify = true
		c := tls.Client(p.Conn, conf)
		err := c.Handshake()
		return c.ConnectionState(), err
	}
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		if _, err := handshake(&tls.Config{MinVersion: version, MaxVersion: version}); (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			continue
		}
		cs, err := handshake(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
		sound := strings.HasPrefix(suite.Name, "TLS_ECDHE_") && (strings.Contains(suite.Name, "_GCM_") || strings.Contains(suite.Name, "_CHACHA20_"))
		spare := strings.HasPrefix(suite.Name, "TLS_ECDHE_") && strings.Contains(suite.Name, "_AES_") && strings.HasSuffix(suite.Name, "_CBC_SHA")
		if err == nil && !sound && !spare {
			t.Errorf("%s is taken", suite.Name)
		}
		if err != nil {
			continue // the certificate is of the other algorithm, or the suite is refused
		}
		// Only where both sides have the extended master secret is there an exporter.
		if _, err := cs.ExportKeyingMaterial("test", nil, 16); err != nil {
			t.Errorf("%s: no extended master secret: %v", suite.Name, err)
		}
	}
	for _, curve := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521} {
		if cs, err := handshake(&tls.Config{CurvePreferences: []tls.CurveID{curve}}); err != nil || cs.CurveID != curve {
			t.Errorf("%s: %s, %v", curve, cs.CurveID, err)
		}
	}
	// Whoever has something better is never given CBC, in whatever order it asks.
	cs, err := handshake(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}})
	if err != nil || !strings.Contains(tls.CipherSuiteName(cs.CipherSuite), "GCM") {
		t.Errorf("%s, %v", tls.CipherSuiteName(cs.CipherSuite), err)
	}
}
