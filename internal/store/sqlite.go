package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	_ "modernc.org/sqlite" // the driver "sqlite"
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
	log     *slog.Logger
}

func openSQLite(ctx context.Context, o Options) (*sqliteEngine, error) {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	unlock, err := lockDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	defer unlock()
	// Made first where it is missing, so that nobody else can read it: secrets live in it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", path, err)
	}
	e := &sqliteEngine{db: db, n: max(4, 2*runtime.NumCPU()), closed: make(chan struct{}), log: o.Log}
	if err := e.start(ctx, o); err != nil {
		db.Close()
		return nil, fmt.Errorf("open the database %s: %w", path, engineError(err))
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

func (e *sqliteEngine) start(ctx context.Context, o Options) error {
	if err := migrate(ctx, e.db, false, o); err != nil {
		return err
	}
	w, err := newSession(ctx, e.db)
	if err != nil {
		return err
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
	e.writer = newWriter(w, o)
	return nil
}

func (e *sqliteEngine) postgres() bool { return false }

func (e *sqliteEngine) write(ctx context.Context, u urgency, fn func(*Tx) error) error {
	return e.writer.write(ctx, u, fn)
}

func (e *sqliteEngine) read(ctx context.Context, fn func(*Tx) error) (err error) {
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
	tx := &Tx{ctx: ctx, run: s}
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
	return errors.Join(truncateWAL(e.db), e.writer.s.close(), e.db.Close())
}

// session is a connection with its prepared statements. One goroutine at a
// time uses it.
type session struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func newSession(ctx context.Context, db *sql.DB) (*session, error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn: c, stmts: map[string]*sql.Stmt{}}, nil
}

func (s *session) close() error {
	for _, st := range s.stmts {
		st.Close()
	}
	return s.conn.Close()
}

// do runs a statement of the engine's own.
func (s *session) do(q string) error {
	_, err := s.exec(context.Background(), q, nil)
	return err
}

// stmt is the prepared statement for q, or nil where there are too many
// already or q is wrong, which running it unprepared will tell.
func (s *session) stmt(q string) *sql.Stmt {
	if st, ok := s.stmts[q]; ok {
		return st
	}
	if len(s.stmts) >= maxCached {
		return nil
	}
	st, err := s.conn.PrepareContext(context.Background(), q)
	if err != nil {
		return nil
	}
	s.stmts[q] = st
	return st
}

func (s *session) exec(ctx context.Context, q string, args []any) (sql.Result, error) {
	if st := s.stmt(q); st != nil {
		return st.ExecContext(ctx, args...)
	}
	return s.conn.ExecContext(ctx, q, args...)
}

func (s *session) query(ctx context.Context, q string, args []any) (*sql.Rows, error) {
	if st := s.stmt(q); st != nil {
		return st.QueryContext(ctx, args...)
	}
	return s.conn.QueryContext(ctx, q, args...)
}

func (s *session) row(ctx context.Context, q string, args []any) *sql.Row {
	if st := s.stmt(q); st != nil {
		return st.QueryRowContext(ctx, args...)
	}
	return s.conn.QueryRowContext(ctx, q, args...)
}
