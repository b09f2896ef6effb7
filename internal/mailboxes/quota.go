package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"waxwing/internal/store"
)

// Quota bounds what an account can keep (MBX-5); 0 is no bound.
type Quota struct {
	Octets   int64
	Messages int64
}

// Usage is what an account keeps, and may keep.
type Usage struct {
	Messages, Octets int64
	Max              Quota
}

// Over reports that nothing more may come.
func (u Usage) Over() bool {
	return u.Max.Octets > 0 && u.Octets >= u.Max.Octets || u.Max.Messages > 0 && u.Messages >= u.Max.Messages
}

// Usage is what an account keeps, each copy counted: none for one that is not there.
func (s *Store) Usage(ctx context.Context, account string) (u Usage, err error) {
	u.Max = s.Quota
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT messages, octets FROM mail_accounts WHERE account = ?`, account).Scan(&u.Messages, &u.Octets)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	if err != nil {
		return u, fmt.Errorf("what the account %s keeps: %w", account, err)
	}
	return u, nil
}

// room refuses what would lead over the quota; ErrOverQuota.
func (c *change) room(more usage) error {
	if c.Quota == (Quota{}) {
		return nil
	}
	u := Usage{Max: c.Quota}
	if err := c.tx.Row(`SELECT messages, octets FROM mail_accounts WHERE account = ?`, c.account).Scan(&u.Messages, &u.Octets); err != nil {
		return err
	}
	if u.Max.Octets > 0 && u.Octets+more.octets > u.Max.Octets || u.Max.Messages > 0 && u.Messages+more.messages > u.Max.Messages {
		return ErrOverQuota
	}
	return nil
}
