package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	_ "modernc.org/sqlite" // the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// busyTimeout is how long, in milliseconds, to wait for another process (a
// command beside the server) that writes.
const busyTimeout = 10000

// sqliteEngine has one connection that writes and some that read.
type sqliteEngine struct {
	db      *sql.DB // holds all connections
	writer  *writer
	readers chan *session // the idle ones; a reader out of it is in use
	n       int           // number of readers
	closed  chan struct{}
	is      identity
	broken  broken
	files   *files // nil: not served, and so not watched
	release func() // of what keeps other servers off
}

func openSQLite(ctx context.Context, o Options) (*sqliteEngine, error) {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // beside which SQLite has its other files
	}
	unlock, err := lockDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) && !o.Create {
		return nil, fmt.Errorf("open the database: %w at %s: %w", ErrNoStore, path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	defer unlock()
	if err := findOrMake(ctx, path, o); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	release := func() {}
	if o.Serve {
		if release, err = lockServer(path); err != nil {
			return nil, fmt.Errorf("open the database %s: %w", path, err)
		}
	}
	e, err := openFile(ctx, path, o)
	if err != nil {
		release()
		if c, ok := sqliteCode(err); ok && c == sqlite3.SQLITE_NOTADB {
			err = errors.Join(noDatabase(path), err)
		}
		return nil, fmt.Errorf("open the database %s: %w", path, engineError(err))
	}
	e.release = release
	return e, nil
}

// smallest is the size of the smallest database, in octets: one page.
const smallest = 512

// noDatabase says of a file that is something else what SQLite's own words, which speak
// of locks and encryption, do not.
func noDatabase(path string) error {
	return fmt.Errorf("%s is no SQLite database: it is another program's file, or its beginning was overwritten; move it away and put a backup in its place", path)
}

// findOrMake sees to it that there is a database at path, or makes one where it may.
func findOrMake(ctx context.Context, path string, o Options) error {
	switch info, err := os.Stat(path); {
	case err == nil && info.Mode().IsRegular() && info.Size() > 0 && info.Size() < smallest:
		return noDatabase(path) // SQLite would take it for an empty one
	case err == nil && (info.Size() > 0 || !info.Mode().IsRegular()):
		return nil
	case err == nil && !o.Create:
		return fmt.Errorf("%w: %s is empty", ErrNoStore, path)
	case errors.Is(err, fs.ErrNotExist) && !o.Create:
		return fmt.Errorf("%w at %s", ErrNoStore, path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	// Under another name first: what breaks off leaves no store that is half made.
	part := path + ".part"
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(part + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	// Made here, so that nobody else can read it: secrets live in it.
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	o.Serve = false
	e, err := openFile(ctx, part, o)
	if err != nil {
		return fmt.Errorf("make the database: %w", engineError(err))
	}
	if err := e.close(); err != nil {
		return fmt.Errorf("make the database: %w", engineError(err))
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// openFile opens the database at path, which is there.
func openFile(ctx context.Context, path string, o Options) (*sqliteEngine, error) {
	if err := registerPack(); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, err
	}
	e := &sqliteEngine{db: db, n: max(4, 2*runtime.NumCPU()), closed: make(chan struct{}), broken: broken{log: o.Log}, release: func() {}}
	if err := e.start(ctx, path, o); err != nil {
		db.Close()
		if e.files != nil {
			e.files.close()
		}
		return nil, err
	}
	return e, nil
}

// dsn names the file and what every connection sets. Quoting matters: a path
// may hold "?" or "%".
func dsn(path string) string {
	q := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout), // first: the others may have to wait
		fmt.Sprintf("page_size(%d)", pageSize),
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(ON)",
		"temp_store(MEMORY)",
		"cache_size(-16384)",
		fmt.Sprintf("wal_autocheckpoint(%d)", walHard),
		fmt.Sprintf("journal_size_limit(%d)", walKeep),
	}, "_txlock": {"immediate"}, "_dqs": {"0"}}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// readersCache is for the pages that all readers keep, in KiB: there are two for each
// core, and what they keep must not grow with the cores.
const readersCache = 64 << 10

// readerCache is what one of n readers keeps, in KiB: what the writer has, at most.
func readerCache(n int) int { return min(16<<10, readersCache/n) }

func pragmaBusy(ms int) string { return fmt.Sprintf("PRAGMA busy_timeout=%d", ms) }

func (e *sqliteEngine) start(ctx context.Context, path string, o Options) error {
	err := migrate(ctx, e.db, false, o)
	if err != nil {
		return err
	}
	if o.Migrations != nil {
		if e.is, err = ensureIdentity(ctx, e.db, false); err != nil {
			return err
		}
	}
	w, err := newSession(ctx, e.db)
	if err != nil {
		return err
	}
	if o.Serve {
		if err := e.watch(ctx, path, w); err != nil {
			return err
		}
	}
	e.readers = make(chan *session, e.n)
	for range e.n {
		r, err := newSession(ctx, e.db)
		if err != nil {
			return err
		}
		if _, err := r.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA query_only=1; PRAGMA cache_size=-%d", readerCache(e.n))); err != nil {
			return err
		}
		e.readers <- r
	}
	e.writer = newWriter(w, e, o)
	return nil
}

// watch begins to look after the database's files.
func (e *sqliteEngine) watch(ctx context.Context, path string, w *session) (err error) {
	var application, mark int64
	for q, into := range map[string]*int64{"PRAGMA application_id": &application, "PRAGMA user_version": &mark} {
		if err := w.conn.QueryRowContext(ctx, q).Scan(into); err != nil {
			return err
		}
	}
	want := e.is.id & math.MaxInt32
	if application != want {
		if err := w.set(fmt.Sprintf("PRAGMA application_id = %d", want)); err != nil {
			return err
		}
	}
	mark = (mark + 1) & math.MaxInt32
	if err := w.set(fmt.Sprintf("PRAGMA user_version = %d", mark)); err != nil {
		return err
	}
	if _, _, err := checkpoint(w, "RESTART"); err != nil {
		return err
	}
	if e.files, err = openFiles(path); err != nil {
		return err
	}
	return e.files.begin(uint32(want), uint32(mark))
}

// check asks the files, and the store itself who it is.
func (e *sqliteEngine) check(ctx context.Context) error {
	if err := e.broken.get(); err != nil {
		return err
	}
	if e.files != nil {
		if err := e.files.check(); err != nil {
			return e.broken.set(err)
		}
	}
	if e.is == (identity{}) {
		return nil
	}
	var now identity
	err := e.read(ctx, func(tx *Tx) (err error) {
		now, err = readIdentity(ctx, rowQuerier{tx}, false)
		return err
	})
	return e.broken.compare(e.is, now, err)
}

// rowQuerier reads through a transaction.
type rowQuerier struct{ tx *Tx }

func (r rowQuerier) QueryRowContext(_ context.Context, q string, args ...any) *sql.Row {
	return r.tx.Row(q, args...)
}

func (e *sqliteEngine) postgres() bool { return false }

func (e *sqliteEngine) write(ctx context.Context, u urgency, fn func(*Tx) error) error {
	return e.writer.write(ctx, u, fn)
}

func (e *sqliteEngine) read(ctx context.Context, fn func(*Tx) error) (err error) {
	if err := e.broken.get(); err != nil {
		return err
	}
	defer func() { err = e.broken.note(err) }()
	var s *session
	select {
	case s = <-e.readers:
	default:
		select {
		case s = <-e.readers:
		case <-ctx.Done():
			return ctx.Err()
		case <-e.closed:
			return ErrClosed
		}
	}
	defer func() { e.readers <- s }()
	select {
	case <-e.closed:
		return ErrClosed
	default:
	}
	if err := s.do("BEGIN"); err != nil {
		return engineError(err)
	}
	defer func() {
		// Nothing was written, so that nothing is lost if this fails; the next
		// BEGIN then says so.
		if e := s.do("ROLLBACK"); e != nil && err == nil {
			err = engineError(e)
		}
	}()
	tx := &Tx{ctx: ctx, statements: ctx, run: s}
	defer tx.finish(nil)
	return engineError(tx.finish(fn(tx)))
}

func (e *sqliteEngine) close() error {
	if !e.writer.stop() {
		return ErrClosed
	}
	close(e.closed)
	for range e.n {
		s := <-e.readers
		s.close()
	}
	err := errors.Join(e.writer.s.close(), e.db.Close())
	if e.files != nil {
		e.files.close()
	}
	e.release()
	return err
}
