package intake

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/store/storetest"
	"waxwing/tlsrpt"
)

// peak runs fn and says how large the heap became meanwhile, in octets beyond what it
// had before.
func peak(fn func()) uint64 {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtime.GC()
	metrics.Read(heap)
	before, most := heap[0].Value.Uint64(), uint64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				metrics.Read(heap)
				most = max(most, heap[0].Value.Uint64())
			}
		}
	}()
	fn()
	close(stop)
	<-done
	return most - min(before, most)
}

// INB-2: many of the costliest reports at once, by mail and by HTTPS, take no more
// memory than two and the garbage of two. Not parallel: it measures the process.
func TestManyLargeReports(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks dozens of reports of 10 MiB; not with -short")
	}
	const begin = `{"organization-name":"R","date-range":{"start-datetime":"2026-11-21T00:00:00Z","end-datetime":"2026-11-21T23:59:59Z"},"report-id":"x",`
	const size = 9 << 20
	policy := func(strs, details string) string {
		return begin + `"policies":[{"policy":{"policy-type":"sts","policy-domain":"example","policy-string":[` + strs + `]},` +
			`"summary":{"total-successful-session-count":1,"total-failure-session-count":1},"failure-details":[` + details + `]}]}`
	}
	detail := `{"result-type":"certificate-expired","failed-session-count":1,"additional-information":"` + strings.Repeat("x", 350) + `"},`
	for name, text := range map[string]string{
		"one long string": policy(`"`+strings.Repeat("y", size)+`"`, ""),
		"many details":    policy("", strings.Repeat(detail, 19_000)+detail[:len(detail)-1]),
		"white space":     begin + `"policies":[` + strings.Repeat(" ", size) + `]}`,
	} {
		r := newRig(t, storetest.Open(t))
		r.Verifier = passes{}
		packed, err := tlsrpt.Compress([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		mail := append([]byte("From: <a@reporter.example>\r\nContent-Type: application/tlsrpt+gzip\r\n\r\n"), packed...)
		plain := append([]byte("From: <a@reporter.example>\r\nContent-Type: application/tlsrpt+json\r\n\r\n"), text...)
		most := peak(func() {
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					// Whether it is taken is the other tests' matter.
					msg := mail
					if i%2 == 0 {
						msg = plain
					}
					_, _, _ = r.Take(context.Background(), "tls-reports@example", msg)
				})
				wg.Go(func() {
					_, _ = r.TakePost(context.Background(), netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i)), packed)
				})
			}
			wg.Wait()
		})
		t.Logf("%s: %d MiB", name, most>>20)
		if most > 200<<20 {
			t.Errorf("%s: the heap grew by %d MiB, want 200 at the most", name, most>>20)
		}
	}
}
