package queue

import (
	"context"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// noteTransport delivers, notes what transport each job asked for, and calls
// itself by a name.
type noteTransport chan string

func (n noteTransport) Deliver(_ context.Context, job *delivery.Job, _ delivery.Content) delivery.Result {
	res := delivery.Result{Transport: "relay", Name: "office"}
	for i, r := range job.Recipients {
		rr := delivery.RecipientResult{ID: r.ID, Outcome: delivery.Delivered, Word: "accepted"}
		if i == 0 && r.Attempts == 0 {
			rr.Outcome = delivery.Deferred
		}
		res.Recipients = append(res.Recipients, rr)
	}
	n <- job.Transport
	return res
}

// TRA-4: a message keeps its own transport through acceptance, a claim from the
// store and the listing; the history names the transport that was used.
func TestOwnTransport(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		seen := make(noteTransport, 10)
		q := &Queue{Store: s, Direct: seen, Owner: "one"}
		env := &delivery.Envelope{Sender: "a@a.test", Transport: "office", Recipients: []delivery.Recipient{rcptAt(t, "b@b.test")}}
		if err := q.Enqueue(t.Context(), env, delivery.Bytes("x\r\n")); err != nil {
			t.Fatal(err)
		}
		items, err := spool.List(t.Context(), s, spool.Filter{})
		if err != nil || len(items) != 1 || items[0].Envelope.Transport != "office" {
			t.Fatalf("%+v %v", items, err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- q.Run(ctx) }()
		select {
		case got := <-seen:
			if got != "office" {
				t.Errorf("the job came with transport %q", got)
			}
		case <-time.After(2 * time.Minute):
			t.Error("no attempt was made")
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		m, err := spool.Show(t.Context(), s, env.ID)
		if err != nil || len(m.Attempts) != 1 || m.Attempts[0].Transport != "office" {
			t.Errorf("%+v %v", m.Attempts, err)
		}
	})
}

func rcptAt(t *testing.T, address string) delivery.Recipient {
	t.Helper()
	d, err := delivery.ParseRecipientDomain(address[len(address)-len("b.test"):])
	if err != nil {
		t.Fatal(err)
	}
	return delivery.Recipient{Address: address, Domain: d}
}
