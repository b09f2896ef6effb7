package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waxwing/internal/schema"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func write(s *store.Store, area string) error {
	return s.Write(context.Background(), func(tx *store.Tx) error { return tx.Raise(area) })
}

// much writes so much that the WAL is copied into the database.
func much(t *testing.T, s *store.Store) {
	t.Helper()
	for range 80 {
		must(t, s.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO body_chunks (body, part, data) VALUES (?, 0, ?)`, store.NewID(), make([]byte, 256<<10))
			return err
		}))
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	must(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // as cp does
	must(t, err)
	_, err = io.Copy(out, in)
	must(t, errors.Join(err, out.Close()))
}

func serve(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(dir, "x.db"), Migrations: schema.FS, Create: true, Serve: true})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	must(t, write(s, "before"))
	return s
}

// other is a directory with another store.
func other(t *testing.T) string {
	dir := t.TempDir()
	s := serve(t, dir)
	for range 3 {
		much(t, s)
	}
	must(t, s.Close())
	return dir
}

// Whatever is done to the files of a database that is served, no Write returns nil
// from then on: what is committed into a file that is gone would go with the process.
func TestReplacedFiles(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, s *store.Store, dir, db string){
		"removed":      func(t *testing.T, _ *store.Store, _, db string) { must(t, os.Remove(db)) },
		"WAL removed":  func(t *testing.T, _ *store.Store, _, db string) { must(t, os.Remove(db+"-wal")) },
		"shm removed":  func(t *testing.T, _ *store.Store, _, db string) { must(t, os.Remove(db+"-shm")) },
		"emptied":      func(t *testing.T, _ *store.Store, _, db string) { must(t, os.Truncate(db, 0)) },
		"cut off":      func(t *testing.T, _ *store.Store, _, db string) { must(t, os.Truncate(db, 64<<10)) },
		"WAL emptied":  func(t *testing.T, _ *store.Store, _, db string) { must(t, os.Truncate(db+"-wal", 0)) },
		"WAL cut off":  func(t *testing.T, _ *store.Store, _, db string) { must(t, os.Truncate(db+"-wal", 4096)) },
		"WAL zeroed":   func(t *testing.T, _ *store.Store, _, db string) { zero(t, db+"-wal") },
		"shm emptied":  func(t *testing.T, _ *store.Store, _, db string) { must(t, os.Truncate(db+"-shm", 0)) },
		"zeroed":       func(t *testing.T, _ *store.Store, _, db string) { zero(t, db) },
		"dir renamed":  func(t *testing.T, _ *store.Store, dir, _ string) { must(t, os.Rename(dir, dir+".away")) },
		"dir replaced": replaceDir,
		"renamed and copied back": func(t *testing.T, _ *store.Store, _, db string) {
			must(t, os.Rename(db, db+".old"))
			copyFile(t, db+".old", db)
		},
		"an older copy over it": func(t *testing.T, s *store.Store, _, db string) {
			must(t, os.Link(db, db+".link")) // which harms nobody
			copyFile(t, db, db+".old")
			much(t, s)
			copyFile(t, db+".old", db)
		},
		"its own backup over it": func(t *testing.T, s *store.Store, _, db string) {
			snapshotTo(t, s, db+".backup")
			copyFile(t, db+".backup", db)
		},
		"another store over it": func(t *testing.T, s *store.Store, _, db string) {
			copyFile(t, filepath.Join(other(t), "x.db"), db)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			must(t, os.Mkdir(dir, 0o700))
			s := serve(t, dir)
			much(t, s)
			must(t, write(s, "before"))
			must(t, s.Check(t.Context()))
			damage(t, s, dir, filepath.Join(dir, "x.db"))
			for range 3 {
				if err := write(s, "after"); !errors.Is(err, store.ErrReplaced) {
					t.Errorf("Write: %v", err)
				}
			}
			if err := s.Check(t.Context()); !errors.Is(err, store.ErrReplaced) {
				t.Errorf("Check: %v", err)
			}
			if err := s.Read(t.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrReplaced) {
				t.Errorf("Read: %v", err)
			}
		})
	}
}

func zero(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.Write(make([]byte, 1<<20))
	must(t, errors.Join(err, f.Close()))
}

// replaceDir is what a file system that is mounted over the directory looks like.
func replaceDir(t *testing.T, _ *store.Store, dir, _ string) {
	from := other(t)
	must(t, os.Rename(dir, dir+".away"))
	must(t, os.Rename(from, dir))
}

// Check finds it out without a Write, and it stays so when the files come back.
func TestReplacedIsForGood(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, db := serve(t, dir), filepath.Join(dir, "x.db")
	must(t, os.Rename(db, db+".away"))
	if err := s.Check(t.Context()); !errors.Is(err, store.ErrReplaced) || !strings.HasPrefix(err.Error(), db+" is not there any more") {
		t.Errorf("%v", err)
	}
	must(t, os.Rename(db+".away", db))
	if err := s.Check(t.Context()); !errors.Is(err, store.ErrReplaced) {
		t.Errorf("Check: %v", err)
	}
	if err := write(s, "x"); !errors.Is(err, store.ErrReplaced) {
		t.Errorf("Write: %v", err)
	}
}

// What is right is not taken for damage: commands that come and go, the WAL copied by
// them and by us, a vacuum, a backup made, a name added.
func TestServedBesideOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, db := serve(t, dir), filepath.Join(dir, "x.db")
	raw, err := sql.Open("sqlite", db)
	must(t, err)
	defer raw.Close()
	for i := range 3 {
		much(t, s)
		c, err := store.Open(t.Context(), store.Options{Path: db, Migrations: schema.FS})
		must(t, err)
		must(t, write(c, "command"))
		must(t, s.Check(t.Context()))
		must(t, c.Close())
		snapshotTo(t, s, filepath.Join(t.TempDir(), "b.db"))
		if i == 1 {
			must(t, s.Write(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec(`DELETE FROM body_chunks`)
				return err
			}))
			_, err = raw.Exec(`VACUUM`)
			must(t, err)
			_, err = raw.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
			must(t, err)
		}
		must(t, s.Check(t.Context()))
		must(t, write(s, "server"))
	}
}

// A reader keeps a part of the WAL from being copied: the file is then shorter than its
// first page says, and is right nevertheless.
func TestServedBesideAReader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, db := serve(t, dir), filepath.Join(dir, "x.db")
	raw, err := sql.Open("sqlite", db)
	must(t, err)
	defer raw.Close()
	must(t, s.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO body_chunks (body, part, data) VALUES (1, 0, ?)`, make([]byte, 256<<10))
		return err
	}))
	reader, err := raw.BeginTx(t.Context(), nil)
	must(t, err)
	defer reader.Rollback()
	n := 0
	must(t, reader.QueryRow(`SELECT count(*) FROM body_chunks`).Scan(&n))
	must(t, s.Write(t.Context(), func(tx *store.Tx) error { // all its pages, and not the first of the file
		_, err := tx.Exec(`UPDATE body_chunks SET data = ? WHERE body = 1`, bytes.Repeat([]byte{1}, 256<<10))
		return err
	}))
	_, err = raw.Exec(`PRAGMA wal_checkpoint(PASSIVE)`)
	must(t, err)
	h, err := os.ReadFile(db)
	must(t, err)
	if pages := int(binary.BigEndian.Uint32(h[28:])); len(h) >= pages*4096 {
		t.Fatalf("%d octets hold %d pages: this shows nothing", len(h), pages)
	}
	must(t, s.Check(t.Context()))
	must(t, write(s, "server"))
}

