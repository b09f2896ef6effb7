package store

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrClosed is returned by calls after Close.
var ErrClosed = errors.New("store: the database is closed")

// ErrNewerSchema is wrapped by Open when a newer Waxwing has migrated the database.
var ErrNewerSchema = errors.New("the database was made by a newer Waxwing")

// ErrNoStore is wrapped by Open where there is no store and Options do not say to make one.
var ErrNoStore = errors.New("there is no store")

// ErrServed is wrapped by Open where another process serves the same database.
var ErrServed = errors.New("another server has the store open: end it first")

// ErrReplaced is wrapped by everything once the database is found to be another than
// was opened, or damaged: removed, overwritten, restored, migrated. It lasts until the
// process is started again.
var ErrReplaced = errors.New("the store was replaced or damaged while it was open: see that the right one is in its place, and start the server again")

// replaced wraps ErrReplaced. What was found comes first: the log cuts long errors.
func replaced(found error) error { return fmt.Errorf("%w: %w", found, ErrReplaced) }

// ErrUnknown is wrapped by a Write of which nobody knows whether it was committed.
var ErrUnknown = errors.New("the connection to the database broke off while a transaction was committed: it may have been, or not")

// ErrFull is wrapped where there was no space left for the write.
var ErrFull = errors.New("no space left for the database: free some and try again")

// ErrIO is wrapped where the disk failed.
var ErrIO = errors.New("the database's disk failed: see the system log")

// ErrBusy is wrapped where another process kept the database locked.
var ErrBusy = errors.New("another process keeps the database locked")

// IsDuplicate reports an error of a statement that broke a PRIMARY KEY or UNIQUE rule.
func IsDuplicate(err error) bool {
	if c, ok := sqliteCode(err); ok {
		return c == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY || c == sqlite3.SQLITE_CONSTRAINT_UNIQUE || c == sqlite3.SQLITE_CONSTRAINT_ROWID
	}
	return pgCode(err) == "23505"
}

// IsForeignKey reports an error of a statement that broke a FOREIGN KEY rule.
func IsForeignKey(err error) bool {
	if c, ok := sqliteCode(err); ok {
		return c == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
	}
	return pgCode(err) == "23503"
}

func sqliteCode(err error) (int, bool) {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code(), true
	}
	return 0, false
}

func pgCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// retryable reports a conflict of transactions that another try may not meet:
// serialization failure, deadlock.
func retryable(err error) bool {
	c := pgCode(err)
	return c == "40001" || c == "40P01"
}

// engineError adds to an engine's error what it means to the operator.
func engineError(err error) error {
	if err == nil {
		return nil
	}
	if c, ok := sqliteCode(err); ok {
		switch c & 0xff {
		case sqlite3.SQLITE_FULL:
			return explained{ErrFull, err}
		case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return explained{ErrIO, err}
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return explained{ErrBusy, err}
		}
	}
	switch pgCode(err) {
	case "53100":
		return explained{ErrFull, err}
	case "58030":
		return explained{ErrIO, err}
	}
	return err
}

// explained is an engine's error with its meaning; both can be found by errors.Is.
type explained struct{ meaning, cause error }

func (e explained) Error() string   { return e.meaning.Error() + ": " + e.cause.Error() }
func (e explained) Unwrap() []error { return []error{e.meaning, e.cause} }
