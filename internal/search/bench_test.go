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
