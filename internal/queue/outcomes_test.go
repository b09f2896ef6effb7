package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/outcomes"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// seen is a transport with one session over TLS for each attempt.
type seen struct{ *script }

func (s seen) Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	res := s.script.Deliver(ctx, job, c)
	res.Visits = []delivery.Visit{{Sessions: []delivery.Session{{TLS: &delivery.TLSFacts{Version: "TLS1.3"}}}}}
	return res
}

// disk is one that is full now and then.
type disk struct{ full atomic.Bool }

func (d *disk) commit(commit func() error) error {
	if d.full.Load() {
		return fmt.Errorf("commit: %w", store.ErrFull)
	}
	return commit()
}

// fullDisk is a world whose disk is full as soon as the first of n messages is with its
// host, and has been so until all outcomes that are known wait for it.
func fullDisk(t *testing.T, s *store.Store, d *disk, n int, file string) (w *world, stop func()) {
	t.Helper()
	w = newWorld(t, s, "one")
	w.resize(dispatch.Bounds{Concurrency: 4, PerContact: 20, Jobs: 100})
	w.Outcomes = file
	w.Direct = seen{w.tr}
	for i := range n {
		w.put(fmt.Sprintf("ok.%d@b%d.test", i, i))
	}
	var first sync.Once
	w.tr.during = func(context.Context, *delivery.Job) { first.Do(func() { d.full.Store(true) }) }
	stop = w.run()
	eventually(t, "an outcome that the store does not take", func() bool {
		s := w.board.State()
		return s.Unsettled > 0 && s.Unsettled == s.Running
	})
	return w, stop
}

// once says how often each recipient was delivered to, if not once.
func (s *script) once(n int) (wrong []string) {
	count := map[string]int{}
	for _, j := range s.seen() {
		for _, r := range j.Recipients {
			count[r.Address]++
		}
	}
	for i := range n {
		if a := fmt.Sprintf("ok.%d@b%d.test", i, i); count[a] != 1 {
			wrong = append(wrong, fmt.Sprintf("%s: %d times", a, count[a]))
		}
	}
	return wrong
}

func (w *world) allDelivered() bool {
	items, err := w.List(context.Background(), spool.Filter{States: []spool.State{spool.Waiting, spool.Leased, spool.Held, spool.Failed}})
	return err == nil && len(items) == 0
}

// An outcome that the store does not take waits until it does, and no attempt begins
// meanwhile (QUE-2).
func TestOutcomesWaitForTheStore(t *testing.T) {
	t.Parallel()
	storetest.EachDatabase(t, func(t *testing.T, open func(func(*store.Options)) *store.Store) {
		var d disk
		s := open(func(o *store.Options) { o.Commit = d.commit })
		const n = 20
		w, stop := fullDisk(t, s, &d, n, filepath.Join(t.TempDir(), "outcomes"))
		begun := len(w.tr.seen())
		time.Sleep(300 * time.Millisecond)
		if later := len(w.tr.seen()); later != begun || begun > 4 {
			t.Errorf("%d attempts had begun, then %d", begun, later)
		}
		w.clock.add(2 * w.Lease) // all leases have ended
		d.full.Store(false)
		eventually(t, "all to be settled", w.allDelivered)
		stop()
		if wrong := w.tr.once(n); len(wrong) > 0 {
			t.Errorf("not once: %v", wrong)
		}
		for _, text := range []string{"the store does not take what attempts came to", "the store takes outcomes again"} {
			if strings.Count(w.log.String(), text) < 1 {
				t.Errorf("the log lacks %q:\n%s", text, w.log)
			}
		}
		if list := outcomesOf(t, w.Outcomes); len(list) != 0 {
			t.Errorf("the file still holds %d", len(list))
		}
	})
}

