package received

import (
	"crypto/tls"
	"net/netip"
	"testing"
	"time"
)

// INB-6: all of it is fit for a field, whatever the client calls itself.
func TestReceivedField(t *testing.T) {
	t.Parallel()
	f := string(Trace{HELO: "häuschen", Addr: netip.MustParseAddr("2001:db8::1%eth0"), Hostname: "mx.test", Protocol: "UTF8SMTPS",
		TLS: &tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: tls.TLS_RSA_WITH_AES_128_GCM_SHA256}, ID: 35, Now: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)}.Field())
	want := "Received: from h?uschen ([IPv6:2001:db8::1])\r\n\tby mx.test with UTF8SMTPS (TLS1.2)\r\n\tid z\r\n\ttls TLS_RSA_WITH_AES_128_GCM_SHA256;\r\n\tFri, 2 Jan 2026 12:00:00 +0000\r\n"
	if f != want {
		t.Errorf("got %q\nwant %q", f, want)
	}
}
