package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/mailboxes"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// each runs a test on both engines with a queue of its own.
func each(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) { fn(t, newWorld(t, s, "one")) })
}

func TestFreshMailIsDeliveredFromMemory(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.run()
		w.put("ok.bob@b.test")
		eventually(t, "delivery", func() bool { return w.item("ok.bob@b.test").State == spool.Delivered })
		job := w.tr.seen()[0]
		if w.tr.bodies[0] != text || job.Sender != "alice@sender.test" || job.Domain.String() != "b.test" || job.Size != int64(len(text)) {
			t.Errorf("job %+v, body %q", job, w.tr.bodies[0])
		}
		if n := w.rows("bodies"); n != 0 {
			t.Errorf("%d bodies are left of settled messages", n)
		}
		shown, err := w.Show(context.Background(), job.ID)
		if err != nil || len(shown.Attempts) != 1 || shown.Attempts[0].Detail.Recipients[0].Reply != "250 2.0.0 taken" {
			t.Errorf("history %+v, %v", shown, err)
		}
	})
}

// QUE-2: the lease and the attempt are durable before anything is dialled.
func TestClaimIsDurableBeforeTheDial(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var seen []spool.Item
		w.tr.during = func(context.Context, *delivery.Job) {
			items, err := w.List(context.Background(), spool.Filter{States: []spool.State{spool.Leased}})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, items...)
		}
		w.put("later.claimed@b.test")
		w.step()
		w.run()
		w.put("ok.fresh@b.test")
		eventually(t, "both", func() bool { mu.Lock(); defer mu.Unlock(); return len(seen) == 2 })
		for _, it := range seen {
			if it.Owner != "one" || it.Recipient.Attempts != 1 || !it.Due.Equal(noon.Add(w.Lease)) {
				t.Errorf("at the dial the row was %+v", it)
			}
		}
	})
}

func TestEnqueueTx(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.run()
		refuse := errors.New("no")
		for _, want := range []error{refuse, nil} {
			err := w.Store.Write(context.Background(), func(tx *store.Tx) error {
				if err := w.EnqueueTx(tx, mail(t, "ok.bob@b.test"), delivery.Bytes(text)); err != nil {
					return err
				}
				return want
			})
			if !errors.Is(err, want) {
				t.Fatal(err)
			}
		}
		w.Wake()
		eventually(t, "delivery", func() bool { return len(w.tr.seen()) == 1 && w.item("ok.bob@b.test").State == spool.Delivered })
	})
}

// QUE-1: recipients that share domain travel together, others do not.
func TestRecipientsTravelByDomain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		check := func(when string) {
			got := map[string]int{}
			for _, j := range w.tr.seen() {
				got[j.Domain.String()] += 10 + len(j.Recipients) // 10 a job, 1 a recipient
			}
			if len(got) != 3 || got["a.test"] != 12 || got["b.test"] != 12 || got["[192.0.2.1]"] != 11 {
				t.Errorf("%s: %v", when, got)
			}
		}
		to := []string{"later.1@a.test", "later.2@b.test", "later.3@a.test", "later.4@[192.0.2.1]", "later.5@b.test"}
		w.put(to...)
		w.step()
		check("claimed")
		w.tr.jobs = nil
		w.clock.add(2 * time.Minute)
		w.step()
		check("after a retry")
	})
}

func TestEnqueueRefusesNonsense(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		if err := w.Enqueue(ctx, &delivery.Envelope{}, delivery.Bytes(text)); err == nil {
			t.Error("a message without recipients was accepted")
		}
		for _, size := range []int64{4, MaxInline + 1} { // it announces more than it has
			if err := w.Enqueue(ctx, mail(t, "ok@b.test"), short(size)); err == nil {
				t.Errorf("a truncated body of %d octets was accepted", size)
			}
		}
		if n := w.rows("messages") + w.rows("body_chunks") + w.rows("recipients"); n != 0 {
			t.Errorf("%d rows are left of what was refused", n)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		w.run()
		if err := w.Enqueue(ended, mail(t, "ok@b.test"), delivery.Bytes(text)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if s := w.board.State(); s.Jobs != 0 || s.Memory != 0 {
			t.Error("a refused message keeps its room")
		}
	})
}

// short is a content that has fewer octets than it says.
type short int64

func (s short) Size() int64                  { return int64(s) }
func (s short) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("abc")), nil }

// largeChunk is the size of the pieces in which large bodies are stored.
const largeChunk = body.MaxTx

func TestLargeBody(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		body := bytes.Repeat([]byte("0123456789abcde\n"), 3*largeChunk/16+5)
		for _, running := range []bool{false, true} {
			if running {
				w.run()
			}
			if err := w.Enqueue(context.Background(), mail(t, "ok.bob@b.test"), delivery.Bytes(body)); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "deliveries", func() bool { c, _ := w.Count(context.Background()); return c[spool.Delivered] == 2 })
		for _, b := range w.tr.bodies {
			if b != string(body) {
				t.Errorf("the body has changed: %d octets of %d", len(b), len(body))
			}
		}
		// They are removed behind the outcome, in transactions of their own.
		eventually(t, "no chunk is left", func() bool { return w.rows("body_chunks")+w.rows("bodies") == 0 })
	})
}

