// Package transport carries jobs: Direct to the hosts that a domain names in
// DNS (TRA-1), Local into mailboxes here.
package transport

import (
	"context"
	"log/slog"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// Finder finds a domain's hosts; *destination.Finder is one.
type Finder interface {
	Find(ctx context.Context, d delivery.RecipientDomain) delivery.Destination
}

// STS finds a domain's MTA-STS policy; *stspolicy.Cache is one.
type STS interface {
	Find(ctx context.Context, d delivery.RecipientDomain) delivery.Finding
}

// Mailboxes takes a copy of a message in a transaction; *mailboxes.Store is one.
type Mailboxes interface {
	Deliver(tx *store.Tx, d mailbox.Delivery, c delivery.Content) (int64, error)
}

// Accounts says whose an address is; *accounts.Store is one.
type Accounts interface {
	Resolve(ctx context.Context, local string, domain dns.Name) (account.Target, error)
}

var _ = []any{slog.Default, time.Now}
