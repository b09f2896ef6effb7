package stspolicy

import (
	"context"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// explosive is a resolver that panics for one name.
type explosive struct {
	dns.Resolver
	name string
}

func (e explosive) LookupTXT(ctx context.Context, n dns.Name) (dns.Answer[string], error) {
	if n.ASCII() == e.name {
		panic("lookup")
	}
	return e.Resolver.LookupTXT(ctx, n)
}

// OPS-9: the refresh of one policy panics; it stays in force, is not looked at again
// before its next turn, and the others are refreshed.
func TestPanicInRefresh(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r := newRig(t, s)
		watch := guardtest.New()
		r.cache.Guard = &watch.Guard
		r.record("1")
		r.want("fetched", "enforce 1 fresh", 1)
		r.cache.DNS = explosive{r.cache.DNS, recordName}
		due := r.entry().Due
		r.now = due.Add(time.Second)
		r.refresh()
		if !watch.Saw(guard.Refresh, 1) {
			t.Errorf("counted: %v", watch.Seen())
		}
		e := r.entry()
		if !e.Due.After(r.now.Add(time.Hour)) || e.Policy == nil {
			t.Errorf("due at %v, %v after the panic: %+v", e.Due, e.Due.Sub(r.now), e.Policy)
		}
		r.refresh()
		if !watch.Saw(guard.Refresh, 1) {
			t.Errorf("it was looked at again: %v", watch.Seen())
		}
		r.cache.DNS = r.cache.DNS.(explosive).Resolver
		if got := show(r.find()); !strings.HasPrefix(got, "enforce 1") {
			t.Errorf("the policy is not in force: %s", got)
		}
	})
}
