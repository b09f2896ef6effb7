package queue

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// BenchmarkBacklogSize measures a claim of 200 recipients, the start of a
// runner and the memory it takes, with a backlog of 1,000 recipients, or of those
// that WAXWING_BACKLOG lists ("1000,100000,1000000"), at 1,000 destinations (QUE-9).
func BenchmarkBacklogSize(b *testing.B) {
	sizes := os.Getenv("WAXWING_BACKLOG")
	if sizes == "" {
		sizes = "1000"
	}
	for word := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(word)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(word, func(b *testing.B) { benchSize(b, n) })
	}
}

func benchSize(b *testing.B, n int) {
	s := storetest.Open(b)
	fillBacklog(b, s, n)
	began := time.Now()
	q := &Queue{Store: s, Hostname: "mx.waxwing.test"}
	q.setup()
	if err := q.releaseOwn(b.Context()); err != nil {
		b.Fatal(err)
	}
	q.sleep(b.Context())
	jobs, _, err := q.claim(b.Context(), claimBatch)
	if err != nil || len(jobs) == 0 {
		b.Fatalf("%d jobs, %v", len(jobs), err)
	}
	start := time.Since(began)
	q.giveBack(b.Context(), jobs, q.Now())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for range b.N {
		jobs, _, err := q.claim(b.Context(), claimBatch)
		if err != nil || len(jobs) == 0 {
			b.Fatalf("%d jobs, %v", len(jobs), err)
		}
		b.StopTimer()
		q.giveBack(b.Context(), jobs, q.Now())
		b.StartTimer()
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(start.Microseconds())/1000, "ms-to-first-claim")
	b.ReportMetric(float64(after.HeapInuse)/(1<<20), "MiB-heap")
}

// fillBacklog puts n waiting recipients in, 50 a message.
func fillBacklog(b *testing.B, s *store.Store, n int) {
	q := &Queue{Store: s, Hostname: "mx.waxwing.test"}
	const perMessage, perTx = 50, 100
	for made := 0; made < n; {
		err := s.Write(context.Background(), func(tx *store.Tx) error {
			for range perTx {
				if made >= n {
					break
				}
				env := &delivery.Envelope{Sender: "alice@sender.test", Account: fmt.Sprint("account", made%7)}
				for range min(perMessage, n-made) {
					d, err := delivery.ParseRecipientDomain(fmt.Sprintf("d%d.test", made%1000))
					if err != nil {
						return err
					}
					env.Recipients = append(env.Recipients, delivery.Recipient{Address: fmt.Sprintf("r%d@%s", made, d), Domain: d})
					made++
				}
				if err := q.EnqueueTx(tx, env, delivery.Bytes(text)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
