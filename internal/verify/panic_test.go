package verify

import (
	"context"
	"net/netip"
	"testing"

	"waxwing/dns"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
)

type brokenResolver struct{ dns.Resolver }

func (brokenResolver) LookupPTR(context.Context, netip.Addr) (dns.Answer[dns.Name], error) {
	panic("PTR")
}

// OPS-9: where the search for a client's name panics, there is none, and nobody waits.
func TestPanicInReverse(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	v := LookUpName(t.Context(), &watch.Guard, brokenResolver{}, netip.MustParseAddr("192.0.2.1"))
	<-v.done
	if name, secure, iprev := v.Result(t.Context()); !name.IsZero() || secure || iprev != "temperror" {
		t.Errorf("%v, %v, %s", name, secure, iprev)
	}
	if !watch.Saw(guard.Reverse, 1) {
		t.Fatalf("counted: %v", watch.Seen())
	}
}
