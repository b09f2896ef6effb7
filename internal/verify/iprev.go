package verify

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"waxwing/dns"
	"waxwing/internal/guard"
)

// Times for finding a client's name. It is told in Received and in
// Authentication-Results and decides nothing, so a message waits for it a moment at most.
const (
	reverseTimeout = 10 * time.Second
	reverseWait    = 500 * time.Millisecond
	maxPointers    = 3 // names of one address that are checked
)

// Reverse is the search for a client's name; it runs beside the dialogue.
type Reverse struct {
	done   chan struct{} // closed when the fields below are set
	name   dns.Name      // zero: none that leads back to the address
	secure bool          // every answer on the way was Secure (INB-6)
	iprev  string        // the result of RFC 8601 §3
}

// LookUpName starts the search, which ends with ctx. Nil where there is nothing to ask.
func LookUpName(ctx context.Context, g *guard.Guard, r dns.Resolver, addr netip.Addr) *Reverse {
	if r == nil || !addr.IsValid() || addr.IsLoopback() {
		return nil
	}
	v := &Reverse{done: make(chan struct{})}
	g.Go(guard.Reverse, func() {
		defer close(v.done)
		ctx, cancel := context.WithTimeout(ctx, reverseTimeout)
		defer cancel()
		v.find(ctx, r, addr)
	}, "remote", addr.String())
	return v
}

// find takes the first name whose addresses include addr (RFC 8601 §2.7.3, iprev).
func (v *Reverse) find(ctx context.Context, r dns.Resolver, addr netip.Addr) {
	ptr, err := r.LookupPTR(ctx, addr)
	if err != nil {
		v.iprev = "temperror"
		return
	}
	if v.iprev = "permerror"; len(ptr.Records) == 0 {
		return
	}
	lookup := r.LookupAAAA
	if addr.Is4() {
		lookup = r.LookupA
	}
	v.iprev = "fail"
	for _, name := range ptr.Records[:min(len(ptr.Records), maxPointers)] {
		ans, err := lookup(ctx, name)
		if err != nil {
			v.iprev = "temperror"
		}
		if err == nil && slices.Contains(ans.Records, addr) {
			v.name, v.iprev = name, "pass"
			v.secure = ptr.Security == dns.Secure && ans.Security == dns.Secure
			return
		}
	}
}

// Result waits a moment for the search.
func (v *Reverse) Result(ctx context.Context) (name dns.Name, secure bool, iprev string) {
	if v == nil {
		return dns.Name{}, false, "none"
	}
	t := time.NewTimer(reverseWait)
	defer t.Stop()
	select {
	case <-v.done:
		return v.name, v.secure, cmp.Or(v.iprev, "temperror")
	case <-t.C:
	case <-ctx.Done():
	}
	return dns.Name{}, false, "temperror"
}
