package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// maxSubscribed bounds the names of an account that no mailbox has.
const maxSubscribed = 1000

const unsubscribe = `DELETE FROM mailbox_subscriptions WHERE account = ? AND name = ?`

// Subscribe says whether clients are to show a mailbox. There need not be one of that name (RFC 9051 §6.3.7).
func (s *Store) Subscribe(ctx context.Context, account, name string, is bool) error {
	name, err := mailbox.CleanName(name)
	if err != nil {
		return err
	}
	return named(s.DB.Write(ctx, func(tx *store.Tx) error {
		c, err := s.change(tx, account, usage{})
		if err != nil {
			return err
		}
		if _, err := tx.Exec(unsubscribe, account, name); err != nil {
			return err
		}
		id, err := c.find(name)
		switch {
		case err == nil:
			_, err = tx.Exec(`UPDATE mailboxes SET subscribed = ? WHERE id = ?`, is, id)
			return err
		case errors.Is(err, sql.ErrNoRows) && is:
			return c.keepSubscribed(name)
		case errors.Is(err, sql.ErrNoRows):
			return nil
		}
		return err
	}), name)
}

// keepSubscribed notes a name that no mailbox has, or will have any more.
func (c *change) keepSubscribed(name string) error {
	var n int64
	if err := c.tx.Row(`SELECT count(*) FROM mailbox_subscriptions WHERE account = ?`, c.account).Scan(&n); err != nil {
		return err
	}
	if n >= maxSubscribed {
		return refusal{&mailbox.NameError{Name: name, Why: fmt.Sprintf("an account can be subscribed to %d names that no mailbox has", maxSubscribed)}}
	}
	_, err := c.tx.Exec(`INSERT INTO mailbox_subscriptions (account, name) VALUES (?, ?) ON CONFLICT DO NOTHING`, c.account, name)
	return err
}

// Subscriptions are the names to which an account is subscribed and that no mailbox has, sorted.
func (s *Store) Subscriptions(ctx context.Context, account string) ([]string, error) {
	names, err := store.List(ctx, s.DB, store.Value[string], `SELECT name FROM mailbox_subscriptions WHERE account = ? ORDER BY name`, account)
	if err != nil {
		return nil, fmt.Errorf("subscriptions of %s: %w", account, err)
	}
	return names, nil
}
