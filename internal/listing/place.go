package listing

import (
	"context"
	"fmt"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
)

// Place is where a copy of a message lies.
type Place struct {
	ID       delivery.ID `json:"id"` // of the copy
	Account  string      `json:"account"`
	Mailbox  string      `json:"mailbox"`
	Received time.Time   `json:"received"`
}

// Places are where the copies of a message lie, at most 100.
func Places(ctx context.Context, db *store.Store, message int64) ([]Place, error) {
	all, err := store.List(ctx, db, func(r store.Row) (p Place, err error) {
		var id, received int64
		err = r.Scan(&id, &p.Account, &p.Mailbox, &received)
		p.ID, p.Received = delivery.ID(id), store.FromTime(received)
		return p, err
	}, `SELECT m.id, m.account, b.name, m.received FROM mails m JOIN mailbox_entries e ON e.mail = m.id JOIN mailboxes b ON b.id = e.mailbox WHERE m.body = ? ORDER BY m.id LIMIT 100`, message)
	if err != nil {
		return nil, fmt.Errorf("copies of message %s: %w", delivery.ID(message), err)
	}
	return all, nil
}

// MessageOfCopy is the message that a copy in a mailbox is of; mailboxes.ErrNoSuchMessage.
func MessageOfCopy(ctx context.Context, db *store.Store, id int64) (message int64, err error) {
	all, err := store.List(ctx, db, store.Value[int64], `SELECT body FROM mails WHERE id = ?`, id)
	if err == nil && len(all) == 0 {
		err = mailboxes.ErrNoSuchMessage
	}
	if err != nil {
		return 0, err
	}
	return all[0], nil
}

// CopiesByMessageID are the messages of which copies with this Message-ID, as message.CleanMessageID
// has it, lie in mailboxes: the newest, limit at most.
func CopiesByMessageID(ctx context.Context, db *store.Store, messageID string, limit int) ([]int64, error) {
	ids, err := store.List(ctx, db, store.Value[int64], withMessageID, messageID, int64(limit))
	if err != nil {
		return nil, fmt.Errorf("look for the Message-ID %q in the mailboxes: %w", messageID, err)
	}
	return ids, nil
}

// The second condition is that of the index.
const withMessageID = `SELECT DISTINCT body FROM mails WHERE message_id = ? AND message_id <> '' ORDER BY body DESC LIMIT ?`