func TestTruncatedBodyIsNoEOF(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		env := mail(t, "ok.bob@b.test")
		if err := w.Enqueue(context.Background(), env, delivery.Bytes(make([]byte, 2*largeChunk))); err != nil {
			t.Fatal(err)
		}
		w.exec(`DELETE FROM body_chunks WHERE part = 1`)
		w.step()
		if got := w.tr.bodies[0]; !strings.Contains(got, "ends after 262144 of 524288 octets") {
			t.Errorf("got %.100q", got)
		}
	})
}

func (w *world) exec(q string, args ...any) {
	w.t.Helper()
	err := w.Store.Write(context.Background(), func(tx *store.Tx) error {
		_, err := tx.Exec(q, args...)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// A panic, silence, and a missing transport are temporary failures.
func TestBrokenTransport(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i, c := range []struct{ to, word string }{
			{"panic.a@b.test", "internal-error"}, {"silent.b@b.test", "no-result"}, {"ok.c@b.test", "no-transport"},
		} {
			w.put(c.to)
			if i == 2 {
				w.Direct = nil
			}
			w.step()
			if it := w.item(c.to); it.State != spool.Waiting || string(it.Word) != c.word || !it.Due.Equal(noon.Add(time.Minute)) {
				t.Errorf("%s: %+v", c.to, it)
			}
		}
		if !slices.Contains(w.panicked, guard.Delivery) {
			t.Error("the panic was not logged")
		}
	})
}

func TestUnreadableDomainFails(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.put("ok.a@b.test")
		w.exec(`UPDATE recipients SET domain = 'not a domain', dest = 'not a domain'`)
		w.exec(`UPDATE lanes SET dest = 'not a domain'`)
		w.step()
		if it := w.item("ok.a@b.test"); it.State != spool.Failed || it.Word != "bad-domain" {
			t.Errorf("%+v", it)
		}
	})
}

func TestHistoryIsSwept(t *testing.T) { // QUE-8
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.put("ok.a@b.test", "later.b@c.test")
		w.put("ok.c@b.test")
		w.step()
		if err := w.bodies().Put(ctx, 1, delivery.Bytes(make([]byte, largeChunk))); err != nil {
			t.Fatal(err)
		}
		w.clock.add(w.History)
		w.sweep(ctx)
		if n := w.rows("messages"); n != 2 {
			t.Errorf("swept too early: %d messages", n)
		}
		w.clock.add(time.Second)
		w.sweep(ctx)
		if m, r, a := w.rows("messages"), w.rows("recipients"), w.rows("attempts"); m != 1 || r != 2 || a != 2 {
			t.Errorf("%d messages, %d recipients, %d attempts; the one that waits has 1, 2, 2", m, r, a)
		}
		if n := w.rows("body_chunks"); n != 0 {
			t.Error("a body without a message was not swept")
		}
	})
}

// A message of thousands of recipients leaves the history in several transactions.
func TestSweepIsBounded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var to []string
		for i := range 2500 { // of 2000 a transaction
			to = append(to, fmt.Sprintf("ok.%d@b.test", i))
		}
		w.put(to...)
		for w.step() > 0 {
			w.clock.add(time.Second)
		}
		w.clock.add(w.History + time.Second)
		for _, left := range []int{500, 0} {
			more, err := store.Write(context.Background(), w.Store, w.sweepHistory)
			if err != nil || more != (left > 0) || w.rows("recipients") != left {
				t.Errorf("%d recipients are left, want %d; more: %v, %v", w.rows("recipients"), left, more, err)
			}
		}
		if n := w.rows("messages") + w.rows("attempts"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

func TestNoHistory(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.History = -1
		w.put("ok.a@b.test", "ok.b@c.test")
		w.step()
		for _, table := range []string{"messages", "recipients", "bodies", "attempts"} {
			if n := w.rows(table); n != 0 {
				t.Errorf("%d rows in %s", n, table)
			}
		}
	})
}

func TestRecordAndSettledShareTheTransaction(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var recorded, settled int
		w.Record = func(tx *store.Tx, job *delivery.Job, res *delivery.Result) error {
			recorded++
			return tx.Raise("recorded")
		}
		w.Settled = func(tx *store.Tx, env delivery.Envelope, rr delivery.RecipientResult) error {
			settled++
			if env.Ref == "bad" {
				return errors.New("no such report")
			}
			return tx.Raise("settled")
		}
		gen := func(area string) int64 {
			n, err := w.Store.Generation(context.Background(), area)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		env := mail(t, "ok.a@b.test", "later.b@b.test", "never.c@c.test")
		env.Sender = ""
		w.enqueue(env)
		w.step()
		if gen("recorded") != 2 || gen("settled") != 2 {
			t.Errorf("recorded %d, settled %d", gen("recorded"), gen("settled"))
		}
		// A hook that fails undoes its transaction, and does not make the message go twice.
		bad := mail(t, "ok.bad@b.test")
		bad.Ref = "bad"
		w.enqueue(bad)
		w.step()
		if gen("recorded") != 2 || w.item("ok.bad@b.test").State != spool.Delivered {
			t.Errorf("recorded %d, %+v", gen("recorded"), w.item("ok.bad@b.test"))
		}
	})
}

