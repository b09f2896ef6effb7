package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"waxwing/internal/schema"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func sqlExec(q string, args ...any) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		_, err := tx.Exec(q, args...)
		return err
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// each gives fn a store with a table t (id, n).
func each(t *testing.T, fn func(t *testing.T, s *store.Store)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		must(t, s.Write(t.Context(), sqlExec(`CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)`)))
		fn(t, s)
	})
}

func count(t *testing.T, s *store.Store) (n int) {
	t.Helper()
	must(t, s.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM t`).Scan(&n) }))
	return n
}

func TestGeneration(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for want := range int64(3) {
			if got, err := s.Generation(t.Context(), "x"); err != nil || got != want {
				t.Fatalf("generation %d, %v; want %d", got, err, want)
			}
			must(t, s.Write(t.Context(), func(tx *store.Tx) error { return tx.Raise("x") }))
		}
	})
}

// A member that fails, however it does, takes nothing with it and leaves nothing.
func TestMembersAreIsolated(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		own := errors.New("own")
		var wg sync.WaitGroup
		const n = 200
		for i := range n {
			wg.Go(func() {
				err := kind(s, i)(t.Context(), func(tx *store.Tx) error {
					if _, err := tx.Exec(`INSERT INTO t (id, n) VALUES (?, ?)`, i, i); err != nil {
						return err
					}
					switch i % 5 {
					case 1:
						return own
					case 2:
						panic("deliberate")
					case 3:
						tx.Exec(`INSERT INTO t (id, n) VALUES (?, ?)`, i, i) // its error is not returned
					case 4:
						_, err := tx.Exec(`INSERT INTO missing (id) VALUES (1)`)
						return err
					}
					return nil
				})
				if (err == nil) != (i%5 == 0) {
					t.Errorf("member %d: %v", i, err)
				}
				if i%5 == 1 && err != own || i%5 == 2 && !strings.Contains(err.Error(), "deliberate") || i%5 == 3 && !store.IsDuplicate(err) {
					t.Errorf("member %d: wrong error %v", i, err)
				}
			})
		}
		wg.Wait()
		if got := count(t, s); got != n/5 {
			t.Errorf("%d rows, want %d", got, n/5)
		}
	})
}

// kind is one of the two kinds of write.
func kind(s *store.Store, i int) func(context.Context, func(*store.Tx) error) error {
	if i/5%2 == 0 {
		return s.WriteSoon
	}
	return s.Write
}

// Writes that nobody waits for share a commit: one sees what is not yet there for
// others. It is there when they return.
func TestWriteSoonSharesItsCommit(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), store.Options{Create: true, Path: filepath.Join(t.TempDir(), "x.db")})
	must(t, err)
	defer s.Close()
	must(t, s.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`CREATE TABLE t (id BIGINT PRIMARY KEY)`)
		return err
	}))
	rows := func(tx *store.Tx) (n int) {
		if err := tx.Row(`SELECT count(*) FROM t`).Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	shared := 0
	for try := 0; try < 100 && shared == 0; try++ {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				id := 4*try + i
				err := s.WriteSoon(t.Context(), func(tx *store.Tx) error {
					inside, outside := rows(tx), 0
					if err := s.Read(t.Context(), func(tx *store.Tx) error { outside = rows(tx); return nil }); err != nil {
						return err
					}
					mu.Lock()
					defer mu.Unlock()
					shared += inside - outside
					_, err := tx.Exec(`INSERT INTO t (id) VALUES (?)`, id)
					return err
				})
				if err != nil {
					t.Error(err)
				}
				err = s.Read(t.Context(), func(tx *store.Tx) error {
					var n int
					err := tx.Row(`SELECT count(*) FROM t WHERE id = ?`, id).Scan(&n)
					if n != 1 {
						t.Errorf("row %d is not there after WriteSoon", id)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if shared == 0 {
		t.Error("no write saw what another of its commit had written")
	}
}

// A member that makes SQLite undo the whole transaction (as a full disk may) does not
// take the others with it: they are tried again.
func TestLostTransactionIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	must(t, s.Write(t.Context(), sqlExec(`CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)`)))
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		once := sync.OnceFunc(func() { close(inside); <-leave })
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO t (id, n) VALUES (0, 0)`)
			once()
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-inside // the others form one group with the first
	for i := 1; i <= 20; i++ {
		wg.Go(func() {
			err := s.Write(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.Exec(`INSERT INTO t (id, n) VALUES (?, 0)`, i); err != nil || i%10 != 0 {
					return err
				}
				_, err := tx.Exec(`ROLLBACK`)
				return err
			})
			if (err != nil) != (i%10 == 0) {
				t.Errorf("member %d: %v", i, err)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	close(leave)
	wg.Wait()
	if got := count(t, s); got != 19 {
		t.Errorf("%d rows, want 19", got)
	}
}

func TestNestedWriteIsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		must(t, s.Write(t.Context(), func(tx *store.Tx) error {
			if err := s.Write(tx.Context(), func(*store.Tx) error { return nil }); err == nil {
				t.Error("a Write inside a Write went through")
			}
			return s.Read(tx.Context(), func(*store.Tx) error { return nil })
		}))
	})
}

func TestKeptTxDoesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		var kept *store.Tx
		must(t, s.Write(t.Context(), func(tx *store.Tx) error { kept = tx; return nil }))
		if _, err := kept.Exec(`INSERT INTO t (id, n) VALUES (1, 1)`); err == nil || count(t, s) != 0 {
			t.Errorf("a Tx wrote after its end: %v", err)
		}
	})
}

func TestFailedStatementStopsTheRest(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			_, first := tx.Exec(`INSERT INTO t (id) VALUES (1)`) // n is missing
			if first == nil {
				t.Error("an insert without its NOT NULL column went through")
			}
			if _, err := tx.Exec(`INSERT INTO t (id, n) VALUES (2, 2)`); err != first {
				t.Errorf("second statement: %v, want the first's error", err)
			}
			return nil
		})
		if err == nil || count(t, s) != 0 {
			t.Errorf("error %v, %d rows; want an error and none", err, count(t, s))
		}
	})
}

// A goroutine that ends inside fn (t.FailNow) must not stop the writer.
func TestGoexitInside(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Write(context.Background(), func(tx *store.Tx) error {
				tx.Exec(`INSERT INTO t (id, n) VALUES (1, 1)`)
				runtime.Goexit()
				return nil
			})
		}()
		<-ended
		must(t, s.Write(t.Context(), sqlExec(`INSERT INTO t (id, n) VALUES (2, 2)`)))
		if got := count(t, s); got != 1 {
			t.Errorf("%d rows, want 1", got)
		}
	})
}

// A member whose context ends while it waits never runs.
func TestCancelWhileWaiting(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.Write(t.Context(), func(*store.Tx) error { close(inside); <-leave; return nil })
		if err != nil {
			t.Error(err)
		}
	})
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := s.Write(ctx, func(*store.Tx) error { t.Error("ran after its context ended"); return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
	close(leave)
	wg.Wait()
	must(t, s.Write(t.Context(), func(*store.Tx) error { return nil }))
}

// A context that ends inside fn undoes the member, and only it.
func TestCancelInside(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Write(ctx, func(tx *store.Tx) error {
			tx.Exec(`INSERT INTO t (id, n) VALUES (1, 1)`)
			cancel()
			_, err := tx.Exec(`INSERT INTO t (id, n) VALUES (2, 2)`)
			return err
		})
		if !errors.Is(err, context.Canceled) || count(t, s) != 0 {
			t.Errorf("error %v, %d rows", err, count(t, s))
		}
	})
}

