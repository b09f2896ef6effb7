package transport

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/routes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/smtp"
)

// way is a Deliverer that says its name.
type way struct {
	name   string
	closed *atomic.Int32
}

func (w way) Deliver(_ context.Context, job *delivery.Job, _ delivery.Content) delivery.Result {
	return delivery.Result{Name: w.name, Recipients: each(job, delivery.RecipientResult{Outcome: delivery.Delivered})}
}

func (w way) Close() error { w.closed.Add(1); return nil }

// routed is a Router over a real store.
type routed struct {
	t      *testing.T
	store  *routes.Store
	router *Router
	closed atomic.Int32
	built  atomic.Int32
}

func newRouted(t *testing.T, db *store.Store) *routed {
	r := &routed{t: t, store: &routes.Store{DB: db}}
	r.router = &Router{Routes: &routes.Store{DB: db}, Direct: way{"direct", &r.closed}, Local: way{"local", &r.closed},
		Make: func(t route.Transport) (Deliverer, error) {
			r.built.Add(1)
			if t.Host.Name.ASCII() == "broken.test" {
				return nil, errors.New("it is broken")
			}
			return way{t.Name, &r.closed}, nil
		}}
	for _, name := range []string{"one", "two", "broken"} {
		tr := route.Transport{Name: name, Kind: route.Smarthost, Host: route.Host{Name: dns.MustParse(name + ".test")}}
		if err := r.store.AddTransport(t.Context(), tr); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *routed) rule(rule route.Rule) route.Rule {
	r.t.Helper()
	got, err := r.store.AddRule(r.t.Context(), rule, false)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

// went says which way a job takes now.
func (r *routed) went(change func(*delivery.Job)) string {
	r.t.Helper()
	j := job("x@b.test", "y@b.test")
	if change != nil {
		change(j)
	}
	if w, err := r.router.Ways(r.t.Context()); err == nil {
		j.Way = w.Choose(route.SubjectOf(j))
	}
	res := r.router.Deliver(r.t.Context(), j, delivery.Bytes("x"))
	if len(res.Recipients) != 2 || res.Recipients[0].ID != 1 || res.Recipients[1].ID != 2 {
		r.t.Errorf("%+v", res)
	}
	if rr := res.Recipients[0]; rr.Outcome != delivery.Delivered {
		return rr.Outcome.String() + " " + string(rr.Word)
	}
	return res.Name
}

func (r *routed) want(way string, change func(*delivery.Job)) {
	r.t.Helper()
	if got := r.went(change); got != way {
		r.t.Errorf("went %s, want %s", got, way)
	}
}

// TRA-4: the way is chosen for every attempt, also for changes of another process.
// INB-14: mailboxes are kept by a program that speaks LMTP. Another transport, of kind local say,
// would bring their mail back here without end.
func TestMailboxTransport(t *testing.T) {
	t.Parallel()
	r := newRouted(t, storetest.Open(t))
	for _, tr := range []route.Transport{{Name: "dovecot", Kind: route.LMTP, Host: route.Host{Socket: "/run/lmtp"}}, {Name: "again", Kind: route.Local}} {
		if err := r.store.AddTransport(t.Context(), tr); err != nil {
			t.Fatal(err)
		}
	}
	for name, ok := range map[string]bool{"dovecot": true, "again": false, "one": false, "none": false, route.LocalName: false, route.DirectName: false} {
		if _, err := r.router.Transport(t.Context(), name); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRouter(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		r := newRouted(t, db)
		r.want("direct", nil)
		later := r.rule(route.Rule{Scope: route.OfServer, MinAttempts: 2, Transport: "two"})
		r.want("direct", nil)
		r.want("two", func(j *delivery.Job) { j.Recipients[0].Attempts, j.Recipients[1].Attempts = 2, 3 })
		r.want("direct", func(j *delivery.Job) { j.Recipients[0].Attempts = 2 })
		if err := r.store.RemoveRule(t.Context(), later.ID); err != nil {
			t.Fatal(err)
		}
		r.want("direct", func(j *delivery.Job) { j.Recipients[0].Attempts, j.Recipients[1].Attempts = 2, 3 })
		all := r.rule(route.Rule{Scope: route.OfServer, Transport: "one"})
		r.want("one", nil)
		r.want("one", nil)
		r.want("two", func(j *delivery.Job) { j.Transport = "two" })
		r.want("local", func(j *delivery.Job) { j.Transport = "local" })
		if n := r.built.Load(); n != 2 {
			t.Errorf("%d transports were built", n)
		}
		// What changed is built anew, and the old one closed; the other stays.
		if err := r.store.SetTransport(t.Context(), route.Transport{Name: "one", Kind: route.Smarthost, Host: route.Host{Name: dns.MustParse("other.test")}}); err != nil {
			t.Fatal(err)
		}
		r.want("one", nil)
		r.want("two", func(j *delivery.Job) { j.Transport = "two" })
		if b, c := r.built.Load(), r.closed.Load(); b != 3 || c != 1 {
			t.Errorf("%d built, %d closed", b, c)
		}
		if err := r.store.RemoveRule(t.Context(), all.ID); err != nil {
			t.Fatal(err)
		}
		r.want("direct", nil)
		// TLS reports have a way of their own where the operator says so.
		reports := func(j *delivery.Job) { j.Purpose = delivery.TLSReport }
		r.want("direct", reports)
		r.router.Reports = way{"reports", &r.closed}
		r.want("reports", reports)
		r.want("direct", nil)
	})
}

// Mail whose way is not there waits; it never takes another one.
func TestNoWay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		r := newRouted(t, db)
		r.want("deferred no-transport", func(j *delivery.Job) { j.Transport = "gone" })
		r.want("deferred no-transport", func(j *delivery.Job) { j.Transport = "broken" })
		r.router.Local = nil
		r.want("deferred no-transport", func(j *delivery.Job) { j.Transport = "local" })
		r.want("direct", nil)
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Exec(`UPDATE transports SET settings = '{"of":"the future"}' WHERE name = 'two'`); err != nil {
				return err
			}
			return tx.Raise(routes.Area)
		})
		if err != nil {
			t.Fatal(err)
		}
		// Only the mail that was meant for it waits.
		r.want("deferred no-transport", func(j *delivery.Job) { j.Transport = "two" })
		r.want("direct", nil)
		err = db.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO routes (id, scope, owner, position, recipient, sender, min_attempts, need, transport) VALUES (1, 2, '', 0, 'no domain', '', 0, -1, 'direct')`)
			return errors.Join(err, tx.Raise(routes.Area))
		})
		if err != nil {
			t.Fatal(err)
		}
		r.want("deferred routes-unreadable", nil)
		// What was chosen before goes that way.
		j := job("x@b.test")
		j.Way = delivery.Way{Transport: route.DirectName}
		if res := r.router.Deliver(t.Context(), j, delivery.Bytes("x")); res.Recipients[0].Outcome != delivery.Delivered {
			t.Errorf("%+v", res.Recipients)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		r.want("deferred routes-unreadable", nil)
	})
}

func TestRefuser(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code  int
		enh   smtp.Enhanced
		want  delivery.Outcome
		code2 string
	}{
		{550, smtp.Enhanced{}, delivery.Failed, "5.7.1"}, {450, smtp.Enhanced{Class: 4, Subject: 2, Detail: 1}, delivery.Deferred, "4.2.1"},
	} {
		f := &Refuser{Transport: route.Transport{Name: "no", Kind: route.Fail, Code: c.code, Enhanced: c.enh, Text: "closed on Sundays"}}
		res := f.Deliver(t.Context(), job("a@b.test"), delivery.Bytes("x"))
		rr := res.Recipients[0]
		if rr.Outcome != c.want || rr.Enhanced.String() != c.code2 || !strings.Contains(rr.Text, "Sundays") || rr.ID != 1 || res.Name != "no" || res.Transport == "direct" {
			t.Errorf("%+v", res)
		}
	}
}