// What mailboxes get is part of the settling transaction; where a mailbox cannot take
// it, nothing was delivered.
func TestMailboxRefuses(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		acc := &accounts.Store{DB: w.Store}
		w.Mailboxes = &mailboxes.Store{DB: w.Store, Now: w.Now}
		w.Local = copying{w.tr}
		w.IsLocal = func(_ context.Context, d delivery.RecipientDomain) (bool, error) {
			return d.String() == "here.test", nil
		}
		w.put("ok.a@here.test", "never.b@here.test")
		w.step()
		if it := w.item("ok.a@here.test"); it.State != spool.Waiting || it.Word != "mailbox-error" || !it.Recipient.Local {
			t.Errorf("%+v", it)
		}
		if it := w.item("never.b@here.test"); it.State != spool.Failed {
			t.Errorf("%+v", it)
		}
		if err := acc.AddAccount(ctx, "ok.a", "correct horse"); err != nil {
			t.Fatal(err)
		}
		w.clock.add(time.Hour)
		w.step()
		list, err := w.Mailboxes.List(ctx, "ok.a", "", 9)
		if it := w.item("ok.a@here.test"); it.State != spool.Delivered || len(list) != 1 || err != nil {
			t.Errorf("%d messages in the mailbox, %v: %+v", len(list), err, it)
		}
	})
}

// copying is a script whose delivered mail goes into the mailboxes of its addresses' local parts.
type copying struct{ *script }

func (c copying) Deliver(ctx context.Context, job *delivery.Job, content delivery.Content) delivery.Result {
	res := c.script.Deliver(ctx, job, content)
	for i, rr := range res.Recipients {
		if rr.Outcome == delivery.Delivered {
			local, _, _ := strings.Cut(job.Recipients[i].Address, "@")
			res.Copies = append(res.Copies, delivery.Copy{Recipient: rr.ID, Address: job.Recipients[i].Address, Account: local})
		}
	}
	return res
}

// Who is local cannot be told: refused at acceptance, deferred at an attempt,
// never sent away.
func TestUnknownIsNotForeign(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.put("ok.a@b.test")
		broken := errors.New("database")
		w.IsLocal = func(context.Context, delivery.RecipientDomain) (bool, error) { return false, broken }
		if err := w.Enqueue(context.Background(), mail(t, "ok.b@b.test"), delivery.Bytes(text)); !errors.Is(err, broken) {
			t.Errorf("accepted: %v", err)
		}
		w.step()
		if it := w.item("ok.a@b.test"); it.State != spool.Waiting || it.Word != "store-error" || len(w.tr.seen()) != 0 {
			t.Errorf("%+v, %d attempts", it, len(w.tr.seen()))
		}
	})
}

// Attempted runs once, also where the settling transaction ran more often.
func TestAttemptedRunsOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		recorded, attempted := 0, 0
		w.Record = func(*store.Tx, *delivery.Job, *delivery.Result) error {
			if recorded++; recorded == 1 {
				return errors.New("once more")
			}
			return nil
		}
		w.Attempted = func(job *delivery.Job, res *delivery.Result) { attempted++; panic("contained") }
		w.put("ok.a@b.test")
		w.step()
		if recorded != 2 || attempted != 1 || w.item("ok.a@b.test").State != spool.Delivered {
			t.Errorf("recorded %d times, told %d times", recorded, attempted)
		}
	})
}

// A domain that is hosted since its mail was accepted; a signer and a hook that panic.
func TestSurprises(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		here := &script{}
		w.Local = here
		w.put("ok.a@moved.test")
		w.IsLocal = func(_ context.Context, d delivery.RecipientDomain) (bool, error) {
			return d.String() == "moved.test", nil
		}
		w.step()
		if len(here.seen()) != 1 || len(w.tr.seen()) != 0 || w.item("ok.a@moved.test").State != spool.Delivered {
			t.Error("not delivered here")
		}
		w.Sign = func(context.Context, []byte) ([]byte, error) { panic("signer") }
		w.put("never.b@b.test")
		w.step()
		if w.item("never.b@b.test").State != spool.Failed || !slices.Contains(w.panicked, guard.Notice) {
			t.Error("a panic in a notification undid the outcome")
		}
		w.Sign = nil
		w.Record = func(*store.Tx, *delivery.Job, *delivery.Result) error { panic("hook") }
		w.put("ok.c@b.test")
		w.step()
		if w.item("ok.c@b.test").State != spool.Delivered {
			t.Error("a panic in a hook undid the outcome")
		}
		if !slices.Contains(w.panicked, guard.Settle) {
			t.Error("the panic in a hook was not counted")
		}
	})
}
