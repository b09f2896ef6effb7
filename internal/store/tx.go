package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Tx is a transaction. It belongs to the goroutine that runs fn and ends with
// fn. Rows must be read to the end or closed before the next statement:
// PostgreSQL does one thing at a time on a connection.
//
// A statement that failed has undone the transaction (PostgreSQL's rule, kept
// on SQLite too): every later statement returns the same error. To try an
// insert that may clash, say ON CONFLICT DO NOTHING and look at the number of
// rows. A bool goes into SMALLINT as 0 or 1.
type Tx struct {
	ctx        context.Context // looked at before each statement
	statements context.Context // that statements run under; Background: once begun, they run to their end
	run        runner
	pg         bool
	in         *Store // of a Write
	open       []*sql.Rows
	err        error // of the first failed statement

	raised bool     // a generation: Store.Write forgets those it remembers
	after  []func() // run once the transaction is committed
}

// runner runs statements on the transaction's connection.
type runner interface {
	exec(ctx context.Context, q string, args []any) (sql.Result, error)
	query(ctx context.Context, q string, args []any) (*sql.Rows, error)
	row(ctx context.Context, q string, args []any) *sql.Row
}

// After has fn run once this transaction is durable, on the goroutine that called Write;
// where it comes to nothing, fn is forgotten. fn must be quick.
func (tx *Tx) After(fn func()) { tx.after = append(tx.after, fn) }

// Context is the context given to Read or Write. A Write under it, which would
// wait for this one for ever, is refused.
func (tx *Tx) Context() context.Context {
	if tx.in == nil {
		return tx.ctx
	}
	return context.WithValue(tx.ctx, inside{}, tx.in)
}

// Brief says that what follows looks up a few rows by their keys. On SQLite such a statement runs to its end
// whatever becomes of the context: to be able to interrupt it costs two goroutines each.
func (tx *Tx) Brief() {
	if !tx.pg {
		tx.statements = context.Background()
	}
}

// Postgres reports the engine, for the rare statement that has no common form.
func (tx *Tx) Postgres() bool { return tx.pg }

// Lock is put at the end of a SELECT whose rows are to be claimed: rows that
// another machine holds are left out. Empty on SQLite, which has one writer.
func (tx *Tx) Lock() string {
	if tx.pg {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// Wait is put at the end of a SELECT whose rows are going to be changed: it
// waits for another machine that holds them. Empty on SQLite.
func (tx *Tx) Wait() string {
	if tx.pg {
		return " FOR UPDATE"
	}
	return ""
}

// Exec runs a statement and returns the number of rows it changed.
func (tx *Tx) Exec(q string, args ...any) (int64, error) {
	if err := tx.begin(); err != nil {
		return 0, err
	}
	r, err := tx.run.exec(tx.statements, q, args)
	if err != nil {
		return 0, tx.failed(err)
	}
	return r.RowsAffected()
}

// Query runs a statement that returns rows.
func (tx *Tx) Query(q string, args ...any) (*sql.Rows, error) {
	if err := tx.begin(); err != nil {
		return nil, err
	}
	rows, err := tx.run.query(tx.statements, q, args)
	if err != nil {
		return nil, tx.failed(err)
	}
	tx.open = append(tx.open, rows)
	return rows, nil
}

// Row runs a statement for one row; Scan on it must follow, and returns
// sql.ErrNoRows where there is none.
func (tx *Tx) Row(q string, args ...any) *sql.Row {
	return tx.run.row(tx.statements, q, args)
}

// Raise adds one to the generation of area (Store.Generation), in this
// transaction.
func (tx *Tx) Raise(area string) error {
	tx.raised = true
	_, err := tx.Exec(`INSERT INTO generation (area, value) VALUES (?, 1)
		ON CONFLICT (area) DO UPDATE SET value = generation.value + 1`, area)
	return err
}

// Generation is how often area has been raised, as this transaction sees it; 0
// for never.
func (tx *Tx) Generation(area string) (int64, error) {
	var n int64
	err := tx.Row(`SELECT value FROM generation WHERE area = ?`, area).Scan(&n)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("generation of %s: %w", area, err)
	}
	return n, nil
}

func (tx *Tx) begin() error {
	if tx.err != nil {
		return tx.err
	}
	return tx.ctx.Err()
}

func (tx *Tx) failed(err error) error {
	tx.err = err
	return err
}

var errEnded = errors.New("store: the transaction has ended; a Tx must not be kept")

// finish closes what fn left open and says what the transaction came to. A Tx
// kept beyond it does nothing more: its connection is another's.
func (tx *Tx) finish(err error) error {
	for _, r := range tx.open {
		if e := r.Close(); e != nil && tx.err == nil {
			tx.err = e
		}
	}
	tx.open = nil
	if err == nil {
		err = tx.err
	}
	tx.err = errEnded
	return err
}
