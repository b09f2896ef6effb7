package mailboxes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// Quota bounds what an account can keep (MBX-5); 0 is no bound.
type Quota struct {
	Octets   int64
	Messages int64
	// Grace is how long mail for an account that is full is put off; after that it is refused.
	Grace time.Duration
}

// Usage is what an account keeps, and may keep.
type Usage struct {
	Messages, Octets int64
	Max              Quota
}

func (q Quota) bounds() bool { return q.Octets > 0 || q.Messages > 0 }

// Fullness is whether mail for an account is taken, and remembers since when it is not.
func (s *Store) Fullness(ctx context.Context, account string) (mailbox.Fullness, error) {
	if !s.Quota.bounds() {
		return mailbox.HasRoom, nil
	}
	u := Usage{Max: s.Quota}
	var since int64
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT messages, octets, full_since FROM mail_accounts WHERE account = ?`, account).Scan(&u.Messages, &u.Octets, &since)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return mailbox.HasRoom, nil
	}
	now, over := s.now(), u.Over()
	if err == nil && over != (since != 0) {
		mark := int64(0)
		if over {
			mark = store.Time(now)
		}
		err = s.DB.WriteSoon(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE mail_accounts SET full_since = ? WHERE account = ? AND full_since = ?`, mark, account, since)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("whether the account %s is full: %w", account, err)
	}
	return mailbox.FullnessOf(over, fullSince(since), now, s.Quota.Grace), nil
}

func fullSince(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return store.FromTime(n)
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

// DeletedOctets are those of the messages of a mailbox that have \Deleted.
func (s *Store) DeletedOctets(ctx context.Context, b mailbox.Box) (n int64, err error) {
	if b.Deleted == 0 {
		return 0, nil
	}
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT coalesce(sum(m.size), 0) FROM mailbox_entries e JOIN mails m ON m.id = e.mail WHERE e.mailbox = ? AND e.flags & 8 <> 0`, b.ID).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("how large the messages of %q are that have \\Deleted: %w", b.Name, err)
	}
	return n, nil
}

// maxGone is how many quotas what can be brought back may fill before nothing more is stored by a client: once an hour
// it is brought down to one, the oldest goes first.
const maxGone = 2

// ErrMuchGone is an ErrOverQuota.
var ErrMuchGone = fmt.Errorf("%w: what was removed lately, and can be brought back, fills it %d times; the oldest is erased within an hour", ErrOverQuota, maxGone)

// room refuses what would lead over the quota; ErrOverQuota.
func (c *change) room(more usage) error {
	if !c.Quota.bounds() {
		return nil
	}
	u := Usage{Max: c.Quota}
	var gone int64
	if err := c.tx.Row(`SELECT messages, octets, gone_octets FROM mail_accounts WHERE account = ?`, c.account).Scan(&u.Messages, &u.Octets, &gone); err != nil {
		return err
	}
	if u.Max.Octets > 0 && gone/maxGone >= u.Max.Octets {
		return ErrMuchGone
	}
	if u.Max.Octets > 0 && u.Octets+more.octets > u.Max.Octets || u.Max.Messages > 0 && u.Messages+more.messages > u.Max.Messages {
		return ErrOverQuota
	}
	return nil
}
