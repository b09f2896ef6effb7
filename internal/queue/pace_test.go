package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/retry"
	"waxwing/internal/session"
	"waxwing/internal/store"
	"waxwing/smtp"
)

func unreachable(r delivery.Recipient) delivery.Result {
	return delivery.Result{
		Visits:     []delivery.Visit{{Sessions: []delivery.Session{{Err: &delivery.Failure{Text: "connection refused"}}}}},
		Recipients: []delivery.RecipientResult{{ID: r.ID, Outcome: delivery.Deferred, Word: "connect-refused", Text: "connection refused"}},
	}
}

// dead is a transport that cannot reach dead.test.
type dead struct {
	*script
	up bool
}

func (d *dead) Deliver(ctx context.Context, j *delivery.Job, c delivery.Content) delivery.Result {
	res := d.script.Deliver(ctx, j, c)
	if j.Domain.String() != "dead.test" || d.up {
		return res
	}
	return unreachable(j.Recipients[0])
}

// What an attempt through a proxy says of the proxy, and what of the domain.
func TestLessons(t *testing.T) {
	t.Parallel()
	domain, way := destKey{name: "a.test via:tor"}, destKey{name: "via:tor"}
	through := func(ss ...delivery.Session) delivery.Result {
		return delivery.Result{Transport: "direct", Name: "tor", Visits: []delivery.Visit{{Sessions: ss}}}
	}
	failed := delivery.Session{Err: &delivery.Failure{Word: session.ProxyFailed}}
	refused := delivery.Session{Err: &delivery.Failure{Word: session.ConnectRefused}}
	silent := delivery.Session{Connected: true, Err: &delivery.Failure{Word: session.Timeout}}
	for _, c := range []struct {
		name string
		res  delivery.Result
		want []lesson
	}{
		{"the proxy failed", through(failed), []lesson{{way, retry.Unreachable, false}}},
		{"the proxy failed after it had worked", through(silent, failed), []lesson{{way, retry.Good, true}, {domain, retry.Unreachable, false}}},
		{"the host refused", through(refused), []lesson{{domain, retry.Unreachable, false}}},
		{"the host was silent", through(silent), []lesson{{way, retry.Good, true}, {domain, retry.Unreachable, false}}},
		{"a kept connection says nothing of the proxy", through(delivery.Session{Connected: true, Greeted: true, Reused: true}), []lesson{{domain, retry.Neutral, true}}},
		{"no proxy", delivery.Result{Transport: "direct", Visits: []delivery.Visit{{Sessions: []delivery.Session{refused}}}}, []lesson{{destKey{name: "a.test"}, retry.Unreachable, false}}},
	} {
		j := &job{to: domain, rows: []row{{domain: "a.test"}}}
		if got := lessons(j, &c.res); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := lessons(&job{to: destKey{local: true}}, &delivery.Result{}); got != nil {
		t.Errorf("a mailbox: %v", got)
	}
}

// QUE-3: a destination that cannot be reached closes for its whole backlog, and
// for no other; delays are told and messages expire on time all the same; after
// its first answer all goes on.
func TestDeadDestination(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		d := &dead{script: w.tr}
		w.Direct = d
		for i := range 30 {
			w.put(fmt.Sprintf("ok.%d@dead.test", i))
		}
		w.board.start() // the caps hold; the test starts the jobs
		turn := w.turn
		if n := turn(); n < 3 || n > 12 {
			t.Errorf("%d attempts before it closed", n)
		}
		closed, err := w.Closed(context.Background(), 10)
		if err != nil || len(closed) != 1 || closed[0].Domain != "dead.test" || closed[0].Failures != 3 {
			t.Errorf("closed: %+v, %v", closed, err)
		}
		w.put("ok.other@b.test")
		w.put("ok.new@dead.test")
		eventually(t, "others go on", func() bool { return w.item("ok.other@b.test").State == Delivered })
		if n := turn(); n != 0 {
			t.Errorf("%d attempts at the closed one", n)
		}
		w.clock.add(closed[0].Until.Sub(w.clock.now()))
		before := len(w.tr.seen())
		turn()
		if n := len(w.tr.seen()) - before; n != 1 {
			t.Errorf("%d probes", n)
		}
		w.clock.add(5*time.Hour - w.clock.now().Sub(noon))
		turn()
		if n := len(w.notices()); n < 29 {
			t.Errorf("%d notices of delay", n)
		}
		d.up = true
		for range 40 {
			w.clock.add(10 * time.Minute)
			w.board.wanted()
			turn()
		}
		left, err := w.List(context.Background(), Filter{Domain: "dead.test", States: []State{Waiting, Leased, Held, Failed}})
		if err != nil || len(left) != 0 {
			t.Errorf("after it answered: %v, %v", left, err)
		}
		if closed, _ := w.Closed(context.Background(), 10); len(closed) != 0 {
			t.Errorf("still closed: %+v", closed)
		}
	})
}

