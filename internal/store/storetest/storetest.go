// Package storetest opens databases for tests: SQLite in a temporary
// directory, and PostgreSQL where the environment names one.
package storetest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgconn"

	"waxwing/internal/schema"
	"waxwing/internal/store"
)

// Env names the variable that holds the URL of a PostgreSQL database in which the
// tests may make and drop schemas, and beside which they may make databases.
const Env = "WAXWING_TEST_POSTGRES"

// Open returns a new SQLite store with the whole schema; it is closed when the
// test ends.
func Open(t testing.TB) *store.Store {
	t.Helper()
	return open(t, store.Options{Create: true, Path: file(t), Migrations: schema.FS})
}

// file is a new SQLite database with the whole schema.
func file(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "waxwing.db")
	if err := Lay(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Lay puts a new SQLite database with the whole schema at a path where there is none, so that whoever makes a store there
// finds it made: to make one takes a second under the race detector.
func Lay(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := template()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, db, 0o600)
}

// template is the file of a new store, migrated once a process: a test then
// opens a copy in a fraction of the time.
var template = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "waxwing-storetest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "waxwing.db")
	s, err := store.Open(context.Background(), store.Options{Create: true, Path: path, Migrations: schema.FS})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil { // empties the WAL into the file
		return nil, err
	}
	return os.ReadFile(path)
})

// Each runs fn as a subtest on each engine, with a new store of the whole
// schema. The one on PostgreSQL is skipped where Env is not set. A sample of the
// tests (-short) has one of the engines where there are two: which, its name says.
func Each(t *testing.T, fn func(t *testing.T, s *store.Store)) {
	t.Helper()
	h := fnv.New32a()
	io.WriteString(h, t.Name())
	one := testing.Short() && os.Getenv(Env) != ""
	if !one || h.Sum32()%2 == 0 {
		t.Run("sqlite", func(t *testing.T) { fn(t, Open(t)) })
	}
	if !one || h.Sum32()%2 == 1 {
		t.Run("postgres", func(t *testing.T) {
			fn(t, open(t, store.Options{Create: true, Postgres: migrated(t), Migrations: schema.FS}))
		})
	}
}

// EachDatabase runs fn as a subtest on each engine. open opens the subtest's database,
// which has the whole schema, with what change says; more than once, if that is called for.
func EachDatabase(t *testing.T, fn func(t *testing.T, open func(change func(*store.Options)) *store.Store)) {
	t.Helper()
	opener := func(t *testing.T, o store.Options) func(func(*store.Options)) *store.Store {
		o.Migrations = schema.FS
		return func(change func(*store.Options)) *store.Store {
			o := o
			if change != nil {
				change(&o)
			}
			return open(t, o)
		}
	}
	t.Run("sqlite", func(t *testing.T) { fn(t, opener(t, store.Options{Create: true, Path: file(t)})) })
	t.Run("postgres", func(t *testing.T) { fn(t, opener(t, store.Options{Create: true, Postgres: migrated(t)})) })
}

// Upgrade runs fn as a subtest on each engine. Its store has the migrations below number,
// such as "00017"; upgrade closes it and opens the same database with all of them.
func Upgrade(t *testing.T, number string, fn func(t *testing.T, old *store.Store, upgrade func() *store.Store)) {
	t.Helper()
	run := func(t *testing.T, o store.Options) {
		o.Create, o.Migrations = true, before(t, number)
		old := open(t, o)
		fn(t, old, func() *store.Store {
			t.Helper()
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			o.Migrations = schema.FS
			return open(t, o)
		})
	}
	t.Run("sqlite", func(t *testing.T) { run(t, store.Options{Path: filepath.Join(t.TempDir(), "waxwing.db")}) })
	t.Run("postgres", func(t *testing.T) { run(t, store.Options{Postgres: Postgres(t)}) })
}

// before are the migrations below a number.
func before(t testing.TB, number string) fs.FS {
	t.Helper()
	out := fstest.MapFS{}
	files, err := schema.FS.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() >= number {
			continue
		}
		b, err := schema.FS.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		out[f.Name()] = &fstest.MapFile{Data: b}
	}
	return out
}

func open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// server returns what Env says, and skips the test where it says nothing.
func server(t testing.TB) (base string, u *url.URL) {
	t.Helper()
	base = os.Getenv(Env)
	if base == "" {
		t.Skipf("PostgreSQL: set %s to a URL to run this test on it", Env)
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatalf("%s: %v", Env, err)
	}
	return base, u
}

// migrated returns the URL of a PostgreSQL database of the test's own with the whole
// schema, dropped when the test ends; without Env it skips the test.
func migrated(t testing.TB) string {
	t.Helper()
	base, u := server(t)
	from, err := postgresTemplate()
	if err != nil {
		t.Fatal(err)
	}
	u.Path = fmt.Sprintf("/waxwing_test_%d", store.NewID())
	admin(t, base, "CREATE DATABASE "+u.Path[1:]+" TEMPLATE "+from+" STRATEGY FILE_COPY")
	t.Cleanup(func() { admin(t, base, "DROP DATABASE "+u.Path[1:]+" WITH (FORCE)") })
	return u.String()
}

// postgresTemplate is the name of a database with the whole schema, to be copied: the
// migrations take ten times as long. It is made once for these migrations, by whoever
// comes first, and stays: other processes use it too.
var postgresTemplate = sync.OnceValues(func() (string, error) {
	h := sha256.New()
	err := fs.WalkDir(schema.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := schema.FS.ReadFile(name)
		fmt.Fprintf(h, "%s %d %s", name, len(b), b)
		return err
	})
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("waxwing_template_%x", h.Sum(nil)[:8])
	u, err := url.Parse(os.Getenv(Env))
	if err != nil {
		return "", err
	}
	ctx := context.Background()
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		return "", err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close() // and with it the lock
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock(hashtext($1))", name); err != nil {
		return "", err
	}
	var there bool
	err = conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there)
	if err != nil || there {
		return name, err
	}
	u.Path = "/" + name + "_part"
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + u.Path[1:], "CREATE DATABASE " + u.Path[1:]} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return "", err
		}
	}
	s, err := store.Open(ctx, store.Options{Create: true, Postgres: u.String(), Migrations: schema.FS})
	if err != nil {
		return "", err
	}
	if err := s.Close(); err != nil {
		return "", err
	}
	_, err = conn.ExecContext(ctx, "ALTER DATABASE "+u.Path[1:]+" RENAME TO "+name)
	return name, err
})

// Postgres returns the URL of an empty PostgreSQL schema of the test's own, dropped
// when the test ends; without Env it skips the test.
func Postgres(t testing.TB) string {
	t.Helper()
	base, u := server(t)
	name := fmt.Sprintf("waxwing_test_%d", store.NewID())
	admin(t, base, "CREATE SCHEMA "+name)
	t.Cleanup(func() { admin(t, base, "DROP SCHEMA "+name+" CASCADE") })
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

func admin(t testing.TB, url, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for try := 1; ; try++ {
		_, err = db.Exec(statement)
		// What the test has cancelled may still end in the database: whoever is chosen
		// to give way to it comes again.
		if e := new(pgconn.PgError); try == maxTries || !errors.As(err, &e) || e.Code != deadlock {
			break
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

const (
	maxTries = 10
	deadlock = "40P01" // PostgreSQL, appendix A
)
