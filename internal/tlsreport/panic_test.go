package tlsreport

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/alert"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/outbox"
	"waxwing/internal/outbox/outboxtest"
	"waxwing/internal/panics"
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

// OPS-9: a report over which the server panics is given up after three times, and the
// others of the day are made. (One that did so ended the server every ten minutes.)
func TestPanicInUnit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, watch := newRig(t, s), guardtest.New()
		r.Guard = &watch.Guard
		r.see(t, saturday, stsOK("bad.test"), stsOK("good.test"))
		r.record("good.test", "v=TLSRPTv1; rua=mailto:r@good.test")
		r.DNS = explosive{r.dns, "_smtp._tls.bad.test"}
		made := &outboxtest.Tally{}
		r.Count = made.Count
		r.clock.Set(saturday.Add(24 * time.Hour))
		r.runDay(t)
		if !watch.Saw(guard.ReportUnit, panics.Most) {
			t.Errorf("counted: %v", watch.Seen())
		}
		all, err := r.Outcomes(t.Context(), saturday, "")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, m := range all {
			got += m.PolicyDomain + " " + string(m.State) + ", "
		}
		if got != "bad.test failed, good.test reported, " || made.Of("failed") != 1 || made.Of("reported") != 1 {
			t.Errorf("%s %v", got, made)
		}
	})
}

// panicking is a web server that cannot even be dialled without a panic.
type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("post") }

// OPS-9: the same of a report that is posted, and of an alert; neither is held against
// the address.
func TestPanicInPost(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, watch := newRig(t, s), guardtest.New()
		r.Guard = &watch.Guard
		r.HTTP = &http.Client{Transport: panicking{}}
		r.see(t, saturday, stsOK("a.test"))
		r.record("a.test", "v=TLSRPTv1; rua=https://a.test/r")
		alerts := alert.New(&outbox.Box{Store: s, To: "https://hook.test/", HTTP: r.HTTP, Now: r.Now, Log: r.Log, Guard: r.Guard}, nil)
		if err := alerts.Tell(t.Context(), alert.Notice{What: "it"}); err != nil {
			t.Fatal(err)
		}
		r.clock.Set(saturday.Add(24 * time.Hour))
		for range 24 * 12 {
			if _, err := alerts.StepPosts(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.step(t)
			r.clock.Set(r.clock.Now().Add(5 * time.Minute))
		}
		seen := map[guard.Area]int{}
		for _, a := range watch.Seen() {
			seen[a]++
		}
		if seen[guard.ReportPost] != panics.Most || seen[guard.Hook] != panics.Most || len(seen) != 2 {
			t.Errorf("counted: %v", seen)
		}
		var hook, address string
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			if err := tx.Row(`SELECT state FROM outbox_deliveries WHERE uri = 'webhook'`).Scan(&hook); err != nil {
				return err
			}
			return tx.Row(`SELECT count(*) FROM outbox_suppressions`).Scan(&address)
		})
		if err != nil || hook != "failed" || address != "0" {
			t.Errorf("the alert is %s, %s addresses suppressed, %v", hook, address, err)
		}
		sent := r.sent(t)
		if len(sent) != 1 || sent[0].State != "failed" || !strings.Contains(sent[0].Deliveries[0].Note, "internal error") {
			t.Errorf("%+v", sent)
		}
	})
}
