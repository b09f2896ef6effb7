package stspolicy

import (
	"context"
	"log/slog"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/mtasts"
)

// Fetcher gets a policy over HTTPS; *mtasts.Fetcher does. The text is the
// policy as it came. It honours ctx and is safe for concurrent use.
type Fetcher interface {
	Fetch(ctx context.Context, domain dns.Name) (*mtasts.Policy, []byte, *mtasts.Error)
}

// Cache finds the MTA-STS policy of a domain and keeps it in the store.
type Cache struct {
	Store   *store.Store
	DNS     dns.Resolver
	Fetcher Fetcher
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: discard
	Rand    func() float64   // in [0, 1), for jitter; nil: math/rand/v2
}

// Find looks up what MTA-STS says of a recipient domain.
func (c *Cache) Find(ctx context.Context, d delivery.RecipientDomain) delivery.Finding {
	return delivery.Finding{}
}

// Run refreshes policies until ctx ends (STS-10).
func (c *Cache) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
