package store

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

// Column runs a query with one column and returns its values.
func Column[T any](tx *Tx, q string, args ...any) ([]T, error) {
	return Collect(tx, func(r Row) (T, error) {
		var v T
		return v, r.Scan(&v)
	}, q, args...)
}