// An outcome that the store had not taken when the server ended is settled by the next
// one, with all that the reports say of it: of 20 mails none goes out twice.
func TestOutcomesSurviveARestart(t *testing.T) {
	t.Parallel()
	storetest.EachDatabase(t, func(t *testing.T, open func(func(*store.Options)) *store.Store) {
		var d disk
		s := open(func(o *store.Options) { o.Commit = d.commit })
		const n = 20
		file := filepath.Join(t.TempDir(), "outcomes")
		w, stop := fullDisk(t, s, &d, n, file)
		known := len(w.tr.seen())
		stop()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if list := outcomesOf(t, file); len(list) != known {
			t.Errorf("%d outcomes are known, %d in the file\n%s", known, len(list), w.log)
		}
		d.full.Store(false)

		again := newWorld(t, open(nil), "one")
		again.tr.jobs, again.Outcomes = w.tr.seen(), file
		again.Direct = seen{again.tr}
		var sessions atomic.Int64
		again.Record = func(_ *store.Tx, _ *delivery.Job, res *delivery.Result) error {
			if len(res.Visits) == 1 && res.Visits[0].Sessions[0].TLS.Version == "TLS1.3" {
				sessions.Add(1)
			}
			return nil
		}
		again.clock.add(2 * again.Lease) // all leases have ended
		stop = again.run()
		defer func() {
			if t.Failed() {
				t.Log(again.log)
			}
		}()
		eventually(t, "all to be settled", again.allDelivered)
		stop()
		if wrong := again.tr.once(n); len(wrong) > 0 {
			t.Errorf("not once: %v", wrong)
		}
		if sessions.Load() < n { // a Record may run again after a conflict
			t.Errorf("%d sessions recorded, %d made", sessions.Load(), n)
		}
		if list := outcomesOf(t, file); len(list) != 0 {
			t.Errorf("the file still holds %d", len(list))
		}
	})
}

// What was settled or leased by another after all is left alone.
func TestKeptOutcomeOfALostLease(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s, "one")
		w.put("ok.a@b.test")
		lost := w.crash()[0]
		w.Outcomes = filepath.Join(t.TempDir(), "outcomes")
		o, _, err := outcomes.Open(w.Outcomes)
		if err != nil {
			t.Fatal(err)
		}
		one := outcomes.Outcome{Message: lost.ID, Claim: lost.lease.number + 1, Recipients: lost.lease.ids,
			Result: delivery.Result{Recipients: lost.all(delivery.Failed, "no", "no")}}
		if err := o.Keep(one); err != nil {
			t.Fatal(err)
		}
		stop := w.run()
		eventually(t, "delivery", func() bool { return w.item("ok.a@b.test").State == spool.Delivered })
		eventually(t, "the file to be empty", func() bool { return len(outcomesOf(t, w.Outcomes)) == 0 })
		stop()
	})
}

func outcomesOf(t *testing.T, path string) []outcomes.Outcome {
	t.Helper()
	o, list, err := outcomes.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	return list
}

// What another release wrote and this one cannot read is left out, and said.
func TestUnreadableOutcome(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		w := newWorld(t, s, "one")
		w.Outcomes = filepath.Join(t.TempDir(), "outcomes")
		var b []byte
		for _, text := range []string{`{"Message":"of another kind"}`, `{"Message":7,"Claim":8,"Recipients":[9]}`} {
			b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
			b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE([]byte(text)))
			b = append(b, text...)
		}
		if err := os.WriteFile(w.Outcomes, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if list := w.openOutcomes(); len(list) != 1 || list[0].Claim != 8 || w.board.State().Unsettled == 0 {
			t.Errorf("read: %+v", list)
		}
		if !strings.Contains(w.log.String(), "cannot be read: their messages will be tried again") {
			t.Error(w.log)
		}
	})
}

// Where the store fails, what may have been delivered is tried again only if nothing else
// can be done (QUE-2).
func TestEnding(t *testing.T) {
	t.Parallel()
	yes := []bool{false, true}
	for _, tried := range yes {
		for _, away := range yes {
			for _, gone := range yes {
				for _, ends := range yes {
					for _, kept := range yes {
						for _, tries := range []int{1, settleTries - 1, settleTries, settleTries + 1} {
							for _, refused := range []int{0, settleTries - 1, settleTries, settleTries + 1} {
								f := failedTry{tried: tried, gone: gone, away: away || gone, ends: ends || gone, kept: kept, tries: tries, refused: refused}
								many := tries >= settleTries
								want := tryAgain
								switch {
								case !tried && (gone || many), tried && f.away && f.ends && !kept && (gone || many):
									want = endLost
								case tried && f.away && f.ends && kept:
									want = endKept
								case tried && !f.away && refused >= settleTries:
									want = endHeld
								}
								if got := f.ending(); got != want {
									t.Errorf("%+v: %d, want %d", f, got, want)
								}
							}
						}
					}
				}
			}
		}
	}
}

