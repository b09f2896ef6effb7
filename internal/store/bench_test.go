package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/internal/store"
)

// body is what one member of the benchmarks writes.
var body = make([]byte, 8<<10)

// BenchmarkGroupCommit writes durable 8 KiB rows from 1 and from 64 goroutines.
func BenchmarkGroupCommit(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := store.Open(context.Background(), store.Options{Create: true, Path: filepath.Join(b.TempDir(), "b.db")})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			ctx := context.Background()
			err = s.Write(ctx, func(tx *store.Tx) error {
				_, err := tx.Exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, sender TEXT, body BLOB)`)
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			spread(b, n, func() error {
				return s.Write(ctx, func(tx *store.Tx) error {
					_, err := tx.Exec(`INSERT INTO t (id, sender, body) VALUES (?, ?, ?)`, store.NewID(), "joe@example.org", body)
					return err
				})
			})
		})
	}
}

// BenchmarkOwnTransactions is what group commit is measured against: the same rows, a
// transaction and a commit each.
func BenchmarkOwnTransactions(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "b.db")+
				"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			db.SetMaxOpenConns(1)
			if _, err := db.Exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, sender TEXT, body BLOB)`); err != nil {
				b.Fatal(err)
			}
			spread(b, n, func() error {
				_, err := db.Exec(`INSERT INTO t (id, sender, body) VALUES (?, ?, ?)`, store.NewID(), "joe@example.org", body)
				return err
			})
		})
	}
}

// spread runs do b.N times from n goroutines.
func spread(b *testing.B, n int, do func() error) {
	b.SetBytes(int64(len(body)))
	b.ResetTimer()
	var wg sync.WaitGroup
	var slowest atomic.Int64
	for g := range n {
		wg.Go(func() {
			for range b.N/n + min(1, max(0, b.N%n-g)) {
				begun := time.Now()
				if err := do(); err != nil {
					b.Error(err)
					return
				}
				if d := int64(time.Since(begun)); d > slowest.Load() {
					slowest.Store(d)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(slowest.Load())/1e6, "ms-slowest")
}
