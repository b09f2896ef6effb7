package destination

import (
	"context"
	"net/netip"
	"testing"

	"waxwing/dns"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
)

// explosive is a resolver that panics when it is asked for the addresses of hosts.
type explosive struct{ dns.Resolver }

func (e explosive) LookupAAAA(context.Context, dns.Name) (dns.Answer[netip.Addr], error) {
	panic("AAAA")
}

// OPS-9: hosts are looked up on goroutines of their own. A panic on one of them must
// end the whole search: a host about which nothing was found would look like one
// without TLSA records.
func TestPanicInHostReachesCaller(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"secure.test", "nomx.secure.test"} {
		watch := guardtest.New()
		f := finder(t, internet(t))
		f.DNS = explosive{f.DNS}
		found := false
		watch.Do(guard.Delivery, func() {
			f.Find(t.Context(), domain(t, name))
			found = true
		})
		if found || !watch.Saw(guard.Delivery, 1) {
			t.Errorf("%s: found %v, counted %v", name, found, watch.Seen())
		}
	}
}
