package tlsreport

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/outbox/outboxtest"
	"waxwing/internal/queue"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/tlsresult"
)

// scale is how many recipient domains the benchmarks know, ten sessions each:
// 200, or what the environment says.
func scale(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("WAXWING_BENCH_DOMAINS"))
	if err != nil {
		return 200
	}
	b.Logf("%d domains", n)
	return n
}

// everybody answers for every domain: one report address each at one of a
// hundred organisations.
type everybody struct{ dns.Resolver }

func (everybody) LookupTXT(_ context.Context, name dns.Name) (dns.Answer[string], error) {
	org := 0
	for _, c := range []byte(name.ASCII()) {
		org = (org*31 + int(c)) % 100
	}
	return dns.Answer[string]{Records: []string{fmt.Sprintf("v=TLSRPTv1; rua=mailto:r@%s", fmt.Sprintf("org%d.test", org))}}, nil
}

// observation is session i of the day: of domain i mod n, every 20th failed.
// Hosts are shared by ten domains each.
func observation(i, n int) []delivery.Observation {
	d := i % n
	domain, mx := fmt.Sprintf("d%d.test", d), fmt.Sprintf("mx%d.test", d/10)
	if i%20 == 0 {
		return []delivery.Observation{stsOK(domain), daneFailed(domain, mx)}
	}
	ok := daneFailed(domain, mx)
	ok.OK, ok.Failed, ok.Details = 1, 0, nil
	return []delivery.Observation{stsOK(domain), ok}
}

// BenchmarkRecord is what one session costs on top of a transaction, as the
// queue records it: within its settling transaction, many of which share a commit.
func BenchmarkRecord(b *testing.B) {
	n := scale(b)
	s := storetest.Open(b)
	ctx := context.Background()
	b.ResetTimer()
	for i := 0; i < b.N; {
		err := s.Write(ctx, func(tx *store.Tx) error {
			for end := min(i+100, b.N); i < end; i++ {
				if err := tlsresult.Save(tx, saturday, observation(i, n)); err != nil {
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

// BenchmarkNight is the run over one finished day of ten sessions a domain:
// planned, looked up, composed, queued and settled, without the pauses between
// the reports.
func BenchmarkNight(b *testing.B) {
	n := scale(b)
	ctx := context.Background()
	reports := 0
	for b.Loop() {
		b.StopTimer()
		s, clock := storetest.Open(b), &outboxtest.Clock{}
		r := New(&outbox.Box{Store: s, DNS: everybody{}, Signer: outboxtest.Signer{"sender.example"}, Cap: 1 << 20,
			Hosted:   func(_ context.Context, d dns.Name) (bool, error) { return d.ASCII() == "sender.example", nil },
			Enqueuer: &queue.Queue{Store: s, Hostname: "mx.sender.example"}, Log: slog.New(slog.DiscardHandler),
			Hostname: dns.MustParse("mx.sender.example"), Now: clock.Now}, Service{})
		for i := 0; i < 10*n; {
			err := s.Write(ctx, func(tx *store.Tx) error {
				for end := min(i+1000, 10*n); i < end; i++ {
					if err := tlsresult.Save(tx, saturday, observation(i, n)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		// The first plans; all are due at 06:00. Each does what it can, hosts after domains.
		for _, at := range []time.Duration{24*time.Hour + 6*time.Minute, 30 * time.Hour, 30 * time.Hour, 30 * time.Hour} {
			clock.Set(saturday.Add(at))
			if _, err := r.Step(ctx); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		if err := s.Read(ctx, func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM outbox_reports`).Scan(&reports) }); err != nil {
			b.Fatal(err)
		}
		if reports < n {
			b.Fatalf("%d reports for %d domains", reports, n)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(reports), "reports")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(reports*b.N), "µs/report")
}
