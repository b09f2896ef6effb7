package search_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"waxwing/internal/search"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// BenchmarkSearch indexes WAXWING_BENCH_MAILS mails (10,000) of about 1 KB and searches in them for three words.
func BenchmarkSearch(b *testing.B) {
	n := 10_000
	if s := os.Getenv("WAXWING_BENCH_MAILS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	x := &box{db: storetest.Open(b), mails: map[int64]string{}}
	x.Service = &search.Service{Store: &search.Store{DB: x.db, Mails: x}, Log: slog.New(slog.DiscardHandler)}
	random := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(random, 1.1, 10, 50_000)
	for i := range n {
		var t strings.Builder
		fmt.Fprintf(&t, "Subject: mail %d w%d\r\nFrom: sender%d@example.com\r\nTo: me@example.org\r\nMessage-ID: <%d.%x@example.com>\r\n\r\n", i, zipf.Uint64(), i%100, i, random.Uint64())
		for t.Len() < 1000 {
			fmt.Fprintf(&t, "w%d ", zipf.Uint64())
		}
		x.mails[int64(i+1)] = t.String()
	}
	err := x.db.Write(b.Context(), func(tx *store.Tx) error {
		for i := range n {
			if _, err := tx.Exec(`INSERT INTO mails_unindexed (account, mail) VALUES ('a', ?)`, int64(i+1)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	from := time.Now()
	for {
		k, err := x.Step(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if k == 0 {
			break
		}
	}
	b.Logf("%d mails indexed in %v", n, time.Since(from))
	for _, words := range [][]string{{"w17"}, {"w100", "w200", "w300"}, {"w12345"}, {"w1", "w2", "w3"}} {
		var q search.Query
		for _, w := range words {
			q = append(q, search.Condition{Field: search.Body, Text: w})
		}
		b.Run(strings.Join(words, " "), func(b *testing.B) {
			found := 0
			for b.Loop() {
				mails, _, err := x.Search(b.Context(), "a", q)
				if err != nil {
					b.Fatal(err)
				}
				found = len(mails)
			}
			b.ReportMetric(float64(found), "found")
		})
	}
}
