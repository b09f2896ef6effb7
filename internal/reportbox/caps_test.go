package reportbox

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// Two machines lock a day's counters in one order, whatever the order of the
// domains in their reports, or PostgreSQL undoes one of two transactions.
func TestIntakeOrder(t *testing.T) {
	t.Parallel()
	for _, rows := range [][]newRow{
		{{"b.test", 1}, {"a.test", 2}, {"x.a.test", 3}}, {{"x.a.test", 3}, {"a.test", 2}, {"b.test", 1}},
	} {
		want := []intake{{intakeKey{"r.test", "b.test"}, 1, 1}, {intakeKey{"r.test", "a.test"}, 2, 5}, {intakeKey{"r.test", ""}, 3, 6}, {intakeKey{}, 3, 6}}
		if got := intakes("mail.r.test", rows); !slices.Equal(got, want) {
			t.Errorf("%v: %v", rows, got)
		}
	}
}

// The same on PostgreSQL: no transaction has to be tried again.
func TestReportsAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		const each = 40
		b := &Box{Sort: Sort{Name: "TLS report", Noun: "tlsrpt", Tables: "tls"}, Store: s, PerReporter: 1000, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		domains := []string{"a.test", "b.test", "c.test", "d.test", "e.test", "f.test", "g.test", "h.test"}
		var stored atomic.Int32
		var wg sync.WaitGroup
		for machine := range 4 {
			if machine == 2 {
				slices.Reverse(domains)
			}
			own := slices.Clone(domains)
			wg.Go(func() {
				for i := range each {
					var parts []Part
					for _, d := range own { // two machines get the same reports, in different order
						parts = append(parts, Part{Domain: dns.MustParse(d), ReportID: fmt.Sprintf("%d.%d", machine%2, i), File: []byte("x")})
					}
					reason, err := b.Put(t.Context(), Mail(dns.MustParse("reporter.test")), parts, func(*store.Tx, Part, int64) error { stored.Add(1); return nil })
					if err != nil || reason != "" {
						t.Error(reason, err)
					}
				}
			})
		}
		wg.Wait()
		if n := stored.Load(); n != 2*each*8 {
			t.Errorf("%d rows were stored, of %d", n, 2*each*8)
		}
	})
}
