package body

import (
	"context"
	"fmt"

	"waxwing/internal/store"
)

// Check finds bodies that are held and of which a part is missing.
func Check(ctx context.Context, db *store.Store) error {
	torn, err := store.List(ctx, db, store.Value[int64], `
		SELECT id FROM bodies WHERE users > 0 AND data IS NULL AND
			(SELECT coalesce(max(part), 0) + 1 FROM body_chunks WHERE body = id) <> (SELECT count(*) FROM body_chunks WHERE body = id)
		ORDER BY id LIMIT 10`)
	if err != nil {
		return fmt.Errorf("look at the messages' bodies: %w", err)
	}
	if len(torn) > 0 {
		return fmt.Errorf("the bodies of messages lack parts: %d", torn)
	}
	return nil
}
