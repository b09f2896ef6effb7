// Package schema holds the tables of Waxwing, one numbered file an area, for
// both engines. The files are goose migrations in a dialect that package store
// translates: BIGINT PRIMARY KEY is SQLite's INTEGER PRIMARY KEY, BLOB is
// PostgreSQL's BYTEA, and lines behind "-- +store only sqlite" (or postgres) are for
// that engine, up to "-- +store both". Times are BIGINT, nanoseconds since 1970 UTC; booleans
// are SMALLINT 0 or 1; identifiers come from store.NewID.
package schema

import "embed"

// FS holds the migrations.
//
//go:embed *.sql
var FS embed.FS
