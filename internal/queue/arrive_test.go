package queue_test

import (
	"context"
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/body"
	"waxwing/internal/delivery"
	"waxwing/internal/mailboxes"
	"waxwing/internal/queue"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// arriving is a Local transport that has found account's mailbox, or not.
type arriving struct {
	outcome delivery.Outcome
	account string
}

func (a arriving) Deliver(_ context.Context, j *delivery.Job, _ delivery.Content) delivery.Result {
	res := delivery.Result{Transport: "local"}
	for _, r := range j.Recipients {
		res.Recipients = append(res.Recipients, delivery.RecipientResult{ID: r.ID, Outcome: a.outcome, Word: "mailbox"})
		if a.outcome == delivery.Delivered {
			res.Copies = append(res.Copies, delivery.Copy{Recipient: r.ID, Address: r.Address, Account: a.account})
		}
	}
	return res
}

// TestArrive: a message for mailboxes here is accepted and delivered in one
// transaction, without a runner; whatever else is to be done, it is queued.
func TestArrive(t *testing.T) {
	t.Parallel()
	small, large := "Subject: x\r\n\r\ny\r\n", "Subject: x\r\n\r\n"+strings.Repeat("0123456789abcd\r\n", 40<<10)
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		if err := (&accounts.Store{DB: db}).AddAccount(t.Context(), "u", "correct horse"); err != nil {
			t.Fatal(err)
		}
		boxes := &mailboxes.Store{DB: db}
		for _, c := range []struct {
			name   string
			local  arriving
			text   string
			change func(*delivery.Envelope)
			want   spool.State
			copies int
		}{
			{"all delivered", arriving{delivery.Delivered, "u"}, small, nil, spool.Delivered, 1},
			{"large", arriving{delivery.Delivered, "u"}, large, nil, spool.Delivered, 1},
			{"several addresses of one account, in two domains", arriving{delivery.Delivered, "u"}, small, func(e *delivery.Envelope) {
				for _, to := range []string{"u+a@here.test", "u@there.test"} {
					e.Recipients = append(e.Recipients, local(to))
				}
			}, spool.Delivered, 1},
			{"no such user any more", arriving{delivery.Failed, ""}, small, nil, spool.Waiting, 0},
			{"store cannot say", arriving{delivery.Deferred, ""}, small, nil, spool.Waiting, 0},
			{"mailbox refuses", arriving{delivery.Delivered, "nobody"}, small, nil, spool.Waiting, 0},
			{"large, and the mailbox refuses", arriving{delivery.Delivered, "nobody"}, large, nil, spool.Waiting, 0},
			{"success notice wanted", arriving{delivery.Delivered, "u"}, small,
				func(e *delivery.Envelope) { e.Recipients[0].Notify = delivery.NotifySuccess }, spool.Waiting, 0},
			{"one goes out", arriving{delivery.Delivered, "u"}, small, func(e *delivery.Envelope) {
				r := local("b@far.test")
				r.Local = false
				e.Recipients = append(e.Recipients, r)
			}, spool.Waiting, 0},
		} {
			t.Run(c.name, func(t *testing.T) {
				q := &queue.Queue{Store: db, Local: c.local, Mailboxes: boxes, Hostname: "mx.test"}
				env := &delivery.Envelope{Sender: "a@far.test", Recipients: []delivery.Recipient{local("u@here.test")}}
				if c.change != nil {
					c.change(env)
				}
				before := mails(t, boxes)
				if err := q.Enqueue(t.Context(), env, delivery.Bytes(c.text)); err != nil {
					t.Fatal(err)
				}
				shown, err := spool.Show(t.Context(), db, env.ID)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range shown.Recipients {
					if r.State != c.want {
						t.Errorf("%s is %s, want %s", r.Recipient.Address, r.State, c.want)
					}
				}
				if n := mails(t, boxes) - before; n != c.copies {
					t.Errorf("the mailbox has %d more messages, want %d", n, c.copies)
				}
				if c.want == spool.Delivered && len(shown.Attempts) == 0 {
					t.Error("no history")
				}
				if n := users(t, db, env.ID); n != 1 { // the mailbox, or the queue
					t.Errorf("the body has %d users, want 1", n)
				}
			})
		}
	})
}

func local(address string) delivery.Recipient {
	_, domain, _ := strings.Cut(address, "@")
	return delivery.Recipient{Address: address, Domain: delivery.RecipientDomain{Name: dns.MustParse(domain)}, Local: true}
}

func mails(t *testing.T, boxes *mailboxes.Store) int {
	t.Helper()
	list, err := boxes.List(t.Context(), "u", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func users(t *testing.T, db *store.Store, id int64) (n int64) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *store.Tx) (err error) {
		n, err = body.Users(tx, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
