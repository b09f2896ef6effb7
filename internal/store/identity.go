package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
)

// identity is what a store is told from others by, and from itself at another time.
type identity struct {
	id     int64
	born   string // of the row: a restored backup has another, on PostgreSQL
	schema int64  // version
}

// How it is read. On PostgreSQL born is the transaction that wrote the row, which a
// backup that is restored does not keep.
const (
	sqliteIdentity = `SELECT id, '', (SELECT max(version_id) FROM goose_db_version WHERE is_applied) FROM identity WHERE one = 1`
	pgIdentity     = `SELECT id, CAST(xmin AS TEXT), (SELECT max(version_id) FROM goose_db_version WHERE is_applied) FROM identity WHERE one = 1`
)

// readIdentity reads it from any connection.
func readIdentity(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row
}, pg bool) (is identity, err error) {
	q := sqliteIdentity
	if pg {
		q = pgIdentity
	}
	err = db.QueryRowContext(ctx, q).Scan(&is.id, &is.born, &is.schema)
	return is, err
}

// ensureIdentity gives a store its number, where it has none yet. A schema from
// before there were any, as tests have it, gets none.
func ensureIdentity(ctx context.Context, db *sql.DB, pg bool) (identity, error) {
	if has, err := hasTable(ctx, db, pg, "identity"); !has || err != nil {
		return identity{}, err
	}
	_, err := db.ExecContext(ctx, fmt.Sprintf(`INSERT INTO identity (one, id) VALUES (1, %d) ON CONFLICT DO NOTHING`, 1+rand.Int64N(1<<62)))
	if err != nil {
		return identity{}, fmt.Errorf("identify the store: %w", err)
	}
	is, err := readIdentity(ctx, db, pg)
	if err != nil {
		return identity{}, fmt.Errorf("read the store's identity: %w", err)
	}
	return is, nil
}

// differs says what has become of a store that was opened as is, if now is what is
// found there; "" where it is the same.
func (is identity) differs(now identity) string {
	switch {
	case now.id != is.id:
		return "it is another store"
	case now.born != is.born:
		return "a backup was restored over it"
	case now.schema < is.schema:
		return fmt.Sprintf("its schema went from version %d back to %d", is.schema, now.schema)
	case now.schema > is.schema:
		return fmt.Sprintf("its schema went from version %d to %d: a newer Waxwing has migrated it", is.schema, now.schema)
	}
	return ""
}

// missing reports an error that says that the database, or what every store has in it,
// is not there: as opposed to one that cannot be reached now.
func missing(err error) bool {
	switch pgCode(err) {
	case "42P01", "3D000", "3F000": // undefined table, catalog, schema
		return true
	}
	return errors.Is(err, sql.ErrNoRows)
}
