package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/schema"
	"waxwing/internal/store"
)

// crashEnv makes the test binary the child of TestKilledWriterLosesNothing.
const crashEnv = "WAXWING_TEST_CRASH_DB"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		crashChild(path)
		return
	}
	os.Exit(m.Run())
}

// crashChild writes until it is killed, and prints each number once its Write
// has returned nil. A number is two rows, which must agree.
func crashChild(path string) {
	s, err := store.Open(context.Background(), store.Options{Create: true, Path: path, Migrations: schema.FS})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := g; ; i += 16 {
				err := kind(s, i)(context.Background(), func(tx *store.Tx) error {
					for _, half := range []string{"a", "b"} {
						_, err := tx.Exec(`INSERT INTO generation (area, value) VALUES (?, ?)`, fmt.Sprint(half, i), i)
						if err != nil {
							return err
						}
					}
					return nil
				})
				mu.Lock()
				if err != nil {
					fmt.Println("error", err)
				}
				fmt.Println(i)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// No accepted message is lost: what a Write returned nil for is there after kill -9, and
// no half of a transaction is. (A power cut is not tried: synchronous=FULL is trusted for it.)
func TestKilledWriterLosesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashEnv+"="+path)
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	var told []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		told = append(told, lines.Text())
		if len(told) == 2000 {
			child.Process.Kill() // what is in the pipe is read below
		}
	}
	child.Wait()
	if len(told) < 2000 || strings.HasPrefix(told[0], "error") {
		t.Fatalf("the child told %d writes: %q", len(told), told[:min(3, len(told))])
	}
	s, err := store.Open(t.Context(), store.Options{Create: true, Path: path, Migrations: schema.FS})
	must(t, err)
	defer s.Close()
	must(t, s.Read(t.Context(), func(tx *store.Tx) error {
		for _, n := range told {
			var rows int
			if err := tx.Row(`SELECT count(*) FROM generation WHERE area IN (?, ?)`, "a"+n, "b"+n).Scan(&rows); err != nil || rows != 2 {
				t.Fatalf("number %s, told as durable, has %d rows (%v), want 2", n, rows, err)
			}
		}
		var odd int
		err := tx.Row(`SELECT count(*) FROM (SELECT value FROM generation GROUP BY value HAVING count(*) <> 2) x`).Scan(&odd)
		if odd != 0 {
			t.Errorf("%d transactions are there by half", odd)
		}
		return err
	}))
}

// A full disk is told to those who wrote, in words, and the store works again
// when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), store.Options{Create: true, Path: filepath.Join(t.TempDir(), "x.db")})
	must(t, err)
	defer s.Close()
	must(t, s.Write(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Exec(`CREATE TABLE t (id BIGINT PRIMARY KEY, b BLOB)`); err != nil {
			return err
		}
		var n int // a limit of pages is how SQLite lets a full disk be tried
		return tx.Row(`PRAGMA max_page_count=50`).Scan(&n)
	}))
	insert := func(size int) error {
		return kind(s, size)(t.Context(), func(tx *store.Tx) error { // the large ones now, the small ones soon
			_, err := tx.Exec(`INSERT INTO t (id, b) VALUES (?, ?)`, store.NewID(), make([]byte, size))
			return err
		})
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if i%4 != 0 {
				insert(10) // may fail with the others, must not hang
				return
			}
			if err := insert(1 << 20); !errors.Is(err, store.ErrFull) {
				t.Errorf("error %v, want ErrFull", err)
			}
		})
	}
	wg.Wait()
	must(t, insert(10))
}

// The WAL stays bounded under writers that never rest, and a slow reader only delays that.
func TestWALStaysBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 200 MB")
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	s, err := store.Open(t.Context(), store.Options{Create: true, Path: path})
	must(t, err)
	defer s.Close()
	must(t, s.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`CREATE TABLE t (id BIGINT PRIMARY KEY, b BLOB)`)
		return err
	}))
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s.Read(t.Context(), func(tx *store.Tx) error {
					var n int
					time.Sleep(2 * time.Millisecond)
					return tx.Row(`SELECT count(*) FROM t WHERE id < 0`).Scan(&n)
				})
			}
		})
	}
	var largest int64
	for range 8 {
		writers.Go(func() {
			for range 100 {
				err := s.Write(t.Context(), func(tx *store.Tx) error {
					_, err := tx.Exec(`INSERT INTO t (id, b) VALUES (?, ?)`, store.NewID(), make([]byte, 256<<10))
					if info, e := os.Stat(path + "-wal"); e == nil {
						largest = max(largest, info.Size())
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if largest > 100<<20 {
		t.Errorf("the WAL grew to %d MiB", largest>>20)
	}
}
