package accounts_test

import (
	"errors"
	"strconv"
	"testing"

	"waxwing/internal/accounts"
	"waxwing/internal/store/storetest"
)

// BenchmarkResolve is what a RCPT costs, for a name that was asked for before and for ever
// new ones.
func BenchmarkResolve(b *testing.B) {
	s := &accounts.Store{DB: storetest.Open(b)}
	ctx := b.Context()
	if err := s.AddDomain(ctx, net); err != nil {
		b.Fatal(err)
	}
	if err := s.AddAccount(ctx, "joe", password); err != nil {
		b.Fatal(err)
	}
	if err := s.AddAddress(ctx, "joe@example.net", "joe"); err != nil {
		b.Fatal(err)
	}
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Resolve(ctx, "joe", net); err != nil {
				b.Error(err)
			}
		}
	})
	b.Run("unknown", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := s.Resolve(ctx, strconv.Itoa(i), net); !errors.Is(err, accounts.ErrNoSuchAddress) {
				b.Error(err)
			}
		}
	})
}
