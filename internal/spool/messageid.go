package spool

import (
	"context"
	"fmt"

	"waxwing/internal/store"
)

// ByMessageID are the messages in the queue and its history with this Message-ID, as
// message.CleanMessageID has it: the newest, limit at most.
func ByMessageID(ctx context.Context, db *store.Store, messageID string, limit int) ([]int64, error) {
	ids, err := store.List(ctx, db, store.Value[int64], byMessageID, messageID, int64(limit))
	if err != nil {
		return nil, fmt.Errorf("look for the Message-ID %q in the queue: %w", messageID, err)
	}
	return ids, nil
}

// The second condition is that of the index.
const byMessageID = `SELECT id FROM messages WHERE message_id = ? AND message_id <> '' ORDER BY id DESC LIMIT ?`
