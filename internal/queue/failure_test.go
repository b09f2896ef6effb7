package queue

import (
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/spool"
)

// TestLastFailure: the latest failure of a domain, of mail that waits or was
// returned, and never that of another domain.
func TestLastFailure(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		b := delivery.RecipientDomain{Name: dns.MustParse("b.test")}
		check := func(when, address string, state spool.State) {
			t.Helper()
			it, ok, err := spool.LastFailure(t.Context(), w.Store, b)
			if err != nil || ok != (address != "") || it.Recipient.Address != address || ok && (it.State != state || string(it.Word)+it.Reply == "" || !it.Recipient.LastAttempt.Equal(w.clock.now())) {
				t.Errorf("%s: %+v %v %v", when, it, ok, err)
			}
		}
		w.put("ok.one@b.test", "later.one@c.test")
		check("before any attempt", "", spool.Waiting)
		w.step()
		check("after a delivery", "", spool.Waiting)
		w.put("later.two@b.test", "policy.x@c.test")
		w.step()
		check("after a failure", "later.two@b.test", spool.Waiting)
		w.clock.add(time.Second)
		w.put("never.three@b.test")
		w.step()
		check("after a return", "never.three@b.test", spool.Failed)
	})
}
