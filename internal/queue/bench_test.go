package queue

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/schema"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/smtp"
)

var tenKiB = delivery.Bytes(bytes.Repeat([]byte("0123456789012345678901234567890123456789012345678901234567890123\r\n"), 10<<10/66))

// taken accepts everything at once.
type taken struct{ n atomic.Int64 }

func (t *taken) Deliver(_ context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	var res delivery.Result
	for _, r := range job.Recipients {
		res.Recipients = append(res.Recipients, delivery.RecipientResult{ID: r.ID, Outcome: delivery.Delivered,
			Reply: smtp.NewReply(250, smtp.Enhanced{Class: 2}, "ok")})
	}
	t.n.Add(1)
	return res
}

func benchQueue(b *testing.B) (*Queue, *taken) {
	tr := &taken{}
	return &Queue{Store: storetest.Open(b), Direct: tr, Hostname: "mx.waxwing.test", PerDestination: 200}, tr
}

// benchEnqueue accepts b.N messages from 64 clients.
func benchEnqueue(b *testing.B, q *Queue) {
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			env := &delivery.Envelope{Sender: "alice@sender.test", Peer: "192.0.2.1"}
			a := fmt.Sprintf("bob@d%d.test", i%50)
			d, err := delivery.ParseRecipientDomain(a[4:])
			if err != nil {
				b.Error(err)
				return
			}
			env.Recipients = []delivery.Recipient{{Address: a, Domain: d}}
			if err := q.Enqueue(context.Background(), env, tenKiB); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkEnqueue(b *testing.B) {
	q, _ := benchQueue(b)
	b.ResetTimer()
	benchEnqueue(b, q)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// From acceptance to the last settled outcome, as a relay does.
func BenchmarkRelay(b *testing.B) {
	q, tr := benchQueue(b)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	b.ResetTimer()
	benchEnqueue(b, q)
	for tr.n.Load() < int64(b.N) {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}

// A backlog that was accepted before the runner began: claim and settle.
func BenchmarkBacklog(b *testing.B) {
	q, tr := benchQueue(b)
	benchEnqueue(b, q)
	b.ResetTimer()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	for tr.n.Load() < int64(b.N) {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}

// A message to 200 recipients at 50 domains, on each engine.
func BenchmarkEnqueueMany(b *testing.B) {
	for name, open := range map[string]func() *store.Store{
		"sqlite": func() *store.Store { return storetest.Open(b) },
		"postgres": func() *store.Store {
			s, err := store.Open(b.Context(), store.Options{Create: true, Postgres: storetest.Postgres(b), Migrations: schema.FS})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { s.Close() })
			return s
		},
	} {
		b.Run(name, func(b *testing.B) {
			q := &Queue{Store: open(), Hostname: "mx.waxwing.test"}
			for b.Loop() {
				to := make([]string, 200)
				for i := range to {
					to[i] = fmt.Sprintf("r%d@d%d.test", i, i%50)
				}
				if err := q.Enqueue(b.Context(), mail(b, to...), tenKiB); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
