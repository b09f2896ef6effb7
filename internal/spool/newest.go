package spool

import (
	"context"
	"fmt"
	"math"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// Summary is one message of an account in a line.
type Summary struct {
	ID       delivery.ID `json:"id"`
	Accepted time.Time   `json:"accepted"`
	Sender   string      `json:"sender"`
	Size     int64       `json:"size"` // octets
	Need     string      `json:"need"`
	Waiting  int64       `json:"waiting"`           // recipients that are not settled yet
	Finished time.Time   `json:"finished,omitzero"` // when the last one was settled; zero: some wait
}

// maxNewest is how many messages Newest returns at most.
const maxNewest = 100

// Newest are the newest messages that an account has handed in, newest first, before the one
// with an id; 0: from the newest.
func Newest(ctx context.Context, db *store.Store, account string, before int64, limit int) ([]Summary, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	if limit <= 0 || limit > maxNewest {
		limit = maxNewest
	}
	all, err := store.List(ctx, db, func(r store.Row) (s Summary, err error) {
		var id int64
		var need delivery.TLSNeed
		err = r.Scan(&id, timeInto{&s.Accepted}, &s.Sender, &s.Size, &need, &s.Waiting, timeInto{&s.Finished})
		s.ID, s.Need = delivery.ID(id), need.String()
		return s, err
	}, `SELECT id, accepted, sender, size, need, unsettled, finished FROM messages WHERE account <> '' AND account = ? AND id < ? ORDER BY id DESC LIMIT ?`,
		account, before, int64(limit))
	if err != nil {
		return nil, fmt.Errorf("list the newest messages of %s: %w", account, err)
	}
	return all, nil
}
