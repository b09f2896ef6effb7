package store_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"modernc.org/sqlite"

	"waxwing/internal/schema"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// broken are the migrations up to one, which is broken off before its nth statement, or
// after the last one, by a statement of the engine's own. ok is false where it has fewer.
func broken(t *testing.T, engine, last string, n int, by string) (all fs.FS, ok bool) {
	t.Helper()
	out := fstest.MapFS{}
	files, err := schema.FS.ReadDir(".")
	must(t, err)
	for _, f := range files {
		if f.Name() > last {
			continue
		}
		b, err := schema.FS.ReadFile(f.Name())
		must(t, err)
		if f.Name() == last {
			var text string
			if text, ok = breakOff(string(b), engine, n, by); !ok {
				return nil, false
			}
			b = []byte(text)
		}
		out[f.Name()] = &fstest.MapFile{Data: b}
	}
	return out, true
}

// breakOff puts a statement before the nth that an engine has in a migration's upward part.
func breakOff(text, engine string, n int, by string) (string, bool) {
	up, down, _ := strings.Cut(text, "-- +goose Down")
	lines := strings.SplitAfter(up, "\n")
	starts, open, theirs := []int{}, false, false
	for i, line := range lines {
		s := strings.TrimSpace(line)
		if mark, ok := strings.CutPrefix(s, "-- +store "); ok {
			theirs = mark != "both" && mark != "only "+engine
		}
		if s == "" || strings.HasPrefix(s, "--") || theirs {
			continue
		}
		if !open {
			starts = append(starts, i)
		}
		code, _, _ := strings.Cut(s, "--")
		open = !strings.HasSuffix(strings.TrimSpace(code), ";")
	}
	starts = append(starts, len(lines)) // after the last
	if n >= len(starts) {
		return "", false
	}
	lines = slices.Insert(lines, starts[n], "\n"+by+"\n")
	return strings.Join(lines, "") + "-- +goose Down" + down, true
}

// migrations are the names of the files, in their order.
func migrations(t *testing.T) (names []string) {
	t.Helper()
	files, err := schema.FS.ReadDir(".")
	must(t, err)
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".sql") {
			names = append(names, f.Name())
		}
	}
	return names
}

// tablesOf are the definitions of all tables and indexes.
func tablesOf(t *testing.T, s *store.Store) string {
	t.Helper()
	all, err := store.List(t.Context(), s, store.Value[string], `SELECT coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY type, name`)
	must(t, err)
	return strings.Join(all, "\n")
}

// everyMigration has all of them broken, and not a sample.
const everyMigration = "WAXWING_EVERY_MIGRATION"

// toBreak tells of a migration whether it is broken today: the newest ones are always, of the
// others, which do not change any more, another fifth each day.
func toBreak(names []string, i int) bool {
	return os.Getenv(everyMigration) != "" || i >= len(names)-8 || (i+time.Now().YearDay())%5 == 0
}

// OPS-3: a migration that is killed at any of its statements leaves a store that opens, is
// sound, and comes out as one that was never disturbed.
func TestKillMigration(t *testing.T) {
	if dir := os.Getenv("MIGRATE_IN"); dir != "" {
		migrateAndDie(t, dir)
		return
	}
	if testing.Short() {
		t.Skip("starts a process for each statement; not with -short")
	}
	t.Parallel()
	names, kills := migrations(t), 0
	// The store that the migrations so far have made; each is killed in copies of it.
	base := filepath.Join(t.TempDir(), "base.db")
	migrateTo(t, base, names[0])
	tables := ""
	for i, name := range names[1:] { // there is no store before the first: findOrMake makes it under another name
		before, err := os.ReadFile(base)
		must(t, err)
		tables = migrateTo(t, base, name)
		for n := 0; toBreak(names, i+1); n++ {
			if _, ok := broken(t, "sqlite", name, n, ";"); !ok {
				break
			}
			dir := t.TempDir()
			path := filepath.Join(dir, "x.db")
			must(t, os.WriteFile(path, before, 0o600))
			cmd := exec.Command(os.Args[0], "-test.run=^TestKillMigration$")
			cmd.Env = append(os.Environ(), "MIGRATE_IN="+dir, "MIGRATE_TO="+name, "MIGRATE_AT="+strconv.Itoa(n))
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("%s, statement %d: not killed: %v: %s", name, n, err, out)
			}
			kills++
			if got := migrateTo(t, path, name); got != tables {
				t.Errorf("%s, statement %d: the tables are not what they should be", name, n)
			}
		}
	}
	if whole := tablesOf(t, storetest.Open(t)); tables != whole {
		t.Errorf("one by one the migrations make\n%s\ntogether\n%s", tables, whole)
	}
	t.Logf("%d migrations, killed at %d statements", len(names), kills)
	if kills < len(names)/2 {
		t.Errorf("only %d kills", kills)
	}
}

// migrateTo opens a store with the migrations up to one. It must be sound; its tables are returned.
func migrateTo(t *testing.T, path, name string) string {
	t.Helper()
	all, _ := broken(t, "sqlite", name, 0, "")
	s, err := store.Open(t.Context(), store.Options{Create: true, Path: path, Migrations: all})
	if err != nil {
		t.Fatalf("%s does not open: %v", name, err)
	}
	defer s.Close()
	if err := s.Integrity(t.Context()); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return tablesOf(t, s)
}

// migrateAndDie is the process that is killed.
func migrateAndDie(t *testing.T, dir string) {
	sqlite.MustRegisterScalarFunction("die_now", 0, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		return nil, syscall.Kill(os.Getpid(), syscall.SIGKILL)
	})
	n, err := strconv.Atoi(os.Getenv("MIGRATE_AT"))
	must(t, err)
	all, _ := broken(t, "sqlite", os.Getenv("MIGRATE_TO"), n, "INSERT INTO generation (area, value) SELECT 'x', 0 WHERE die_now();")
	_, err = store.Open(context.Background(), store.Options{Path: filepath.Join(dir, "x.db"), Migrations: all})
	t.Fatalf("not killed: %v", err)
}

// The same on PostgreSQL, where the connection breaks off.
func TestBreakMigrationPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("opens a store hundreds of times; not with -short")
	}
	t.Parallel()
	at, names := storetest.Postgres(t), migrations(t)
	open := func(name string, n int, by string) error {
		all, _ := broken(t, "postgres", name, n, by)
		s, err := store.Open(t.Context(), store.Options{Create: true, Postgres: at, Migrations: all})
		if err != nil {
			return err
		}
		return s.Close()
	}
	must(t, open(names[0], 0, ""))
	for i, name := range names[1:] {
		if !toBreak(names, i+1) {
			continue // the next that is broken runs it
		}
		last := 0
		for ; ; last++ {
			if _, ok := broken(t, "postgres", name, last+1, ";"); !ok {
				break
			}
		}
		for _, n := range []int{0, last / 2, last} {
			if open(name, n, "SELECT pg_terminate_backend(pg_backend_pid());") == nil {
				t.Fatalf("%s, statement %d: not broken off", name, n)
			}
		}
		if err := open(name, 0, ""); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}
