package queue

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/retry"
	"waxwing/internal/spool"
	"waxwing/smtp"
)

// notices are the DSNs in the queue.
func (w *world) notices() []spool.Item {
	w.t.Helper()
	items, err := w.List(context.Background(), spool.Filter{Address: "alice@sender.test", States: []spool.State{spool.Waiting, spool.Leased, spool.Held, spool.Delivered, spool.Failed}})
	if err != nil {
		w.t.Fatal(err)
	}
	return items
}

// untilSettled steps through the schedule and returns the offsets of the attempts.
func (w *world) untilSettled(address string) (at []time.Duration) {
	w.t.Helper()
	for range 100 {
		it := w.item(address)
		if it.State != spool.Waiting {
			return at
		}
		if d := it.Due.Sub(w.clock.now()); d > 0 {
			w.clock.add(d)
		}
		at = append(at, w.clock.now().Sub(noon))
		w.step()
	}
	w.t.Fatal("never settled")
	return nil
}

// QUE-4: the whole schedule, the delay notice once after 4 h, the bounce at the end.
func TestRetryUntilExpiry(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.Local = &script{outcome: func(delivery.Recipient) delivery.Outcome { return delivery.Delivered }}
		w.IsLocal = func(_ context.Context, d delivery.RecipientDomain) (bool, error) {
			return d.String() == "sender.test", nil
		}
		w.put("policy.a@b.test")
		var notices []int
		for w.item("policy.a@b.test").State == spool.Waiting {
			w.clock.add(max(w.item("policy.a@b.test").Due.Sub(w.clock.now()), 0))
			w.step()
			notices = append(notices, len(w.notices()))
		}
		it := w.item("policy.a@b.test")
		if it.State != spool.Failed || it.Word != "expired" || w.clock.now().Sub(noon) != 120*time.Hour {
			t.Errorf("after %v: %+v", w.clock.now().Sub(noon), it)
		}
		if want := len(retry.Default().Delays) + 14 + 1; it.Recipient.Attempts != want {
			t.Errorf("%d attempts, want %d", it.Recipient.Attempts, want)
		}
		// attempts at 0, 1, 6, 21, 51, 111, 231 min are before 4 h; the next is at 471 min
		if notices[6] != 0 || notices[7] != 1 || notices[len(notices)-2] != 1 || notices[len(notices)-1] != 2 {
			t.Errorf("notices after each attempt: %v", notices)
		}
		last := delivery.Fact{Word: reason.DANENoMatch, Text: "no TLSA record matches"}
		if it.Text != "Delivery failed for 5 days, in "+strconv.Itoa(it.Recipient.Attempts)+" attempts." || it.Last != last {
			t.Errorf("text %q, the last %+v", it.Text, it.Last)
		}
		shown, err := spool.Show(t.Context(), w.Store, it.Envelope.ID)
		if err != nil || len(shown.Attempts) == 0 {
			t.Fatalf("%+v, %v", shown, err)
		}
		for i, a := range shown.Attempts {
			r, over := a.Detail.Recipients[0], i == len(shown.Attempts)-1
			if over != (r.Word == reason.Expired) || over != (r.Last != nil) || over && *r.Last != spool.Why(last) {
				t.Errorf("attempt %d: %+v, the last %v", i, r, r.Last)
			}
		}
		// POL-6: since when.
		if r := it.Recipient; r.FirstFail.Text != "no TLSA record matches" || r.FirstFail.Word != reason.DANENoMatch || !r.FirstFailAt.Equal(noon) {
			t.Errorf("first failure %q at %v", r.FirstFail, r.FirstFailAt)
		}
		for _, n := range w.notices() {
			if n.Envelope.Sender != "" || n.Envelope.Purpose != delivery.DSN || n.Envelope.Ref != delivery.ID(it.Envelope.ID).String() || !n.Recipient.Local {
				t.Errorf("notice %+v", n)
			}
		}
	})
}