// QUE-2: what this process has leased and nobody works on is due again within a minute
// or two, not when the lease ends: the answer to a commit was lost, or the store was
// away when a lease was given back.
func TestLostLeasesAreReclaimed(t *testing.T) {
	t.Parallel()
	storetest.EachDatabase(t, func(t *testing.T, open func(func(*store.Options)) *store.Store) {
		var unknown, d atomic.Bool
		s := open(func(o *store.Options) {
			o.Commit = func(commit func() error) error {
				if d.Load() {
					return store.ErrFull
				}
				if err := commit(); err != nil || !unknown.Load() {
					return err
				}
				return store.ErrUnknown
			}
		})
		w := newWorld(t, s, "one")
		w.board.Open()
		reclaimed := func(address string) {
			t.Helper()
			if it := w.item(address); it.State != spool.Leased {
				t.Fatalf("%s: %+v", address, it)
			}
			if err := w.reclaim(t.Context()); err != nil {
				t.Fatal(err)
			}
			if it := w.item(address); it.State != spool.Waiting || it.Due.After(w.clock.now()) {
				t.Errorf("%s is not due again: %+v", address, it)
			}
		}

		unknown.Store(true)
		if err := w.Enqueue(t.Context(), mail(t, "ok.a@b.test"), delivery.Bytes(text)); !errors.Is(err, store.ErrUnknown) {
			t.Fatal(err)
		}
		unknown.Store(false)
		reclaimed("ok.a@b.test")

		unknown.Store(true)
		if _, _, err := w.claim(t.Context(), 10); !errors.Is(err, store.ErrUnknown) {
			t.Fatal(err)
		}
		unknown.Store(false)
		reclaimed("ok.a@b.test")

		jobs, _, err := w.claim(t.Context(), 10)
		if err != nil || len(jobs) != 1 {
			t.Fatal(jobs, err)
		}
		d.Store(true)
		w.giveBack(t.Context(), jobs, w.clock.now())
		d.Store(false)
		reclaimed("ok.a@b.test")

		// What is on the board, or on its way there, stays.
		jobs, _, err = w.claim(t.Context(), 10)
		if err != nil || len(jobs) != 1 {
			t.Fatal(jobs, err)
		}
		end := w.claims.put(jobs[0].lease.number)
		for _, step := range []func(){func() {}, func() { w.board.Add(jobs, false); end() }} {
			step()
			if err := w.reclaim(t.Context()); err != nil {
				t.Fatal(err)
			}
			if it := w.item("ok.a@b.test"); it.State != spool.Leased {
				t.Errorf("a lease that is in use was released: %+v", it)
			}
		}
	})
}

// What the store takes for others and not for this message is not sent again and again:
// the message is held after some tries, and the others go on.
func TestOutcomeThatCannotBeStored(t *testing.T) {
	t.Parallel()
	storetest.EachDatabase(t, func(t *testing.T, open func(func(*store.Options)) *store.Store) {
		var broken, full atomic.Int64
		s := open(func(o *store.Options) {
			o.Commit = func(commit func() error) error {
				if full.Add(-1) >= 0 {
					return store.ErrFull
				}
				if broken.Add(-1) >= 0 {
					return errors.New("this row cannot be written")
				}
				return commit()
			}
		})
		w := newWorld(t, s, "one")
		w.pause = func(context.Context, time.Duration) {}
		w.put("ok.a@b.test")
		w.tr.during = func(context.Context, *delivery.Job) { broken.Store(settleTries) }
		w.step()
		it := w.item("ok.a@b.test")
		if it.State != spool.Held || !strings.Contains(w.log.String(), "it may have been delivered") {
			t.Errorf("%+v\n%s", it, w.log)
		}
		w.tr.during = nil
		w.put("ok.c@b.test")
		w.step()
		if n := len(w.tr.seen()); n != 2 || w.item("ok.c@b.test").State != spool.Delivered {
			t.Errorf("%d attempts", n)
		}

		// So too where the store was away first.
		w.Outcomes = filepath.Join(t.TempDir(), "outcomes")
		w.openOutcomes()
		w.put("ok.d@b.test")
		j := w.crash()[0]
		w.board.Open() // the server is not being stopped
		w.tr.during = func(context.Context, *delivery.Job) { full.Store(settleTries); broken.Store(settleTries) }
		w.contained(j)
		if it := w.item("ok.d@b.test"); it.State != spool.Held {
			t.Errorf("%+v\n%s", it, w.log)
		}
		if list := outcomesOf(t, w.Outcomes); len(list) != 0 || w.board.State().Unsettled > 0 {
			t.Errorf("%d outcomes wait for a message that is held", len(list))
		}
	})
}
