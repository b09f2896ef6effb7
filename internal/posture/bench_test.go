package posture

import (
	"fmt"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store/storetest"
)

// BenchmarkNote is what a delivery pays for a domain whose facts are known.
func BenchmarkNote(b *testing.B) {
	r := &Recorder{Store: storetest.Open(b)}
	jobs := make([]*delivery.Job, 100)
	for i := range jobs {
		jobs[i] = job(fmt.Sprintf("d%d.test", i), "ann")
		r.Note(jobs[i], attempt(noon, nil))
	}
	if err := r.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	res := attempt(noon.Add(time.Minute), nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Note(jobs[i%len(jobs)], res)
	}
}

// BenchmarkNewDomains is what a domain costs that was never seen: noted and written.
func BenchmarkNewDomains(b *testing.B) {
	r := &Recorder{Store: storetest.Open(b)}
	res := attempt(noon, nil)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		for range 1000 {
			n++
			r.Note(job(fmt.Sprintf("d%d.test", n), "ann"), res)
		}
		if err := r.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/domain")
}
