package dns

import (
	"testing"

	wire "github.com/miekg/dns"
)

// TestBogusByType: one bad set of the bogus name proves that the server validates;
// data alone proves that it does not; silence says nothing (DNS-9). Over all that
// two types can give, and by the messages themselves.
func TestBogusByType(t *testing.T) {
	t.Parallel()
	for _, a := range []bogusAnswer{bogusNothing, bogusRefused, bogusData} {
		for _, b := range []bogusAnswer{bogusNothing, bogusRefused, bogusData} {
			want := trustUnknown
			switch {
			case a == bogusRefused || b == bogusRefused:
				want = trustKept
			case a == bogusData || b == bogusData:
				want = trustLost
			}
			if got := trustOf([]bogusAnswer{a, b}); got != want {
				t.Errorf("%d and %d: %d, want %d", a, b, got, want)
			}
		}
	}
	for line, want := range map[string]bogusAnswer{
		"x. IN A 192.0.2.1":   bogusData,
		"x. IN A 0.0.0.0":     bogusNothing,
		"x. IN AAAA ::":       bogusNothing,
		"x. IN TXT \"bogus\"": bogusData,
		"x. IN CNAME y.":      bogusNothing,
	} {
		rr, err := wire.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		qtype := rr.Header().Rrtype
		if qtype == wire.TypeCNAME {
			qtype = wire.TypeA
		}
		if got := readBogus(&wire.Msg{Answer: []wire.RR{rr}}, qtype); got != want {
			t.Errorf("%s: %d, want %d", line, got, want)
		}
	}
	refused := &wire.Msg{}
	refused.Rcode = wire.RcodeServerFailure
	if got := readBogus(refused, wire.TypeTXT); got != bogusRefused {
		t.Errorf("SERVFAIL: %d", got)
	}
}