// One server at a time has a SQLite database, under whatever name it finds it.
func TestServedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, db := serve(t, dir), filepath.Join(dir, "x.db")
	link := filepath.Join(t.TempDir(), "y.db")
	must(t, os.Symlink(db, link))
	for _, path := range []string{db, link} {
		if _, err := store.Open(t.Context(), store.Options{Path: path, Migrations: schema.FS, Serve: true}); !errors.Is(err, store.ErrServed) {
			t.Errorf("%s: %v", path, err)
		}
	}
	must(t, write(s, "x"))
	must(t, s.Close())
	again, err := store.Open(t.Context(), store.Options{Path: link, Migrations: schema.FS, Serve: true})
	must(t, err)
	must(t, again.Close())
}

// A store is made where that is asked for, whole or not at all, and nowhere else.
func TestCreate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := filepath.Join(dir, "x.db")
	o := store.Options{Path: db, Migrations: schema.FS}
	for _, empty := range []bool{false, true} {
		if empty {
			must(t, os.WriteFile(db, nil, 0o600))
		}
		if _, err := store.Open(t.Context(), o); !errors.Is(err, store.ErrNoStore) {
			t.Errorf("opened what was not there: %v", err)
		}
		if info, err := os.Stat(db); empty != (err == nil) || empty && info.Size() != 0 {
			t.Errorf("made what was not asked for: %v", err)
		}
	}
	raw, err := sql.Open("sqlite", db) // a database that is no store
	must(t, err)
	_, err = raw.Exec(`CREATE TABLE x (y)`)
	must(t, errors.Join(err, raw.Close()))
	if _, err := store.Open(t.Context(), o); !errors.Is(err, store.ErrNoStore) {
		t.Errorf("opened another program's database: %v", err)
	}
	must(t, os.Remove(db))
	must(t, os.WriteFile(db+".part", []byte("of a making that broke off"), 0o600))
	o.Create = true
	for range 2 {
		s, err := store.Open(t.Context(), o)
		must(t, err)
		must(t, s.Close())
		o.Create = false
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

// The same of PostgreSQL: an empty database is no store, and one that is dropped, made
// anew, restored or migrated under a server is noticed.
func TestReplacedPostgres(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string][]string{
		"emptied":          {`DROP TABLE identity`},
		"another identity": {`UPDATE identity SET id = id + 1`},
		"restored":         {`CREATE TABLE saved AS SELECT * FROM identity`, `DELETE FROM identity`, `INSERT INTO identity SELECT * FROM saved`},
		"newer":            {`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`},
		"older":            {`DELETE FROM goose_db_version WHERE version_id > 5`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			o := store.Options{Postgres: url, Migrations: schema.FS, Serve: true}
			if _, err := store.Open(t.Context(), o); !errors.Is(err, store.ErrNoStore) {
				t.Fatalf("an empty database: %v", err)
			}
			o.Create = true
			s, err := store.Open(t.Context(), o)
			must(t, err)
			defer s.Close()
			second, err := store.Open(t.Context(), o) // machines share it
			must(t, err)
			defer second.Close()
			must(t, s.Check(t.Context()))
			raw, err := sql.Open("pgx", url)
			must(t, err)
			defer raw.Close()
			for _, q := range damage {
				_, err := raw.Exec(q)
				must(t, err)
			}
			for _, s := range []*store.Store{s, second} {
				for range 2 {
					if err := s.Check(t.Context()); !errors.Is(err, store.ErrReplaced) {
						t.Errorf("Check: %v", err)
					}
				}
				if err := write(s, "x"); !errors.Is(err, store.ErrReplaced) {
					t.Errorf("Write: %v", err)
				}
			}
		})
	}
}

// BenchmarkLook is what every commit pays for the look at the files.
func BenchmarkLook(b *testing.B) {
	s, err := store.Open(b.Context(), store.Options{Path: filepath.Join(b.TempDir(), "x.db"), Create: true, Serve: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		if err := s.Check(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
