// Package store is the database: two engines, one schema, one way to write.
//
// SQLite (modernc.org/sqlite) is the default, one file in the data directory in WAL mode with synchronous=FULL;
// PostgreSQL (pgx) serves several machines. A statement is written once, in the common subset of both, with "?" for
// parameters. Package schema holds the tables; this package knows no mail.
//
// A Write is durable when it returns nil. On SQLite concurrent writes share one commit, and so one fsync (group commit).
// One member's failure leaves the others alone: they run again, or each is behind a savepoint of its own.
package store

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"

	"waxwing/internal/guard"
)

// Options say where the database is. Exactly one of Path and Postgres is used; Postgres wins.
type Options struct {
	Path       string // the SQLite file, beside which its -wal and -shm are
	Postgres   string // a URL, postgres://user:password@host/database
	Migrations fs.FS  // goose files, see package schema; nil: the schema is left as it is
	Log        *slog.Logger
	Guard      *guard.Guard // contains panics
	// Create makes the store where there is none. Without it that is ErrNoStore: a server must never take an empty
	// directory, such as one that was not mounted, for a new beginning.
	Create bool
	// Serve says that this process serves the store for as long as it is open: of a SQLite database no second one may
	// (ErrServed), and Check and every commit make sure that the database is still the one that was opened.
	Serve bool
	// Commit stands around every commit of a write and calls commit, or does not: so tests break off what they want to
	// see the end of. Nil: nothing does.
	Commit func(commit func() error) error
}

// Store is an open database. All methods may be called at the same time from any goroutine.
type Store struct {
	engine engine
	seen   generations
	load   load
}

// engine is what the two databases do differently. Both methods run fn on a
// Tx of their own and end the transaction before they return.
type engine interface {
	read(ctx context.Context, fn func(*Tx) error) error
	write(ctx context.Context, u urgency, fn func(*Tx) error) error
	check(ctx context.Context) error
	listen(ctx context.Context, channel string, fn func(payload string)) error
	postgres() bool
	close() error
}

// Open opens the database and migrates it to the program's schema. Errors wrap
// ErrNoStore, ErrServed, and ErrNewerSchema for a schema newer than the program.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Commit == nil {
		o.Commit = func(commit func() error) error { return commit() }
	}
	var e engine
	var err error
	switch {
	case o.Postgres != "":
		e, err = openPostgres(ctx, o)
	case o.Path != "":
		e, err = openSQLite(ctx, o)
	default:
		err = errors.New("store: neither a SQLite path nor a PostgreSQL URL is given")
	}
	if err != nil {
		return nil, err
	}
	return &Store{engine: e}, nil
}

// Close waits for the writes that have been taken in, refuses new ones with
// ErrClosed, and closes the database.
func (s *Store) Close() error { return s.engine.close() }

// Check finds out whether the store can be reached, and is still the one that was
// opened: ErrReplaced otherwise, then and from everything else, for good.
func (s *Store) Check(ctx context.Context) error { return s.engine.check(ctx) }

// Postgres reports the engine.
func (s *Store) Postgres() bool { return s.engine.postgres() }

// Read runs fn on one consistent snapshot, which it must not change. Readers do
// not wait for writers. fn may call Read of this store inside a Write, but not
// inside a Read: many that do so would wait for each other's connections.
func (s *Store) Read(ctx context.Context, fn func(*Tx) error) error {
	return s.engine.read(ctx, fn)
}

// Write runs fn in a transaction and commits it; when it returns nil, what fn
// wrote is durable. Any error of fn, or of a statement of fn even if fn itself
// returns nil, undoes all of fn.
//
// fn may run again after a conflict: it must have no effect but through its Tx
// and variables that it sets anew. It must not wait for the network or call
// Write: on SQLite nobody else can write meanwhile. On PostgreSQL transactions
// are READ COMMITTED: where fn writes what depends on what it has read, it reads
// with Tx.Lock or Tx.Wait at the end of the SELECT, or says all in one statement.
//
// When ctx ends before fn has begun, fn never runs and ctx's error is returned;
// later, statements of fn fail with it. A panic of fn becomes an error.
func (s *Store) Write(ctx context.Context, fn func(*Tx) error) error {
	return s.write(ctx, now, fn)
}

// WriteSoon is Write for what nobody waits for. SQLite holds the commit back for up
// to 10 ms, so that others can share it: a commit costs more than most of what is
// in it.
func (s *Store) WriteSoon(ctx context.Context, fn func(*Tx) error) error {
	return s.write(ctx, soon, fn)
}

// urgency is how long a write may wait for others to share its commit.
type urgency int

const (
	now urgency = iota
	soon
)

func (s *Store) write(ctx context.Context, u urgency, fn func(*Tx) error) error {
	if ctx.Value(inside{}) == s {
		return errNested
	}
	if u == now {
		s.load.begin()
		defer s.load.end()
	}
	raised := false
	var after []func()
	err := s.engine.write(ctx, u, func(tx *Tx) error {
		tx.in = s
		err := fn(tx)
		raised, after = tx.raised, tx.after
		return err
	})
	if raised {
		s.seen.epoch.Add(1)
	}
	if err == nil {
		for _, fn := range after {
			fn()
		}
	}
	return err
}

// inside is the key under which a Write's context holds its store.
type inside struct{}

var errNested = errors.New("store: Write inside a Write would wait for itself: use the Tx")
