package store

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"regexp"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// migrate brings db to the newest version that files know.
func migrate(ctx context.Context, db *sql.DB, pg bool, o Options) error {
	if o.Migrations == nil {
		return nil
	}
	if made, err := isMade(ctx, db, pg); err != nil {
		return fmt.Errorf("look for the store's tables: %w", err)
	} else if !made && !o.Create {
		return fmt.Errorf("%w in this database: it is empty", ErrNoStore)
	}
	dialect := goose.DialectSQLite3
	opts := []goose.ProviderOption{
		goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true),
		// Each area has files of its own: one may come after a higher number of another.
		goose.WithAllowOutofOrder(true),
	}
	if pg {
		dialect = goose.DialectPostgres
		// Several machines may start at the same moment.
		l, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
		if err != nil {
			return fmt.Errorf("lock for migrations: %w", err)
		}
		opts = append(opts, goose.WithSessionLocker(l))
	}
	p, err := goose.NewProvider(dialect, db, translated{o.Migrations, pg}, opts...)
	if err != nil {
		return fmt.Errorf("read the schema's migrations: %w", err)
	}
	if err := refuseNewer(ctx, p); err != nil {
		return err
	}
	done, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	for _, m := range done {
		o.Log.Info("database migrated", slog.Int64("version", m.Source.Version))
	}
	return nil
}

// isMade reports whether a database has the tables of a store.
func isMade(ctx context.Context, db *sql.DB, pg bool) (bool, error) {
	has, err := hasTable(ctx, db, pg, "goose_db_version")
	if !has || err != nil {
		return false, err
	}
	var version int64
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&version)
	return version > 0, err
}

func hasTable(ctx context.Context, db *sql.DB, pg bool, name string) (has bool, err error) {
	q := `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?`
	if pg {
		q = `SELECT to_regclass($1) IS NOT NULL`
	}
	err = db.QueryRowContext(ctx, q, name).Scan(&has)
	return has, err
}

// refuseNewer says no to a database that a newer program has changed: what it
// means by its tables we cannot know.
func refuseNewer(ctx context.Context, p *goose.Provider) error {
	has, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the database's schema version: %w", err)
	}
	var known int64
	for _, s := range p.ListSources() {
		known = max(known, s.Version)
	}
	if has > known {
		return fmt.Errorf("%w: its schema has version %d, this program knows %d; run the newer program, or restore the backup made before it", ErrNewerSchema, has, known)
	}
	return nil
}

// translated is a directory of migrations in the words of one engine (see
// package schema).
type translated struct {
	fs.FS
	pg bool
}

// Open translates files; directories are as they are.
func (t translated) Open(name string) (fs.File, error) {
	f, err := t.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return f, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	text := translate(string(b), t.pg)
	return &file{strings.NewReader(text), info, int64(len(text))}, nil
}

// file is a translated file.
type file struct {
	*strings.Reader
	fs.FileInfo
	size int64
}

func (f *file) Stat() (fs.FileInfo, error) { return f, nil }
func (f *file) Size() int64                { return f.size }
func (f *file) Close() error               { return nil }

func translate(s string, pg bool) string {
	s = only(s, pg)
	if pg {
		return regexp.MustCompile(`\bBLOB\b`).ReplaceAllString(s, "BYTEA")
	}
	return regexp.MustCompile(`\bBIGINT(\s+NOT\s+NULL)?\s+PRIMARY\s+KEY\b`).ReplaceAllString(s, "INTEGER PRIMARY KEY")
}

// only leaves out the lines that are for the other engine: those behind a line
// "-- +store only sqlite" or "-- +store only postgres", up to the next such line or
// "-- +store both".
func only(s string, pg bool) string {
	mine := map[bool]string{false: "sqlite", true: "postgres"}[pg]
	var b strings.Builder
	skip := false
	for line := range strings.Lines(s) {
		if mark, ok := strings.CutPrefix(strings.TrimSpace(line), "-- +store "); ok {
			engine, some := strings.CutPrefix(mark, "only ")
			skip = some && engine != mine
			continue
		}
		if !skip {
			b.WriteString(line)
		}
	}
	return b.String()
}
