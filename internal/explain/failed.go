package explain

import (
	"cmp"
	"context"

	"waxwing/internal/delivery"
	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// LastFailure is the newest delivery to a domain that failed, as the queue knows it.
func LastFailure(db *store.Store) func(context.Context, delivery.RecipientDomain) (*Failed, error) {
	return func(ctx context.Context, domain delivery.RecipientDomain) (*Failed, error) {
		it, ok, err := spool.LastFailure(ctx, db, domain)
		if err != nil || !ok {
			return nil, err
		}
		why := cmp.Or(it.Last, delivery.Fact{Word: it.Word, Text: it.Text}) // of one that was tried long enough, what it failed by
		return &Failed{Reason: Reason{Word: why.Word, Text: why.Text}, At: it.Recipient.LastAttempt, Host: it.Host,
			Reply: it.Reply, Message: delivery.ID(it.Envelope.ID), State: it.State.String()}, nil
	}
}