// What waits for a closed destination fails when its time is over.
func TestExpiryOfAClosedDestination(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.put("ok.a@dead.test")
		w.clock.add(4*time.Hour + time.Second)
		w.shut("dead.test", time.Hour)
		w.step()
		if n := w.notices(); len(n) != 1 || len(w.tr.seen()) > 0 {
			t.Errorf("%d notices", len(n))
		}
		w.clock.add(120 * time.Hour)
		w.shut("dead.test", time.Hour)
		w.step()
		if it := w.item("ok.a@dead.test"); it.State != Failed || it.Word != "expired" || !strings.Contains(it.Text, "in 0 attempts") {
			t.Errorf("%+v", it)
		}
	})
}

// shut closes a destination for some time, as some machine might.
func (w *world) shut(domain string, d time.Duration) {
	w.t.Helper()
	w.exec(`INSERT INTO destinations (dest, local, blocked, failures, since, text) VALUES (?, 0, ?, 9, 1, 'refused')
		ON CONFLICT (dest, local) DO UPDATE SET blocked = excluded.blocked`, domain, store.Time(w.clock.now().Add(d)))
}

// QUE-3: a destination that is closed for longer than any closing lasts was closed
// by a clock that was wrong. It is open, and no lane waits until then.
func TestClosedByAWrongClock(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, then := range map[string]func(w *world){
		"mail that is due is tried": func(*world) {},
		"what has to be looked at is tried": func(w *world) {
			w.clock.add(4*time.Hour + time.Second)
		},
		"a lane that waits is found": func(w *world) {
			w.exec(`UPDATE lanes SET next = ?`, store.Time(noon.Add(year)))
			if n := w.step(); n != 0 {
				w.t.Errorf("%d attempts", n)
			}
			w.sweep(context.Background())
		},
		"other mail opens it": func(w *world) {
			w.exec(`UPDATE lanes SET next = ?`, store.Time(noon.Add(year)))
			env := mail(w.t, "ok.other@dead.test")
			env.Account = "other"
			w.enqueue(env)
			if w.step(); w.item("ok.other@dead.test").State != Delivered {
				w.t.Error("mail of another account was not tried")
			}
		},
		"a failed attempt closes it for an hour": func(w *world) {
			w.exec(`UPDATE lanes SET next = ?`, store.Time(noon.Add(year)))
			env := mail(w.t, "later.other@dead.test")
			env.Account = "other"
			w.enqueue(env)
			d := &dead{script: w.tr}
			w.Direct = d
			w.step()
			d.up = true
			w.clock.add(2 * time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				w.put("ok.a@dead.test")
				w.shut("dead.test", year)
				then(w)
				w.step()
				if it := w.item("ok.a@dead.test"); it.State != Delivered {
					t.Errorf("%+v", it)
				}
			})
		})
	}
}

// A closed destination is forgotten a day after nothing waits for it any more: no
// answer would ever open it, and the list would grow with every dead domain.
func TestClosedDestinationIsForgotten(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.put("later.a@waits.test")
		for _, d := range []string{"waits.test", "gone.test"} {
			w.exec(`INSERT INTO destinations (dest, local, blocked, failures, since, text) VALUES (?, 0, ?, 3, 1, 'refused')`, d, store.Time(noon))
		}
		w.clock.add(closedKeep)
		w.sweep(ctx)
		if n := w.rows("destinations"); n != 2 {
			t.Errorf("%d left, one was forgotten too early", n)
		}
		w.clock.add(time.Second)
		w.sweep(ctx)
		closed, err := w.Closed(ctx, 10)
		if err != nil || len(closed) != 1 || closed[0].Domain != "waits.test" {
			t.Errorf("left: %+v, %v", closed, err)
		}
	})
}

