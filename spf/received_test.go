package spf

import (
	"net/netip"
	"testing"
)

// RFC 7208 §9.1: every value is a dot-atom or a quoted string, whatever a client says.
func TestReceived(t *testing.T) {
	t.Parallel()
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, tt := range []struct {
		r    Received
		want string
	}{
		{Received{Result: Pass, Identity: "mailfrom", Receiver: "mx.here.test", ClientIP: four, Sender: "joe@far.test", HELO: "far.test", Mechanism: "ip4:192.0.2.0/24", Problem: "none"},
			`pass receiver=mx.here.test; client-ip=192.0.2.1; envelope-from="joe@far.test"; helo=far.test; identity=mailfrom; mechanism="ip4:192.0.2.0/24"`},
		{Received{Result: None, Identity: "helo", Receiver: "mx.here.test", ClientIP: six, HELO: "[192.0.2.1]"},
			`none receiver=mx.here.test; client-ip="2001:db8::1"; envelope-from=""; helo="[192.0.2.1]"; identity=helo`},
		{Received{Result: PermError, Identity: "mailfrom", Receiver: "mx", ClientIP: four, Sender: "a\"b\\\r\nX: ü@far.test", HELO: "a b..", Problem: "two records"},
			`permerror receiver=mx; client-ip=192.0.2.1; envelope-from="a\"b\\??X: ?@far.test"; helo="a b.."; identity=mailfrom; problem="two records"`},
	} {
		if got := tt.r.Value(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
