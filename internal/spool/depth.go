package spool

import (
	"context"
	"fmt"
	"time"

	"waxwing/internal/store"
)

// Depth is how many recipients stand in a state, and when the message of the one that has
// been there longest was accepted; zero where there are none.
type Depth struct {
	State  State
	N      int64
	Oldest time.Time
}

// Depths are those of the states that are not over. It reads indexes that hold only these,
// and so costs nothing for what is over.
func Depths(ctx context.Context, db *store.Store) (all []Depth, err error) {
	err = db.Read(ctx, func(tx *store.Tx) error {
		all = nil
		for _, s := range []State{Waiting, Leased, Held} {
			d := Depth{State: s}
			var first int64
			// The state is no parameter: the planner must see that a partial index has it.
			if err := tx.Row(fmt.Sprintf(`SELECT count(*) FROM recipients WHERE state = %d`, s)).Scan(&d.N); err != nil {
				return err
			}
			oldest := `SELECT coalesce(min(%s), 0) FROM recipients r WHERE state = %d`
			if err := tx.Row(fmt.Sprintf(oldest, byID(s), s)).Scan(&first); err != nil {
				return err
			}
			if first > 0 { // identifiers follow the time
				if err := tx.Row(`SELECT accepted FROM messages WHERE id = (SELECT message FROM recipients WHERE id = ?)`, first).Scan(timeInto{&d.Oldest}); err != nil {
					return err
				}
			}
			all = append(all, d)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count what waits: %w", err)
	}
	return all, nil
}
