package queue

import (
	"context"
	"testing"

	"waxwing/internal/schema"
	"waxwing/internal/store"
)

func openPostgres(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Create: true, Postgres: url, Migrations: schema.FS})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