// On SQLite a brief look-up that has begun runs to its end, and the next one is not begun.
func TestBriefRunsToItsEnd(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Read(ctx, func(tx *store.Tx) error {
		tx.Brief()
		seen := 0
		err := tx.Each(func(store.Row) error {
			cancel()
			time.Sleep(time.Millisecond) // whoever watches the context sees it
			seen++
			return nil
		}, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) SELECT i FROM n`)
		if seen != 20 || err != nil {
			t.Errorf("%d rows of 20, %v", seen, err)
		}
		_, err = store.Column[int64](tx, `SELECT 1`)
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a look-up is begun after the context has ended: %v", err)
	}
}

// Counting up in many goroutines loses nothing: writers wait for each other.
func TestConcurrentWritesAndReads(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		must(t, s.Write(t.Context(), sqlExec(`INSERT INTO t (id, n) VALUES (1, 0), (2, 0)`)))
		var wg sync.WaitGroup
		const writers, each = 8, 25
		for range writers {
			wg.Go(func() {
				for range each {
					err := s.Write(t.Context(), func(tx *store.Tx) error {
						var n int
						if err := tx.Row(`SELECT n FROM t WHERE id = ?`+tx.Wait(), 1).Scan(&n); err != nil {
							return err
						}
						if _, err := tx.Exec(`UPDATE t SET n = ? WHERE id = ?`, n+1, 1); err != nil {
							return err
						}
						_, err := tx.Exec(`UPDATE t SET n = n - 1 WHERE id = 2`)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
			wg.Go(func() {
				for range each { // a snapshot: both rows always agree
					var a, b int
					err := s.Read(t.Context(), func(tx *store.Tx) error {
						if err := tx.Row(`SELECT n FROM t WHERE id = 1`).Scan(&a); err != nil {
							return err
						}
						return tx.Row(`SELECT n FROM t WHERE id = 2`).Scan(&b)
					})
					if err != nil || a+b != 0 {
						t.Errorf("read %d and %d, %v", a, b, err)
					}
				}
			})
		}
		wg.Wait()
		must(t, s.Read(t.Context(), func(tx *store.Tx) error {
			var n int
			if err := tx.Row(`SELECT n FROM t WHERE id = 1`).Scan(&n); err != nil || n != writers*each {
				t.Errorf("counted %d, %v; want %d", n, err, writers*each)
			}
			return nil
		}))
	})
}

// Two transactions that take two rows in opposite order: PostgreSQL ends one of them, and
// Write tries it again.
func TestDeadlockIsTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		must(t, s.Write(t.Context(), sqlExec(`INSERT INTO t (id, n) VALUES (1, 0), (2, 0)`)))
		var wg sync.WaitGroup
		for _, order := range [][2]int{{1, 2}, {2, 1}} {
			wg.Go(func() {
				err := s.Write(t.Context(), func(tx *store.Tx) error {
					for _, id := range order {
						if _, err := tx.Exec(`UPDATE t SET n = n + 1 WHERE id = ?`, id); err != nil {
							return err
						}
						time.Sleep(30 * time.Millisecond)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		must(t, s.Read(t.Context(), func(tx *store.Tx) error {
			var sum int
			if err := tx.Row(`SELECT sum(n) FROM t`).Scan(&sum); err != nil || sum != 4 {
				t.Errorf("sum %d, %v; want 4", sum, err)
			}
			return nil
		}))
	})
}

func TestReadCannotWrite(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		if err := s.Read(t.Context(), sqlExec(`INSERT INTO t (id, n) VALUES (1, 1)`)); err == nil {
			t.Error("a Read wrote")
		}
		if got := count(t, s); got != 0 {
			t.Errorf("%d rows", got)
		}
	})
}

// Rows that fn forgets are closed for it; more readers than connections all get their turn.
func TestManyReadersAndForgottenRows(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		must(t, s.Write(t.Context(), sqlExec(`INSERT INTO t (id, n) VALUES (1, 1), (2, 2)`)))
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				err := s.Read(t.Context(), func(tx *store.Tx) error {
					rows, err := tx.Query(`SELECT id FROM t WHERE n < ?`, 10)
					if err == nil && !rows.Next() {
						err = errors.New("no row")
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestTypes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		if s.Postgres() {
			must(t, s.Write(t.Context(), sqlExec(`CREATE TABLE v (b SMALLINT, x BYTEA, s TEXT, n BIGINT)`)))
		} else {
			must(t, s.Write(t.Context(), sqlExec(`CREATE TABLE v (b SMALLINT, x BLOB, s TEXT, n BIGINT)`)))
		}
		now := time.Now()
		must(t, s.Write(t.Context(), sqlExec(`INSERT INTO v VALUES (?, ?, '?', ?) -- ?`, true, []byte{0, 255}, store.Time(now))))
		must(t, s.Read(t.Context(), func(tx *store.Tx) error {
			var b bool
			var x []byte
			var str string
			var n int64
			if err := tx.Row(`SELECT b, x, s, n FROM v`).Scan(&b, &x, &str, &n); err != nil {
				return err
			}
			if !b || string(x) != "\x00\xff" || str != "?" || !store.FromTime(n).Equal(now) {
				return fmt.Errorf("read %v %x %q %v", b, x, str, n)
			}
			if err := tx.Row(`SELECT b FROM v WHERE n = ?`, 1).Scan(&b); err != sql.ErrNoRows {
				return fmt.Errorf("no row: %v", err)
			}
			return nil
		}))
	})
}

func TestClosed(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		var wg sync.WaitGroup
		for i := range 50 { // each is either done or refused, none waits for ever
			wg.Go(func() {
				err := s.Write(context.Background(), sqlExec(`INSERT INTO t (id, n) VALUES (?, 0)`, i))
				if err != nil && !errors.Is(err, store.ErrClosed) {
					t.Error(err)
				}
			})
		}
		must(t, s.Close())
		wg.Wait()
		nop := func(*store.Tx) error { return nil }
		if err := s.Write(context.Background(), nop); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Write: %v", err)
		}
		if err := s.Read(context.Background(), nop); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Read: %v", err)
		}
	})
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	file := func(n int) *fstest.MapFile {
		return &fstest.MapFile{Data: fmt.Appendf(nil, "-- +goose Up\nCREATE TABLE x%d (id BIGINT PRIMARY KEY, b BLOB);\n", n)}
	}
	older := fstest.MapFS{"00001_a.sql": file(1)}
	newer := fstest.MapFS{"00001_a.sql": file(1), "00002_b.sql": file(2)}
	run := func(t *testing.T, o store.Options) {
		open := func(m fstest.MapFS) error {
			o.Migrations = m
			s, err := store.Open(t.Context(), o)
			if err == nil {
				err = s.Close()
			}
			return err
		}
		must(t, open(older))
		must(t, open(newer)) // migrates forward
		must(t, open(newer))
		// A file of one area that came after a higher number of another: a database
		// made in between could not be opened any more.
		late := fstest.MapFS{"00001_a.sql": file(1), "00002_b.sql": file(2), "00004_d.sql": file(4)}
		must(t, open(late))
		late["00003_c.sql"] = file(3)
		must(t, open(late))
		err := open(older)
		if !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), "version 4") {
			t.Errorf("error %v, want ErrNewerSchema naming version 4", err)
		}
	}
	t.Run("sqlite", func(t *testing.T) { run(t, store.Options{Create: true, Path: filepath.Join(t.TempDir(), "a ?%#b.db")}) })
	t.Run("postgres", func(t *testing.T) { run(t, store.Options{Create: true, Postgres: storetest.Postgres(t)}) })
}

// Several machines, or a command beside the server, may open a new database at the
// same moment.
func TestOpenedTwiceAtOnce(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, o store.Options) {
		o.Migrations = schema.FS
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				s, err := store.Open(t.Context(), o)
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				for range 5 {
					if err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.Raise("x") }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		s, err := store.Open(t.Context(), o)
		must(t, err)
		defer s.Close()
		if n, err := s.Generation(t.Context(), "x"); n != 20 || err != nil {
			t.Errorf("generation %d, %v; want 20", n, err)
		}
	}
	t.Run("sqlite", func(t *testing.T) { run(t, store.Options{Create: true, Path: filepath.Join(t.TempDir(), "x.db")}) })
	t.Run("postgres", func(t *testing.T) { run(t, store.Options{Create: true, Postgres: storetest.Postgres(t)}) })
}

func TestOpenErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    store.Options
		want string
	}{
		{store.Options{}, "neither"},
		{store.Options{Create: true, Path: filepath.Join(t.TempDir(), "missing", "x.db")}, "no such file"},
		{store.Options{Create: true, Path: t.TempDir()}, "unable to open"},
		{store.Options{Create: true, Postgres: "postgres://nobody@127.0.0.1:1/x?connect_timeout=2"}, "connect"},
	} {
		if _, err := store.Open(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one with %q", c.o, err, c.want)
		}
	}
}

func TestNewID(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[int64]bool{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := int64(0)
			for range 10000 {
				id := store.NewID()
				if id <= last {
					t.Errorf("%d after %d", id, last)
				}
				last = id
				mu.Lock()
				if seen[id] {
					t.Errorf("%d twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestTimeRoundTrip(t *testing.T) {
	t.Parallel()
	for _, want := range []time.Time{{}, time.Unix(1, 2).UTC(), time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)} {
		if got := store.FromTime(store.Time(want)); !got.Equal(want) {
			t.Errorf("%v came back as %v", want, got)
		}
	}
}
