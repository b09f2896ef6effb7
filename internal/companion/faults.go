package companion

import (
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
)

// Faults are the faults of domains' MTA-STS. Postfix has an attribute for them,
// policy_failure, which does not do: at level may it reports a success all the
// same, and at level secure it takes a host that meets the old policy, which is
// still in force, for one that does not, and the mail waits (measured with
// 3.10.13). So what the Resolver finds it notes here, and the Collector makes of
// the sessions that follow what they are. A nil *Faults knows none. It is safe
// for concurrent use; the zero value is ready.
type Faults struct {
	mu sync.Mutex
	m  map[dns.Name]fault
}

type fault struct {
	failure *delivery.TLSFailure
	found   time.Time
}

const (
	maxFaults  = 10_000
	faultLasts = 24 * time.Hour // smtp(8) keeps an answer as long as it lives
)

// note keeps the fault of a domain, or with nil that it has none.
func (f *Faults) note(d dns.Name, failure *delivery.TLSFailure, now time.Time) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if failure == nil {
		delete(f.m, d)
		return
	}
	if f.m == nil || len(f.m) >= maxFaults {
		f.m = map[dns.Name]fault{} // better some left out than without bound
	}
	f.m[d] = fault{failure, now}
}

// of is the fault that a domain's sessions failed by, nil if none is known.
func (f *Faults) of(d dns.Name, now time.Time) *delivery.TLSFailure {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if x, ok := f.m[d]; ok && now.Sub(x.found) < faultLasts {
		return x.failure
	}
	return nil
}
