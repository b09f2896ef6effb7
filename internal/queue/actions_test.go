package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/retry"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/suppression"
)

// did fails the test unless an action changed want recipients.
func (w *world) did(want int) func(Changed, error) {
	w.t.Helper()
	return func(c Changed, err error) {
		w.t.Helper()
		if err != nil || c.Done != want {
			w.t.Errorf("changed %+v, %v; want %d", c, err, want)
		}
	}
}

// QUE-6: what began to be tried between being found and being changed is busy, not absent.
func TestActionMeetsAnAttempt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.put("later.a@b.test", "later.b@c.test")
		c, err := w.act(t.Context(), spool.Filter{}, func(ids []int64) (int, error) {
			w.exec(`UPDATE recipients SET state = 1, claim = 9 WHERE address = 'later.a@b.test'`)
			return store.Write(t.Context(), w.Store, func(tx *store.Tx) (int, error) { return spool.SetNeed(tx, ids, delivery.RequireTLS) })
		}, spool.Waiting)
		if err != nil || c != (Changed{Done: 1, Busy: 1}) {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

// QUE-6: hold, release, retry now, change need and transport, fail, drop.
func TestActions(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.put("later.a@b.test", "later.b@c.test")
		w.put("later.c@b.test")
		b := spool.Filter{Domain: "b.test"}
		w.did(2)(w.Hold(ctx, b, "asked"))
		if w.step() != 1 || w.item("later.a@b.test").State != spool.Held || w.item("later.a@b.test").Text != "asked" {
			t.Error("held mail was tried, or other mail was not")
		}
		w.did(2)(w.SetNeed(ctx, b, delivery.RequireTLS))
		w.did(2)(w.SetTransport(ctx, b, "relay"))
		w.did(2)(w.Unhold(ctx, b))
		w.tr.jobs = nil
		w.step()
		for _, j := range w.tr.seen() {
			if j.Need != delivery.RequireTLS || j.Transport != "relay" {
				t.Errorf("need %v, transport %q", j.Need, j.Transport)
			}
		}
		if len(w.tr.seen()) != 2 || w.step() != 0 {
			t.Errorf("%d attempts", len(w.tr.seen()))
		}
		need := delivery.RequireTLS
		w.did(1)(w.Retry(ctx, spool.Filter{Need: &need, Transport: "relay", Address: "later.c@b.test", SenderDomain: "Sender.test"}))
		if w.step() != 1 {
			t.Error("not retried")
		}
		w.did(0)(w.Retry(ctx, spool.Filter{Domain: "b.test", SenderDomain: "ender.test"}))
		w.did(1)(w.Fail(ctx, spool.Filter{Address: "later.a@b.test"}, "because I say so"))
		w.did(1)(w.Drop(ctx, spool.Filter{Address: "later.c@b.test"}))
		for a, word := range map[string]reason.Word{"later.a@b.test": reason.FailedByOperator, "later.c@b.test": reason.Dropped} {
			if it := w.item(a); it.State != spool.Failed || it.Word != word {
				t.Errorf("%s: %+v", a, it)
			}
		}
		n := w.notices()
		if len(n) != 1 {
			t.Fatalf("%d notices, want one about what was failed and none about what was dropped", len(n))
		}
		if w.rows("bodies") != 2 { // of the first message, and the notice
			t.Errorf("%d bodies", w.rows("bodies"))
		}
		if it := w.item("later.b@c.test"); it.State != spool.Waiting {
			t.Errorf("%+v", it)
		}
	})
}

// A hold rule holds at acceptance, and what was accepted and never tried; released
// mail goes; an error refuses and defers.
func TestHoldRules(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.run()
		why, broken := "", error(nil)
		w.Holds = func(_ context.Context, _, _ string, to delivery.RecipientDomain) (string, error) {
			if to.String() != "b.test" {
				return "", broken
			}
			return why, broken
		}
		why = "a rule"
		w.put("ok.a@b.test", "ok.b@c.test")
		eventually(t, "the other recipient", func() bool { return w.item("ok.b@c.test").State == spool.Delivered })
		if it := w.item("ok.a@b.test"); it.State != spool.Held || it.Word != "hold-rule" || it.Text != "a rule" {
			t.Errorf("%+v", it)
		}
		w.did(1)(w.Unhold(context.Background(), spool.Filter{}))
		eventually(t, "release", func() bool { return w.item("ok.a@b.test").State == spool.Delivered })
		broken = errors.New("database")
		if err := w.Enqueue(context.Background(), mail(t, "ok.d@b.test"), delivery.Bytes(text)); !errors.Is(err, broken) {
			t.Errorf("accepted: %v", err)
		}
	})
}

