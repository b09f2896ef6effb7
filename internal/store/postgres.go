package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// How often a transaction is tried that met a conflict, and the first wait
// before the next try, doubled each time.
const (
	pgTries = 8
	pgWait  = 2 * time.Millisecond
)

// pgConns bounds the connections of one process.
const pgConns = 32

// pgEngine is a pool; pgx prepares and keeps the statements of each connection.
type pgEngine struct {
	db   *sql.DB
	bind rebinder
	log  *slog.Logger
}

func openPostgres(ctx context.Context, o Options) (*pgEngine, error) {
	db, err := sql.Open("pgx", o.Postgres)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	db.SetMaxOpenConns(pgConns)
	db.SetMaxIdleConns(pgConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	e := &pgEngine{db: db, log: o.Log}
	if err := e.start(ctx, o); err != nil {
		db.Close()
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	return e, nil
}

func (e *pgEngine) start(ctx context.Context, o Options) error {
	if err := e.db.PingContext(ctx); err != nil {
		return err
	}
	return migrate(ctx, e.db, true, o)
}

func (e *pgEngine) postgres() bool { return true }

func (e *pgEngine) close() error { return e.db.Close() }

func (e *pgEngine) read(ctx context.Context, fn func(*Tx) error) error {
	return e.once(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, fn)
}

func (e *pgEngine) write(ctx context.Context, fn func(*Tx) error) error {
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
func (e *pgEngine) guarded(ctx context.Context, fn func(*Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(e.log, p)
		}
	}()
	return e.once(ctx, nil, fn)
}

func (e *pgEngine) once(ctx context.Context, o *sql.TxOptions, fn func(*Tx) error) error {
	stx, err := e.db.BeginTx(ctx, o)
	if err != nil {
		return closedError(err)
	}
	defer stx.Rollback() // no more than an error after Commit
	tx := &Tx{ctx: ctx, run: pgRunner{stx, &e.bind}, pg: true}
	defer tx.finish(nil)
	if err := tx.finish(fn(tx)); err != nil {
		return err
	}
	return stx.Commit()
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
