package tlsreport

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
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
		r.Service.DNS = explosive{r.dns, "_smtp._tls.bad.test"}
		made := map[string]int{}
		r.Count = func(direction, result string) { made[direction+" "+result]++ }
		r.clock.set(saturday.Add(24 * time.Hour))
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
			got += m.PolicyDomain + " " + m.State + ", "
		}
		if got != "bad.test failed, good.test reported, " || made["out failed"] != 1 || made["out reported"] != 1 {
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
		r.HTTP, r.Webhook = &http.Client{Transport: panicking{}}, "https://hook.test/"
		r.see(t, saturday, stsOK("a.test"))
		r.record("a.test", "v=TLSRPTv1; rua=https://a.test/r")
		if err := s.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO tls_hooks (id, body, state, due, tries, claim, expires, note) VALUES (1, '{}', 'waiting', 0, 0, 0, ?, '')`,
				store.Time(saturday.Add(99*time.Hour)))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		r.clock.set(saturday.Add(24 * time.Hour))
		r.runDay(t)
		seen := map[guard.Area]int{}
		for _, a := range watch.Seen() {
			seen[a]++
		}
		if seen[guard.ReportPost] != panics.Most || seen[guard.Hook] != panics.Most || len(seen) != 2 {
			t.Errorf("counted: %v", seen)
		}
		var hook, address string
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			if err := tx.Row(`SELECT state FROM tls_hooks`).Scan(&hook); err != nil {
				return err
			}
			return tx.Row(`SELECT count(*) FROM tls_suppressions`).Scan(&address)
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

// OPS-9: a panic in one stage of a run leaves the others to be done, and is contained by
// who runs the service; net/http dials on a goroutine of its own.
func TestPanicInStage(t *testing.T) {
	t.Parallel()
	r, watch := newRig(t, storetest.Open(t)), guardtest.New()
	r.Guard = &watch.Guard
	calls := 0
	r.Now = func() time.Time {
		if calls++; calls == 1 { // the first of planDays
			panic("clock")
		}
		return r.clock.now()
	}
	err := watch.Try(guard.Reports, func() error { _, err := r.Step(t.Context()); return err })
	if !guard.Contained(err) || !r.pruned.Equal(r.clock.now()) {
		t.Errorf("%v, pruned %v", err, r.pruned)
	}
	d := dialer{dns: r.dns, guard: &watch.Guard, allowPrivate: true, connect: func(context.Context, string, string) (net.Conn, error) { panic("dial") }}
	if _, err := d.dial(t.Context(), "tcp", "127.0.0.1:443"); !guard.Contained(err) {
		t.Errorf("dial: %v", err)
	}
}
