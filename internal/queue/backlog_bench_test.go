//go:build unix

package queue

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/retry"
	"waxwing/internal/schema"
	"waxwing/internal/spool/spooltest"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/smtp"
)

// BenchmarkBacklogSize measures, with a backlog of 1,000 recipients or of those
// that WAXWING_BACKLOG lists ("1000,100000,1000000"), at 1,000 and at 100,000
// destinations, on each engine (QUE-9): from opening the database to the first
// claim; a claim of 200 recipients; settling one as deferred and as delivered,
// 200 at a time as the runner does; the memory of this process.
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
		for _, dests := range []int{1000, 100_000} {
			if dests > n {
				continue
			}
			name := word + "/" + strconv.Itoa(dests) + "dests"
			b.Run("sqlite/"+name, func(b *testing.B) {
				benchSize(b, store.Options{Create: true, Path: filepath.Join(b.TempDir(), "waxwing.db"), Migrations: schema.FS}, n, dests)
			})
			b.Run("postgres/"+name, func(b *testing.B) {
				benchSize(b, store.Options{Create: true, Postgres: storetest.Postgres(b), Migrations: schema.FS}, n, dests)
			})
		}
	}
}

func benchSize(b *testing.B, o store.Options, n, dests int) {
	open := func() *store.Store {
		s, err := store.Open(context.Background(), o)
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	s := open()
	spooltest.Filling{Recipients: n, Dests: dests, Accounts: 7, Now: noon}.Write(b, s)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	idle := resident()
	began := time.Now()
	s = open()
	defer s.Close()
	ticks := &clock{t: noon.Add(2 * time.Minute)}
	q := &Queue{Store: s, Hostname: "mx.waxwing.test", Now: ticks.now, Schedule: func(delivery.Purpose) retry.Schedule {
		return retry.Schedule{Delays: []time.Duration{30 * time.Second}, Expire: 365 * 24 * time.Hour}
	}}
	q.setup()
	if err := q.reclaim(b.Context()); err != nil {
		b.Fatal(err)
	}
	q.sleep(b.Context())
	jobs := benchClaim(b, q)
	start := time.Since(began)
	q.giveBack(b.Context(), jobs, q.Now())

	var settling time.Duration
	settled := 0
	b.ResetTimer()
	var claiming time.Duration
	for range b.N {
		before := spent()
		jobs := benchClaim(b, q)
		b.StopTimer()
		claiming += spent() - before
		settling += benchSettle(b, q, jobs, delivery.Deferred)
		settled += len(jobs)
		ticks.add(time.Minute) // what was deferred is due again
		b.StartTimer()
	}
	b.StopTimer()
	b.ReportMetric(float64(start.Microseconds())/1000, "ms-to-first-claim")
	b.ReportMetric(float64(claiming.Microseconds())/1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(settling.Microseconds())/float64(settled), "µs/deferred")
	jobs = benchClaim(b, q)
	b.ReportMetric(float64(benchSettle(b, q, jobs, delivery.Delivered).Microseconds())/float64(len(jobs)), "µs/delivered")
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapInuse)/(1<<20), "MiB-heap")
	b.ReportMetric(resident()-idle, "MiB-resident")
}

func benchClaim(b *testing.B, q *Queue) []*job {
	jobs, _, err := q.claim(b.Context(), store.NewID(), claimBatch)
	rows := 0
	for _, j := range jobs {
		rows += len(j.rows)
	}
	if err != nil || rows < claimBatch*3/4 {
		b.Fatalf("%d recipients claimed, %v", rows, err)
	}
	return jobs
}

// benchSettle settles jobs at the same time, as attempts that end together.
func benchSettle(b *testing.B, q *Queue, jobs []*job, o delivery.Outcome) time.Duration {
	began := time.Now()
	var all sync.WaitGroup
	for _, j := range jobs {
		all.Go(func() {
			res := delivery.Result{Transport: "direct", Started: q.Now(), Ended: q.Now()}
			for _, r := range j.rows {
				rr := delivery.RecipientResult{ID: r.ID, Outcome: o, Reply: smtp.NewReply(451, smtp.Enhanced{Class: 4, Subject: 7, Detail: 1}, "greylisted")}
				res.Recipients = append(res.Recipients, rr)
			}
			q.settle(b.Context(), j, &res, false)
		})
	}
	all.Wait()
	return time.Since(began)
}

// spent is the processor time of this process: with SQLite all that a claim
// costs, however busy the machine is.
func spent() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is what this process has in memory, in MiB, page caches of SQLite
// included; 0 where the system does not tell.
func resident() float64 {
	runtime.GC()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return float64(pages*os.Getpagesize()) / (1 << 20)
}
