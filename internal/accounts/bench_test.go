package accounts_test

import (
	"testing"

	"waxwing/internal/accounts"
	"waxwing/internal/store/storetest"
)

// BenchmarkResolve is what a RCPT costs the database: a read of the generation and a
// look into the cache.
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
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Resolve(ctx, "joe", net); err != nil {
				b.Error(err)
			}
		}
	})
}
