package queue

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/mailboxes"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// crasher lets a number of commits be made; then the machine is dead.
type crasher struct{ left atomic.Int64 }

var errCrashed = fmt.Errorf("crashed: %w", store.ErrClosed)

func (c *crasher) commit(commit func() error) error {
	if c.left.Add(-1) < 0 {
		return errCrashed
	}
	return commit()
}

// A crash at any commit on the way of a message, into the queue, into mailboxes and
// out, loses none that was accepted, gives no mailbox two, and leaves no octet of a
// body for which there is no use.
func TestCrashAtEveryCommit(t *testing.T) {
	t.Parallel()
	storetest.EachDatabase(t, func(t *testing.T, open func(func(*store.Options)) *store.Store) {
		first := open(nil)
		acc := &accounts.Store{DB: first}
		for _, name := range []string{"ok.a", "ok.b"} {
			if err := acc.AddAccount(t.Context(), name, "correct horse"); err != nil {
				t.Fatal(err)
			}
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		step := int64(1)
		if testing.Short() {
			step = 3
		}
		for _, size := range []int{5000, 20 * body.MaxTx} {
			for n := int64(0); ; n += step {
				if all := crashAfter(t, open, size, n); all {
					if n < 2 {
						t.Errorf("%d octets take %d commits: does the test still see them?", size, n)
					}
					break
				}
			}
		}
	})
}

// crashAfter lets a message of size octets to two mailboxes and a stranger go its way,
// with a crash after n commits; it reports whether there was none.
func crashAfter(t *testing.T, open func(func(*store.Options)) *store.Store, size int, n int64) (all bool) {
	ctx := context.Background()
	data := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
	var c crasher
	c.left.Store(n)
	s := open(func(o *store.Options) { o.Commit = c.commit })
	w := crashWorld(t, s)
	env := mail(t, "ok.a@here.test", "ok.b@here.test", "ok.a@there.test", "ok.far@b.test")
	for i := range env.Recipients[:3] {
		env.Recipients[i].Local = true
	}
	err := w.Enqueue(ctx, env, delivery.Bytes(data))
	accepted := err == nil
	if accepted {
		w.stepCrashing()
	}
	if all = c.left.Load() >= 0; all && !accepted {
		t.Fatalf("%v, without a crash", err)
	}
	s.Close()

	s = open(nil)
	w = crashWorld(t, s)
	if err := w.reclaim(ctx); err != nil {
		t.Fatal(err)
	}
	w.step()
	w.clock.add(body.OrphanAge + time.Second)
	w.sweep(ctx)
	w.checkCrashed(n, accepted, data)
	for _, table := range []string{"mailbox_entries", "mails", "bodies", "body_chunks", "recipients", "messages", "attempts", "lanes"} {
		w.exec(`DELETE FROM ` + table)
	}
	s.Close()
	return all
}

func crashWorld(t *testing.T, s *store.Store) *world {
	w := newWorld(t, s, "one")
	w.Local, w.Mailboxes = copying{w.tr}, &mailboxes.Store{DB: s, Now: w.Now}
	return w
}

// stepCrashing is step on a machine that may crash meanwhile.
func (w *world) stepCrashing() {
	jobs, _, err := w.claim(context.Background(), 1000)
	if err != nil {
		return
	}
	for _, j := range jobs {
		w.perform(j)
	}
}

func (w *world) checkCrashed(n int64, accepted bool, data []byte) {
	w.t.Helper()
	copies := 0
	for _, account := range []string{"ok.a", "ok.b"} {
		list, err := w.Mailboxes.List(context.Background(), account, "", 9)
		if err != nil {
			w.t.Fatal(err)
		}
		copies += len(list)
		if len(list) > 1 || accepted && len(list) == 0 {
			w.t.Errorf("%d octets, crash after %d commits: %s has %d messages (accepted: %v)", len(data), n, account, len(list), accepted)
		}
		for _, m := range list {
			if !bytes.HasSuffix(read(w.t.(*testing.T), w.Mailboxes, m.ID), data) {
				w.t.Errorf("%d octets, crash after %d commits: the message of %s is damaged", len(data), n, account)
			}
		}
	}
	if accepted && w.item("ok.far@b.test").State != spool.Delivered {
		w.t.Errorf("%d octets, crash after %d commits: %+v", len(data), n, w.item("ok.far@b.test"))
	}
	err := w.Store.Read(context.Background(), func(tx *store.Tx) error {
		var bodies, users, chunks int
		err := tx.Row(`SELECT count(*), coalesce(sum(users), 0), (SELECT count(*) FROM body_chunks) FROM bodies`).Scan(&bodies, &users, &chunks)
		wantChunks := 0
		if copies > 0 && len(data) > body.MaxInline {
			wantChunks = (len(data) + body.MaxTx - 1) / body.MaxTx
		}
		if bodies != min(copies, 1) || users != copies || chunks != wantChunks {
			w.t.Errorf("%d octets, crash after %d commits: %d copies, %d bodies with %d users and %d chunks (want %d)", len(data), n, copies, bodies, users, chunks, wantChunks)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
