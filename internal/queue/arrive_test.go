package queue_test

import (
	"context"
	"errors"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/queue"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// arriving is a Local transport that writes a row into generation on Commit.
type arriving struct {
	outcome delivery.Outcome
	fail    error // of Commit
}

func (a arriving) Deliver(_ context.Context, j *delivery.Job, _ delivery.Content) delivery.Result {
	res := delivery.Result{Transport: "local", Commit: func(tx delivery.Tx, ids []int64) error {
		if a.fail != nil {
			return a.fail
		}
		return tx.(*store.Tx).Raise("mailbox")
	}}
	for _, r := range j.Recipients {
		res.Recipients = append(res.Recipients, delivery.RecipientResult{ID: r.ID, Outcome: a.outcome, Word: "mailbox"})
	}
	return res
}

// TestArrive: a message for mailboxes here is accepted and delivered in one
// transaction, without a runner; whatever else is to be done, it is queued.
func TestArrive(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		for _, c := range []struct {
			name   string
			local  arriving
			change func(*delivery.Envelope)
			want   queue.State
			boxes  int64
		}{
			{"all delivered", arriving{outcome: delivery.Delivered}, nil, queue.Delivered, 1},
			{"no such user any more", arriving{outcome: delivery.Failed}, nil, queue.Waiting, 0},
			{"store cannot say", arriving{outcome: delivery.Deferred}, nil, queue.Waiting, 0},
			{"mailbox full", arriving{outcome: delivery.Delivered, fail: errors.New("full")}, nil, queue.Waiting, 0},
			{"success notice wanted", arriving{outcome: delivery.Delivered},
				func(e *delivery.Envelope) { e.Recipients[0].Notify = delivery.NotifySuccess }, queue.Waiting, 0},
			{"one goes out", arriving{outcome: delivery.Delivered}, func(e *delivery.Envelope) {
				e.Recipients = append(e.Recipients, delivery.Recipient{Address: "b@far.test", Domain: delivery.RecipientDomain{Name: dns.MustParse("far.test")}})
			}, queue.Waiting, 0},
		} {
			t.Run(c.name, func(t *testing.T) {
				q := &queue.Queue{Store: db, Local: c.local, Hostname: "mx.test"}
				env := &delivery.Envelope{Sender: "a@far.test", Recipients: []delivery.Recipient{
					{Address: "u@here.test", Domain: delivery.RecipientDomain{Name: dns.MustParse("here.test")}, Local: true}}}
				if c.change != nil {
					c.change(env)
				}
				before := raised(t, db)
				if err := q.Enqueue(t.Context(), env, delivery.Bytes("Subject: x\r\n\r\ny\r\n")); err != nil {
					t.Fatal(err)
				}
				shown, err := q.Show(t.Context(), env.ID)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range shown.Recipients {
					if r.State != c.want {
						t.Errorf("%s is %s, want %s", r.Recipient.Address, r.State, c.want)
					}
				}
				if n := raised(t, db) - before; n != c.boxes {
					t.Errorf("the mailbox was written %d times, want %d", n, c.boxes)
				}
				if c.want == queue.Delivered && (len(shown.Attempts) != 1 || bodies(t, db, env.ID) != 0) {
					t.Errorf("attempts %d, bodies %d; want the history and no body", len(shown.Attempts), bodies(t, db, env.ID))
				}
			})
		}
	})
}

func raised(t *testing.T, db *store.Store) int64 {
	t.Helper()
	n, err := db.Generation(t.Context(), "mailbox")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func bodies(t *testing.T, db *store.Store, id int64) (n int64) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`SELECT count(*) FROM bodies WHERE message = ?`, id).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
