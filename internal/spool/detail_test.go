package spool

import (
	"encoding/json"
	"net/netip"
	"testing"

	"waxwing/internal/delivery"
)

// The history says of each session whether its connection was kept from an
// earlier message, and whether its TLS was resumed (SES-3, SES-6).
func TestHistoryOfReuse(t *testing.T) {
	t.Parallel()
	for _, reused := range []bool{false, true} {
		for _, resumed := range []bool{false, true} {
			b, err := json.Marshal(sessionDetail(delivery.Session{Addr: netip.MustParseAddr("192.0.2.1"), Reused: reused, TLS: &delivery.TLSFacts{Resumed: resumed}}))
			var got SessionDetail
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			if err != nil || got.Reused != reused || got.TLS == nil || got.TLS.Resumed != resumed {
				t.Errorf("reused %v, resumed %v: %s, %v", reused, resumed, b, err)
			}
		}
	}
}
