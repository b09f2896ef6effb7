package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
)

// Snapshot writes a SQLite database as it is at one moment to w, while others go on
// reading and writing: page by page, each at its place, so that what has not changed
// since the last one is the same octets. PostgreSQL has its own tools, pg_dump first,
// and returns an error that says so.
func (s *Store) Snapshot(ctx context.Context, w io.Writer) error {
	e, ok := s.engine.(*sqliteEngine)
	if !ok {
		return errors.New("the database is PostgreSQL: make the backup with pg_dump (docs/operating/backup.md)")
	}
	if err := e.snapshot(ctx, w); err != nil {
		return fmt.Errorf("copy the database: %w", engineError(err))
	}
	return nil
}

func (e *sqliteEngine) snapshot(ctx context.Context, w io.Writer) error {
	// A connection of its own: a long copy must not take one from the readers.
	tx, err := e.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var pages, pageSize, mark int64
	for q, into := range map[string]*int64{"PRAGMA page_count": &pages, "PRAGMA page_size": &pageSize, "PRAGMA user_version": &mark} {
		if err := tx.QueryRowContext(ctx, q).Scan(into); err != nil {
			return err
		}
	}
	rows, err := tx.QueryContext(ctx, `SELECT pgno, data FROM sqlite_dbpage ORDER BY pgno`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var at int64
	for rows.Next() {
		var page sql.RawBytes
		var n int64
		if err := rows.Scan(&n, &page); err != nil {
			return err
		}
		at++
		if n != at || int64(len(page)) != pageSize {
			return fmt.Errorf("page %d of %d cannot be read", at, pages)
		}
		if n == 1 {
			// A server must notice when this is put in the place of its database (see files).
			copy(page[atMark:], make([]byte, 4))
		}
		if _, err := w.Write(page); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if at != pages {
		return fmt.Errorf("%d pages of %d were read", at, pages)
	}
	return nil
}

// Schema is the version of the database's schema.
func (s *Store) Schema(ctx context.Context) (version int64, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		return tx.Row(`SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&version)
	})
	return version, err
}

// maxFaults is how many faults of a database are told.
const maxFaults = 10

// Integrity reads a whole SQLite database and looks whether it is sound: its pages,
// its indexes, and that what one row says of another is true. The error says what is
// not. Of PostgreSQL it says nothing.
func (s *Store) Integrity(ctx context.Context) error {
	if s.Postgres() {
		return nil
	}
	return s.Read(ctx, func(tx *Tx) error {
		found, err := Column[string](tx, fmt.Sprintf(`PRAGMA integrity_check(%d)`, maxFaults))
		if err != nil {
			return fmt.Errorf("the database cannot be read: %w", err)
		}
		var errs []error
		for _, f := range found {
			if f != "ok" {
				errs = append(errs, errors.New(f))
			}
		}
		err = tx.Each(func(r Row) error {
			var table, parent string
			var row, rule sql.NullInt64
			if err := r.Scan(&table, &row, &parent, &rule); err != nil {
				return err
			}
			if len(errs) < maxFaults {
				errs = append(errs, fmt.Errorf("row %d of %s names a row of %s that is not there", row.Int64, table, parent))
			}
			return nil
		}, `PRAGMA foreign_key_check`)
		if err := errors.Join(append(errs, err)...); err != nil {
			return fmt.Errorf("the database is damaged: %w", err)
		}
		return nil
	})
}

// syncDir makes a file's name durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
