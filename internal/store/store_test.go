package store_test

import (
	"context"
	"testing"

	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func TestGeneration(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		for want := range int64(3) {
			if got, err := s.Generation(ctx, "x"); err != nil || got != want {
				t.Fatalf("generation %d, %v; want %d", got, err, want)
			}
			if err := s.Write(ctx, func(tx *store.Tx) error { return tx.Raise("x") }); err != nil {
				t.Fatal(err)
			}
		}
	})
}
