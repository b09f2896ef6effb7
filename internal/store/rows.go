package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Row is one row of an answer; *sql.Row and *sql.Rows are such.
type Row interface {
	Scan(dest ...any) error
}

// Each runs a query and calls fn for each row, until fn returns an error. The
// next statement of the transaction must wait until Each has returned.
func (tx *Tx) Each(fn func(Row) error, q string, args ...any) error {
	rows, err := tx.Query(q, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Collect runs a query and returns what fn makes of each row.
func Collect[T any](tx *Tx, fn func(Row) (T, error), q string, args ...any) ([]T, error) {
	var out []T
	err := tx.Each(func(r Row) error {
		v, err := fn(r)
		if err == nil {
			out = append(out, v)
		}
		return err
	}, q, args...)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// List is Collect in a transaction of its own.
func List[T any](ctx context.Context, s *Store, fn func(Row) (T, error), q string, args ...any) (out []T, err error) {
	err = s.Read(ctx, func(tx *Tx) (err error) {
		out, err = Collect(tx, fn, q, args...)
		return err
	})
	return out, err
}

// Read is what fn reads, in a transaction of its own.
func Read[T any](ctx context.Context, s *Store, fn func(*Tx) (T, error)) (v T, err error) {
	err = s.Read(ctx, func(tx *Tx) (err error) {
		v, err = fn(tx)
		return err
	})
	return v, err
}

// Write is what fn returns of what it writes, in a transaction of its own.
func Write[T any](ctx context.Context, s *Store, fn func(*Tx) (T, error)) (v T, err error) {
	err = s.Write(ctx, func(tx *Tx) (err error) {
		v, err = fn(tx)
		return err
	})
	return v, err
}

// Value reads a row of one column.
func Value[T any](r Row) (v T, err error) {
	err = r.Scan(&v)
	return v, err
}

// Column runs a query with one column and returns its values.
func Column[T any](tx *Tx, q string, args ...any) ([]T, error) {
	return Collect(tx, Value[T], q, args...)
}

// rowsAtOnce is how many rows a statement of Insert writes.
const rowsAtOnce = 10

// Insert writes many rows into a table, which is named with its columns: values are those of one row after the other. What
// is left behind the last ten goes row by row, so that no more than two statements are prepared for it.
func (tx *Tx) Insert(into string, columns int, values []any) error {
	row := "(?" + strings.Repeat(", ?", columns-1) + ")"
	for n := rowsAtOnce; len(values) > 0; values = values[n*columns:] {
		if len(values) < n*columns {
			n = 1
		}
		if _, err := tx.Exec("INSERT INTO "+into+" VALUES "+row+strings.Repeat(", "+row, n-1), values[:n*columns]...); err != nil {
			return err
		}
	}
	return nil
}

// Old is a statement that removes rows; its one argument is a time, or a day.
type Old struct {
	Query  string
	Before int64
}

// Remove is Write for what is done again and again and seldom finds anything: where fn says that
// it has removed nothing, nothing is committed.
func (s *Store) Remove(ctx context.Context, fn func(tx *Tx) (removed int64, err error)) error {
	err := s.Write(ctx, func(tx *Tx) error {
		n, err := fn(tx)
		if err == nil && n == 0 {
			err = errNothingWritten
		}
		return err
	})
	if errors.Is(err, errNothingWritten) {
		return nil
	}
	return err
}

// Prune removes what is too old of what is called so, in one transaction; where there is
// nothing, nothing is committed.
func (s *Store) Prune(ctx context.Context, what string, all ...Old) error {
	err := s.Remove(ctx, func(tx *Tx) (removed int64, err error) {
		for _, o := range all {
			n, err := tx.Exec(o.Query, o.Before)
			if err != nil {
				return 0, err
			}
			removed += n
		}
		return removed, nil
	})
	if err != nil {
		return fmt.Errorf("remove old %s: %w", what, err)
	}
	return nil
}