// Fairness, over many shapes: nobody gets more than one above another while that
// one could take more, accounts before lanes.
func TestPortion(t *testing.T) {
	t.Parallel()
	for accounts := 1; accounts <= 4; accounts++ {
		for lanes := 1; lanes <= 6; lanes++ {
			for room := 0; room <= 40; room += 5 {
				for most := 0; most <= 9; most += 3 {
					checkPortion(t, accounts, lanes, room, most, 1)
					checkPortion(t, accounts, lanes, room, most, laneQuantum)
				}
			}
		}
	}
}

func checkPortion(t *testing.T, accounts, lanes, room, most, quantum int) {
	t.Helper()
	var keys []laneKey
	allow := map[destKey]int{}
	for a := range accounts {
		for l := range lanes * (a + 1) { // later accounts have more lanes
			k := laneKey{destKey{name: fmt.Sprintf("d%d.a%d.test", l, a)}, fmt.Sprint("account", a)}
			keys = append(keys, k)
			allow[k.to] = most
		}
	}
	sum := map[string]int{}
	total, possible := 0, 0
	for i, n := range portion(keys, room, allow, quantum) {
		sum[keys[i].account] += n
		total += n
		possible += most
		if n < 0 || n > most {
			t.Errorf("lane got %d of %d", n, most)
		}
	}
	if total != min(room, possible) {
		t.Errorf("%d accounts, %d lanes, room %d: gave %d of %d", accounts, lanes, room, total, possible)
	}
	for a := range accounts {
		for b := range accounts {
			mine, other := sum[fmt.Sprint("account", a)], sum[fmt.Sprint("account", b)]
			if mine < other-1 && mine < lanes*(a+1)*most {
				t.Errorf("account %d got %d, account %d got %d", a, mine, b, other)
			}
		}
	}
}

// relay is what an attempt at a relay came to.
func relay(s delivery.Session, rs ...delivery.RecipientResult) delivery.Result {
	return delivery.Result{Transport: "relay", Name: "relay", Visits: []delivery.Visit{{Sessions: []delivery.Session{s}}}, Recipients: rs}
}

func relay2(a, b delivery.Session, rs ...delivery.RecipientResult) delivery.Result {
	res := relay(a, rs...)
	res.Visits[0].Sessions = append(res.Visits[0].Sessions, b)
	return res
}

