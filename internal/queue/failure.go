package queue

import (
	"context"
	"fmt"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// LastFailure is the recipient of a domain whose attempt failed last: one that
// still waits, or was returned within the time of History. ok is false where there
// is none.
func (q *Queue) LastFailure(ctx context.Context, domain delivery.RecipientDomain) (last Item, ok bool, err error) {
	f := Filter{Domain: domain.String()}
	err = q.Store.Read(ctx, func(tx *store.Tx) error {
		last, ok = Item{}, false
		for _, state := range []State{Waiting, Leased, Failed} {
			items, err := f.readBy(tx, state, ` AND r.attempts > 0 AND (r.word <> '' OR r.reply <> '') ORDER BY r.last_attempt DESC, r.id DESC`, 1)
			if err != nil {
				return err
			}
			for _, it := range items {
				if !ok || it.Recipient.LastAttempt.After(last.Recipient.LastAttempt) {
					last, ok = it, true
				}
			}
		}
		return nil
	})
	if err != nil {
		return Item{}, false, fmt.Errorf("look for the last failure of mail to %s: %w", domain, err)
	}
	return last, ok, nil
}