// JNK-3: what a milter wants put aside is held from the start, whatever the rules, and goes when it is released.
func TestQuarantine(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.run()
		env := mail(t, "ok.a@b.test")
		env.Quarantine = delivery.Fact{Word: reason.MilterQuarantine, Text: "av: Eicar"}
		if err := w.Enqueue(t.Context(), env, delivery.Bytes(text)); err != nil {
			t.Fatal(err)
		}
		if it := w.item("ok.a@b.test"); it.State != spool.Held || it.Word != "milter-quarantine" || it.Text != "av: Eicar" || len(w.tr.seen()) != 0 {
			t.Errorf("%+v", it)
		}
		w.did(1)(w.Unhold(t.Context(), spool.Filter{}))
		eventually(t, "release", func() bool { return w.item("ok.a@b.test").State == spool.Delivered })
	})
}

func TestHoldRuleAfterAcceptance(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.put("ok.a@b.test")
		w.Holds = func(context.Context, string, string, delivery.RecipientDomain) (string, error) {
			return "late rule", nil
		}
		w.step()
		it := w.item("ok.a@b.test")
		if it.State != spool.Held || it.Text != "late rule" || it.Recipient.Attempts != 0 || len(w.tr.seen()) != 0 || w.rows("attempts") != 0 {
			t.Errorf("%+v", it)
		}
	})
}

// QUE-7: whom an account sends no mail to fails at once, alone.
func TestSuppression(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.Suppression = &suppression.Store{DB: w.Store, Now: w.Now}
		if err := w.Suppression.Add(t.Context(), "alice", "ok.gone@b.test", "refused for good in May", time.Time{}); err != nil {
			t.Fatal(err)
		}
		for _, account := range []string{"alice", "bob"} {
			env := mail(t, "ok.gone@b.test", "never."+account+"@b.test")
			env.Account = account
			w.enqueue(env)
			w.step()
			items, err := w.List(context.Background(), spool.Filter{Message: env.ID, States: []spool.State{spool.Delivered, spool.Failed}})
			if err != nil || len(items) != 2 {
				t.Fatalf("%+v, %v", items, err)
			}
			if it := items[0]; account == "alice" && (it.State != spool.Failed || it.Word != "suppressed" || !strings.Contains(it.Text, "in May")) || account == "bob" && it.State != spool.Delivered {
				t.Errorf("%s: %+v", account, it)
			}
		}
		all, err := w.Suppression.List(t.Context(), "", suppression.Entry{}, 10)
		if err != nil || len(all) != 3 || all[0].Address != "never.alice@b.test" || all[0].Code != "550 5.1.1" || all[1].Manual == false || all[2].Address != "never.bob@b.test" {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

// QUE-10: nothing before the release.
func TestFutureRelease(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.run()
		env := mail(t, "later.a@b.test")
		env.NotBefore = noon.Add(24 * time.Hour)
		w.enqueue(env)
		time.Sleep(20 * time.Millisecond)
		if it := w.item("later.a@b.test"); it.State != spool.Waiting || !it.Due.Equal(env.NotBefore) || len(w.tr.seen()) != 0 {
			t.Errorf("%+v", it)
		}
	})
}

// RFC 4865 §5.1.2: a notice about a message that was to be held repeats the
// request as it was made, be it a time that was past by then.
func TestHoldInNotices(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.tr.outcome = func(r delivery.Recipient) delivery.Outcome {
			if strings.HasPrefix(r.Address, "never") {
				return delivery.Failed
			}
			return delivery.Delivered
		}
		for i, hold := range []string{"", "for;3600", "until;2026-05-04T13:00:00Z", "until;2001-01-01T00:00:00Z"} {
			address := fmt.Sprintf("never.%d@b.test", i)
			env := mail(t, address)
			env.Hold = hold
			if i == 1 || i == 2 {
				env.NotBefore = w.clock.now().Add(time.Hour)
			}
			w.enqueue(env)
			w.untilSettled(address)
			if it := w.item(address); it.State != spool.Failed || it.Envelope.Hold != hold {
				t.Fatalf("%q: %+v", hold, it)
			}
			before := len(w.tr.bodies)
			w.step()
			if len(w.tr.bodies) != before+1 {
				t.Fatalf("%q: %d notices went out", hold, len(w.tr.bodies)-before)
			}
			notice := w.tr.bodies[before]
			if has := strings.Contains(notice, "Future-Release-Request"); has != (hold != "") || has && !strings.Contains(notice, "\r\nFuture-Release-Request: "+hold+"\r\n") {
				t.Errorf("%q: %s", hold, notice)
			}
		}
	})
}

// QUE-10, QUE-4: the schedule counts from the release.
func TestScheduleAfterRelease(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.Schedule = func(delivery.Purpose) retry.Schedule {
			return retry.Schedule{Delays: []time.Duration{time.Hour}, Expire: 3 * time.Hour}
		}
		env := mail(t, "later.a@b.test")
		env.NotBefore = noon.Add(24 * time.Hour)
		w.enqueue(env)
		got := w.untilSettled("later.a@b.test")
		if len(got) != 4 || got[0] != 24*time.Hour || got[3] != 27*time.Hour || len(w.notices()) != 1 {
			t.Errorf("attempts at %v, %d notices", got, len(w.notices()))
		}
	})
}