func TestSignalOf(t *testing.T) {
	t.Parallel()
	dialled := func(greeted bool, err bool) []delivery.Visit {
		s := delivery.Session{Greeted: greeted}
		if err {
			s.Err = &delivery.Failure{}
		}
		return []delivery.Visit{{Sessions: []delivery.Session{s}}}
	}
	for _, c := range []struct {
		name string
		res  delivery.Result
		want retry.Signal
	}{
		{"nothing", delivery.Result{}, retry.Neutral},
		{"refused", delivery.Result{Visits: dialled(false, true)}, retry.Unreachable},
		// It is counted for the relay: see TestDeadRelay.
		{"a relay is down", delivery.Result{Transport: "relay", Name: "relay", Visits: dialled(false, true)}, retry.Unreachable},
		// Point by point what a relay can do to everybody's mail before it hears of a recipient.
		{"a relay broke off", relay(delivery.Session{Greeted: true, Err: &delivery.Failure{Word: "connection-lost"}}), retry.Busy},
		{"a relay refuses the login", relay(delivery.Session{Greeted: true, TLS: &delivery.TLSFacts{}, Err: &delivery.Failure{Word: session.AuthRefused}}), retry.Unreachable},
		{"a relay offers no login", relay(delivery.Session{Greeted: true, TLS: &delivery.TLSFacts{}, Err: &delivery.Failure{Word: session.AuthUnusable}}), retry.Unreachable},
		{"a relay fails TLS", relay(delivery.Session{Greeted: true, TLSFailure: &delivery.TLSFailure{Reason: "tls-closed"}}), retry.Unreachable},
		{"a relay's certificate is over", relay(delivery.Session{Greeted: true, TLSFailure: &delivery.TLSFailure{Reason: session.CertExpired}, PKIX: &delivery.Verification{Failure: &delivery.TLSFailure{}}}), retry.Unreachable},
		{"a relay offers no TLS", relay(delivery.Session{Greeted: true, TLSFailure: &delivery.TLSFailure{Reason: session.StartTLSNotOffered}}), retry.Unreachable},
		{"a relay refuses EHLO", relay(delivery.Session{Greeted: true, Err: &delivery.Failure{Word: session.HelloReply}}), retry.Unreachable},
		{"a relay's port speaks something else", relay(delivery.Session{Err: &delivery.Failure{Word: session.ProtocolError}}), retry.Unreachable},
		{"a relay greets with 421", relay(delivery.Session{Err: &delivery.Failure{Word: session.GreetingReply}}), retry.Unreachable},
		{"a relay says 421 to MAIL", relay(delivery.Session{Greeted: true}, delivery.RecipientResult{Outcome: delivery.Deferred, Reply: &smtp.Reply{Code: 421}}), retry.Unreachable},
		{"a relay's TLSA cannot be looked up", delivery.Result{Transport: "relay", Name: "relay", Decision: delivery.Decision{Stop: &delivery.Failure{Word: "dns-bogus"}}}, retry.Unreachable},
		{"two addresses, one bad login", relay2(delivery.Session{Err: &delivery.Failure{Word: session.ConnectRefused}}, delivery.Session{Greeted: true, Err: &delivery.Failure{Word: session.AuthRefused}}), retry.Unreachable},
		// What is about one message says nothing of the relay.
		{"a relay without REQUIRETLS", relay(delivery.Session{Greeted: true, TLS: &delivery.TLSFacts{}, Err: &delivery.Failure{Word: session.RequireTLSMissing}}), retry.Neutral},
		{"the stored message is broken", delivery.Result{Visits: []delivery.Visit{{Sessions: []delivery.Session{{Greeted: true, Err: &delivery.Failure{Word: session.BareNewline}}}}}}, retry.Neutral},
		{"a transport that cannot carry REQUIRETLS", delivery.Result{Transport: "relay", Name: "relay", Decision: delivery.Decision{Stop: &delivery.Failure{Permanent: true}}}, retry.Neutral},
		{"a relay refuses a recipient for now", relay(delivery.Session{Greeted: true}, delivery.RecipientResult{Outcome: delivery.Deferred, Reply: &smtp.Reply{Code: 451}}), retry.Neutral},
		{"TLS failed and plaintext carried a refusal", relay2(delivery.Session{Greeted: true, TLSFailure: &delivery.TLSFailure{Reason: "tls-closed"}}, delivery.Session{Greeted: true, Plaintext: true},
			delivery.RecipientResult{Outcome: delivery.Deferred, Reply: &smtp.Reply{Code: 451}}), retry.Neutral},
		{"a relay's name is gone", delivery.Result{Transport: "relay", Name: "relay", Destination: delivery.Destination{Fail: &delivery.Failure{}}}, retry.Unreachable},
		{"a domain's name is gone", delivery.Result{Transport: "direct", Destination: delivery.Destination{Fail: &delivery.Failure{}}}, retry.Neutral},
		{"one host down, another took it", delivery.Result{Visits: dialled(false, true), Recipients: []delivery.RecipientResult{{Outcome: delivery.Delivered}}}, retry.Good},
		{"broke off", delivery.Result{Visits: dialled(true, true)}, retry.Busy},
		{"greylisted", delivery.Result{Visits: dialled(true, false), Recipients: []delivery.RecipientResult{{Outcome: delivery.Deferred}}}, retry.Neutral},
		{"skipped by policy", delivery.Result{Visits: []delivery.Visit{{}}}, retry.Neutral},
	} {
		if got := signalOf(&c.res); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
