package store

import (
	"strings"
	"testing"
)

func TestDollars(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		``:                             ``,
		`SELECT 1`:                     `SELECT 1`,
		`a = ? AND b = ?`:              `a = $1 AND b = $2`,
		`'?' || ? || "?"`:              `'?' || $1 || "?"`,
		`'it''s ?' , ?`:                `'it''s ?' , $1`,
		"? -- why?\n, ?":               "$1 -- why?\n, $2",
		`? /* ? */ ?`:                  `$1 /* ? */ $2`,
		`'open ?`:                      `'open ?`,
		`-`:                            `-`,
		strings.Repeat("?", 10) + ` /`: `$1$2$3$4$5$6$7$8$9$10 /`,
	} {
		if got := dollars(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzDollars(f *testing.F) {
	f.Add(`a = ? AND b = '?' -- ?`)
	f.Fuzz(func(t *testing.T, q string) {
		if got := dollars(q); len(got) < len(q) {
			t.Errorf("%q lost something: %q", q, got)
		}
	})
}

func TestRebinderIsBounded(t *testing.T) {
	t.Parallel()
	var r rebinder
	for i := range 2 * maxCached {
		r.rebind(strings.Repeat("?,", i))
	}
	if len(r.done) > maxCached {
		t.Errorf("%d statements are kept", len(r.done))
	}
}

func TestTranslate(t *testing.T) {
	t.Parallel()
	const in = "id BIGINT PRIMARY KEY, k BIGINT NOT NULL PRIMARY KEY, b BLOB NOT NULL, n BIGINT"
	if got, want := translate(in, false), "id INTEGER PRIMARY KEY, k INTEGER PRIMARY KEY, b BLOB NOT NULL, n BIGINT"; got != want {
		t.Errorf("SQLite: %q", got)
	}
	if got, want := translate(in, true), strings.Replace(in, "BLOB", "BYTEA", 1); got != want {
		t.Errorf("PostgreSQL: %q", got)
	}
}

func TestTranslateOnly(t *testing.T) {
	t.Parallel()
	const in = "a;\n-- +store only sqlite\nb;\n-- +store only postgres\nc;\n-- +store both\nd;\n"
	if got := translate(in, false); got != "a;\nb;\nd;\n" {
		t.Errorf("SQLite: %q", got)
	}
	if got := translate(in, true); got != "a;\nc;\nd;\n" {
		t.Errorf("PostgreSQL: %q", got)
	}
}