// QUE-4: reports have their own schedule and nobody hears of them.
func TestReportSchedule(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		env := mail(t, "later.r@b.test")
		env.Purpose = delivery.TLSReport
		w.enqueue(env)
		got := w.untilSettled("later.r@b.test")
		want := []time.Duration{0, 1, 4, 12, 24}
		if len(got) != len(want) {
			t.Fatalf("attempts at %v", got)
		}
		for i := range want {
			if got[i] != want[i]*time.Hour {
				t.Errorf("attempt %d at %v", i+1, got[i])
			}
		}
		if n := len(w.notices()); n != 0 {
			t.Errorf("%d notifications about a report", n)
		}
	})
}

// A failure is told at once, in one notification for all recipients of the job.
func TestFailureIsToldAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		env := mail(t, "never.a@b.test", "never.b@b.test", "ok.c@b.test")
		env.Need = delivery.RequireTLS
		w.enqueue(env)
		w.step()
		n := w.notices()
		if len(n) != 1 || n[0].Envelope.Need != delivery.RequireTLS || n[0].State != spool.Waiting {
			t.Fatalf("notices %+v", n)
		}
		for range 3 { // the notification fails: nobody is told of that
			w.clock.add(130 * time.Hour)
			w.step()
		}
		if len(w.notices()) != 1 {
			t.Error("a notification about a notification")
		}
	})
}

// DST-2: what was dialled is remembered for the next attempt, and the time of the last one.
func TestHistoryOfARecipientComesBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		addrs := []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}
		w.Direct = dials{w.tr, addrs}
		w.put("policy.a@b.test")
		w.step()
		w.clock.add(time.Hour)
		w.step()
		r := w.tr.seen()[1].Recipients[0]
		if r.Attempts != 1 || !r.LastAttempt.Equal(noon) || len(r.LastAddrs) != 2 || r.LastAddrs[0] != addrs[0] || r.LastAddrs[1] != addrs[1] {
			t.Errorf("%+v", r)
		}
		if r.FirstFail.Text == "" || !r.FirstFailAt.Equal(noon) {
			t.Errorf("first failure %q at %v", r.FirstFail, r.FirstFailAt)
		}
		shown, err := w.Show(context.Background(), w.tr.seen()[0].ID)
		if err != nil || len(shown.Attempts) != 2 {
			t.Fatal(shown, err)
		}
		h := shown.Attempts[0].Detail.Hosts
		if len(h) != 2 || h[0].Skip.String() != "sts-mx-mismatch: not in the policy" || len(h[1].Sessions) != 2 || h[1].Sessions[0].TLSFailure.String() != "dane-no-match: none matched" {
			t.Errorf("%+v", h)
		}
	})
}

type dials struct {
	*script
	addrs []netip.Addr
}

func (d dials) Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	res := d.script.Deliver(ctx, job, c)
	a := delivery.Visit{}
	for _, addr := range d.addrs {
		a.Sessions = append(a.Sessions, delivery.Session{Addr: addr, TLSFailure: &delivery.TLSFailure{Word: "dane-no-match", Text: "none matched"}},
			delivery.Session{Addr: addr})
	}
	a.Sessions = a.Sessions[:2+0]
	a.Sessions[1].Addr = d.addrs[1]
	res.Visits = []delivery.Visit{a}
	res.Decision.Plans = []delivery.Plan{{Skip: &delivery.Failure{Word: "sts-mx-mismatch", Text: "not in the policy"}}}
	return res
}

func TestDirtyTextsAreStored(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		env := mail(t, "never.a@b.test")
		env.EnvID, env.Peer = "a\x00\xff", "peer\x00"
		w.tr.outcome = func(delivery.Recipient) delivery.Outcome { return delivery.Failed }
		w.Direct = dirty{w.tr}
		w.enqueue(env)
		w.step()
		if it := w.item("never.a@b.test"); it.State != spool.Failed || !strings.HasPrefix(it.Text, "x\uFFFD\uFFFDx") || len(it.Text) > 2000 {
			t.Errorf("%+v", it)
		}
	})
}

type dirty struct{ *script }

func (d dirty) Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	res := d.script.Deliver(ctx, job, c)
	for i := range res.Recipients {
		res.Recipients[i].Text = "x\x00\xff" + strings.Repeat("x", 5000)
		res.Recipients[i].PolicyFailure = true
		res.Recipients[i].Reply = smtp.NewReply(550, smtp.Enhanced{}, "\x00\xfe")
	}
	return res
}
