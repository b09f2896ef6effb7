package search_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/internal/search"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// corpus is n mails of about 1 KB that are not indexed, and the words that they are made of.
func corpus(b *testing.B, n int) (*box, []string) {
	b.Helper()
	x := &box{db: storetest.Open(b), mails: map[int64]string{}}
	x.Service = &search.Service{Store: &search.Store{DB: x.db, Mails: x}, Log: slog.New(slog.DiscardHandler)}
	random := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(random, 1.1, 10, 50_000)
	vocabulary := make([]string, 50_001)
	for i := range vocabulary { // as long as words are, and few of them in others
		for n := 4 + random.IntN(7); n > 0; n-- {
			vocabulary[i] += string(rune('a' + random.IntN(26)))
		}
	}
	for i := range n {
		var t strings.Builder
		fmt.Fprintf(&t, "Subject: mail %d %s\r\nFrom: sender%d@example.com\r\nTo: me@example.org\r\nMessage-ID: <%d.%x@example.com>\r\n\r\n", i, vocabulary[zipf.Uint64()], i%100, i, random.Uint64())
		for t.Len() < 1000 {
			t.WriteString(vocabulary[zipf.Uint64()] + " ")
		}
		x.mails[int64(i+1)] = t.String()
	}
	err := x.db.Write(b.Context(), func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO accounts (name, disabled, password, scram256, scram1, created) VALUES ('a', 0, '', '', '', 0)`); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO mailboxes (id, account, name, created) VALUES (1, 'a', 'INBOX', 0)`); err != nil {
			return err
		}
		for i := range n {
			if _, err := tx.Exec(`INSERT INTO mails_unindexed (account, mail) VALUES ('a', ?)`, int64(i+1)); err != nil {
				return err
			}
			if _, err := tx.Exec(`INSERT INTO mailbox_entries (mailbox, uid, mail, flags, modseq, added, saved) VALUES (1, ?, ?, 0, 1, 1, 0)`, int64(i+1), int64(i+1)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return x, vocabulary
}

// left is how many mails wait to be indexed.
func (b *box) left(t testing.TB) (n int) {
	t.Helper()
	err := b.db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`SELECT count(*) FROM mails_unindexed`).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// BenchmarkRun is how long the service takes for 2,000 mails, pauses and all, while nobody else writes.
func BenchmarkRun(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		x, _ := corpus(b, 2000)
		ctx, stop := context.WithCancel(b.Context())
		b.StartTimer()
		go x.Run(ctx)
		for x.left(b) > 0 {
			time.Sleep(20 * time.Millisecond)
		}
		stop()
	}
}

// BenchmarkBeside is how many messages a second are written, by those who wait for each, alone and beside an index that is far behind.
func BenchmarkBeside(b *testing.B) {
	for _, indexing := range []bool{false, true} {
		b.Run(map[bool]string{false: "alone", true: "indexing"}[indexing], func(b *testing.B) {
			x, _ := corpus(b, 40_000)
			if err := x.db.Write(b.Context(), func(tx *store.Tx) error { _, err := tx.Exec(`INSERT INTO bodies (id) VALUES (5)`); return err }); err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			defer stop()
			if indexing {
				go x.Run(ctx)
			}
			const writers, lasts = 16, 5 * time.Second
			var written atomic.Int64
			var all sync.WaitGroup
			from := time.Now()
			for range writers {
				all.Go(func() {
					for time.Since(from) < lasts {
						id := written.Add(1)
						err := x.db.Write(ctx, func(tx *store.Tx) error {
							_, err := tx.Exec(`INSERT INTO mails (id, account, thread, sender, recipient, size, received, body, header, message_id, facts, evidence, structure)
								VALUES (?, 'a', 7, '', '', 0, 0, 5, '', '', ?, '', '')`, 1_000_000+id, x.mails[1])
							return err
						})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(written.Load())/time.Since(from).Seconds(), "writes/s")
			b.ReportMetric(float64(40_000-x.left(b))/time.Since(from).Seconds(), "indexed/s")
		})
	}
}

// BenchmarkSearch indexes WAXWING_BENCH_MAILS mails (10,000) of about 1 KB and searches in them for three words.
func BenchmarkSearch(b *testing.B) {
	n := 10_000
	if s := os.Getenv("WAXWING_BENCH_MAILS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	x, vocabulary := corpus(b, n)
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
	for _, words := range [][]int{{1}, {17}, {12345}, {10, 20, 30}, {100, 200, 300}} {
		var q search.Query
		for _, w := range words {
			q = append(q, search.Condition{Field: search.Body, Text: vocabulary[w]})
		}
		b.Run(fmt.Sprint(words), func(b *testing.B) {
			found := 0
			for b.Loop() {
				a, err := x.InBox(b.Context(), "a", 1, q)
				if err != nil {
					b.Fatal(err)
				}
				found = len(a.UIDs)
			}
			b.ReportMetric(float64(found), "found")
		})
	}
}
