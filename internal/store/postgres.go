package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib" // and the driver "pgx"

	"waxwing/internal/guard"
)

// How often a transaction is tried that met a conflict, and the first wait
// before the next try, doubled each time.
const (
	pgTries = 8
	pgWait  = 2 * time.Millisecond
)

// pgConns bounds the connections of each pool of a process.
const pgConns = 16

// pgEngine is two pools; pgx prepares and keeps the statements of each
// connection. Reads have a pool of their own, so that a Read inside a Write (a
// message's content that is read from the store) never waits for writes that wait
// for it.
type pgEngine struct {
	writes, reads *sql.DB
	bind          rebinder
	guard         *guard.Guard
	is            identity
	broken        broken
	around        func(commit func() error) error // Options.Commit
}

func openPostgres(ctx context.Context, o Options) (*pgEngine, error) {
	e := &pgEngine{guard: o.Guard, around: o.Commit, broken: broken{log: o.Log}}
	config, err := pgx.ParseConfig(o.Postgres)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	for _, db := range []**sql.DB{&e.writes, &e.reads} {
		*db = stdlib.OpenDB(*config, stdlib.OptionAfterConnect(e.connected))
		(*db).SetMaxOpenConns(pgConns)
		(*db).SetMaxIdleConns(pgConns)
		(*db).SetConnMaxIdleTime(5 * time.Minute)
	}
	if err := e.start(ctx, o); err != nil {
		e.close()
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	return e, nil
}

func (e *pgEngine) start(ctx context.Context, o Options) error {
	if err := e.writes.PingContext(ctx); err != nil {
		return err
	}
	err := migrate(ctx, e.writes, true, o)
	if err == nil && o.Migrations != nil {
		e.is, err = ensureIdentity(ctx, e.writes, true)
	}
	return err
}

// connected looks at every new connection: what answers at the same address may be
// another database by now.
func (e *pgEngine) connected(ctx context.Context, c *pgx.Conn) error {
	if e.is == (identity{}) {
		return nil
	}
	var now identity
	err := c.QueryRow(ctx, pgIdentity).Scan(&now.id, &now.born, &now.schema)
	return e.broken.compare(e.is, now, err)
}

// check asks the database who it is.
func (e *pgEngine) check(ctx context.Context) error {
	if err := e.broken.get(); err != nil {
		return err
	}
	if e.is == (identity{}) {
		return closedError(e.reads.PingContext(ctx))
	}
	now, err := readIdentity(ctx, e.reads, true)
	return e.broken.compare(e.is, now, closedError(err))
}

func (e *pgEngine) postgres() bool { return true }

func (e *pgEngine) close() error {
	var errs []error
	for _, db := range []*sql.DB{e.writes, e.reads} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

func (e *pgEngine) read(ctx context.Context, fn func(*Tx) error) error {
	return engineError(e.once(ctx, e.reads, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, fn))
}

// PostgreSQL lets transactions share a flush of its log by itself.
func (e *pgEngine) write(ctx context.Context, _ urgency, fn func(*Tx) error) error {
	wait := pgWait
	for try := 1; ; try++ {
		err := e.guarded(ctx, fn)
		if err == nil || !retryable(err) {
			return engineError(err)
		}
		if try == pgTries {
			return fmt.Errorf("transaction given up after %d conflicts: %w", try, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait + rand.N(wait)):
		}
		wait *= 2
	}
}

// guarded is one try of a write, in which a panic is an error.
func (e *pgEngine) guarded(ctx context.Context, fn func(*Tx) error) error {
	return contained(e.guard, func() error { return e.once(ctx, e.writes, nil, fn) })
}

func (e *pgEngine) once(ctx context.Context, db *sql.DB, o *sql.TxOptions, fn func(*Tx) error) error {
	if err := e.broken.get(); err != nil {
		return err
	}
	// Statements end with ctx, and the transaction with them; but a COMMIT that was broken
	// off would leave rows behind of which this process knows nothing.
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	unlink := context.AfterFunc(ctx, cancel)
	defer unlink()
	stx, err := db.BeginTx(own, o)
	if err != nil {
		return e.unreachable(ctx, err)
	}
	defer stx.Rollback() // no more than an error after Commit
	tx := &Tx{ctx: ctx, statements: ctx, run: pgRunner{stx, &e.bind}, pg: true}
	defer tx.finish(nil)
	if err := tx.finish(fn(tx)); err != nil {
		return err
	}
	if !unlink() {
		return ctx.Err()
	}
	if db == e.reads {
		return stx.Commit()
	}
	late := time.AfterFunc(commitWait, cancel)
	defer late.Stop()
	return e.around(func() error { return commitError(stx.Commit()) })
}

// commitWait is how long the answer to a COMMIT is waited for.
const commitWait = time.Minute

// commitError tells a commit that failed from one of which nobody knows.
func commitError(err error) error {
	var said *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, pgx.ErrTxCommitRollback), errors.Is(err, sql.ErrTxDone):
		return err
	case errors.As(err, &said) && said.Severity == "ERROR":
		return err
	}
	return explained{ErrUnknown, err}
}

// unreachable is the error of a transaction that could not begin.
func (e *pgEngine) unreachable(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case e.is != (identity{}) && missing(err):
		return e.broken.compare(e.is, e.is, err)
	}
	return closedError(err)
}

func closedError(err error) error {
	if err != nil && err.Error() == "sql: database is closed" { // not exported there
		return errors.Join(ErrClosed, err)
	}
	return err
}

type pgRunner struct {
	tx   *sql.Tx
	bind *rebinder
}

func (r pgRunner) exec(ctx context.Context, q string, args []any) (sql.Result, error) {
	return r.tx.ExecContext(ctx, r.bind.rebind(q), numbers(args)...)
}

func (r pgRunner) query(ctx context.Context, q string, args []any) (*sql.Rows, error) {
	return r.tx.QueryContext(ctx, r.bind.rebind(q), numbers(args)...)
}

func (r pgRunner) row(ctx context.Context, q string, args []any) *sql.Row {
	return r.tx.QueryRowContext(ctx, r.bind.rebind(q), numbers(args)...)
}

// numbers is args with booleans as 0 and 1, which SMALLINT takes.
func numbers(args []any) []any {
	for i, a := range args {
		if b, ok := a.(bool); ok {
			args[i] = 0
			if b {
				args[i] = 1
			}
		}
	}
	return args
}
