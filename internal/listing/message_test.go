package listing

import (
	"bytes"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/spool"
	"waxwing/internal/text"
)

// TestQueueSession: the queue page says how each connection came about (SES-6)
// and whether its TLS was resumed (SES-3).
func TestQueueSession(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	facts := func(resumed bool) *delivery.TLSFacts {
		return &delivery.TLSFacts{Version: "TLS1.3", Cipher: "TLS_AES_128_GCM_SHA256", KeyExchange: "X25519", Fingerprint: "ab12", Resumed: resumed}
	}
	const tls13 = "TLS1.3, TLS_AES_128_GCM_SHA256, X25519, "
	for name, tt := range map[string]struct {
		s    spool.SessionDetail
		want string
	}{
		"new, full": {spool.SessionDetail{TLS: facts(false), PKIX: &spool.Verified{OK: true}, DANE: &spool.Verified{Why: spool.Why{Word: reason.DANENoMatch, Text: "none"}}, Transcript: []string{"220 hello", "250 ok"}},
			"a new connection\n      " + tls13 + "full handshake, certificate SHA-256 ab12; PKIX ok; DANE dane-no-match: none\n      < 220 hello\n      < 250 ok\n"},
		"new, resumed": {spool.SessionDetail{TLS: facts(true)},
			"a new connection\n      " + tls13 + "resumed from an earlier TLS session, certificate SHA-256 ab12\n"},
		"reused, full": {spool.SessionDetail{TLS: facts(false), Reused: true},
			"reused: a connection kept from an earlier message\n      " + tls13 + "not resumed, certificate SHA-256 ab12\n"},
		"reused, resumed": {spool.SessionDetail{TLS: facts(true), Reused: true},
			"reused: a connection kept from an earlier message\n      " + tls13 + "resumed from an earlier TLS session, certificate SHA-256 ab12\n"},
		"plaintext": {spool.SessionDetail{Plaintext: true, TLSFailure: &spool.Why{Word: reason.TLSClosed, Text: "x"}, Error: &spool.Why{Text: "y"}},
			"a new connection\n      no TLS: once more without, after TLS had failed\n      TLS failed: tls-closed: x\n      failed: y\n"},
	} {
		var out bytes.Buffer
		tt.s.Addr, tt.s.Started = "192.0.2.1", at
		printSession(&out, &tt.s)
		if want := "    session with 192.0.2.1, " + text.Instant(at) + ", " + tt.want; out.String() != want {
			t.Errorf("%s:\n got %q\nwant %q", name, out.String(), want)
		}
	}
}
