// Package removal ends accounts that were removed and can be brought back no longer (MBX-3):
// their mail goes in small steps, so that nobody waits for it, and the account last.
package removal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
)

// Room ends accounts. Its fields are needed.
type Room struct {
	DB       *store.Store
	Accounts *accounts.Store
	Boxes    *mailboxes.Store
}

// batch is how many rows go in one transaction.
const batch = 1000

// Purge ends the accounts that were removed before a time. What their owners had removed
// themselves before that must have been forgotten already (mailboxes.Forget).
func (r *Room) Purge(ctx context.Context, before time.Time) error {
	gone, err := r.Accounts.Removed(ctx)
	if err != nil {
		return err
	}
	for _, a := range gone {
		if !a.Removed.Before(before) {
			continue
		}
		if one := r.purge(ctx, a.Name); one != nil { // the others all the same
			err = errors.Join(err, fmt.Errorf("end account %s: %w", a.Name, one))
		}
	}
	return err
}

func (r *Room) purge(ctx context.Context, account string) error {
	boxes, err := r.Boxes.Boxes(ctx, account)
	if err != nil {
		return err
	}
	forEver := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, b := range boxes {
		if err := r.Boxes.Keep(ctx, account, b.Name, mailbox.Bounds{Before: forEver, Erase: true}); err != nil {
			return err
		}
	}
	ids, err := store.List(ctx, r.DB, store.Value[int64], `SELECT id FROM mailboxes WHERE account = ? ORDER BY id`, account)
	if err != nil {
		return err
	}
	for _, id := range ids {
		for _, q := range []string{
			`DELETE FROM mailbox_changes WHERE mailbox = ? AND modseq <= (SELECT max(modseq) FROM (SELECT modseq FROM mailbox_changes WHERE mailbox = ? ORDER BY modseq LIMIT ?) AS batch)`,
			`DELETE FROM mailbox_gone WHERE mailbox = ? AND mail = 0 AND modseq <= (SELECT max(modseq) FROM (SELECT modseq FROM mailbox_gone WHERE mailbox = ? AND mail = 0 ORDER BY modseq LIMIT ?) AS batch)`,
		} {
			if err := r.steps(ctx, q, id); err != nil {
				return err
			}
		}
	}
	return r.last(ctx, account)
}

// steps deletes rows of a mailbox until there are none.
func (r *Room) steps(ctx context.Context, q string, box int64) error {
	for {
		n, err := store.Write(ctx, r.DB, func(tx *store.Tx) (int64, error) { return tx.Exec(q, box, box, int64(batch)) })
		if err != nil || n == 0 {
			return err
		}
	}
}

// last removes the mailboxes and the account. Where something has come meanwhile, it is left
// for the next time: the constraints of the tables see to that.
func (r *Room) last(ctx context.Context, account string) error {
	return r.DB.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`UPDATE mail_accounts SET modseq = modseq + 1 WHERE account = ?`, account); err != nil { // its turn first
			return err
		}
		is, err := store.Column[int64](tx, `SELECT removed FROM accounts WHERE name = ? AND removed > 0`, account)
		if err != nil || len(is) == 0 {
			return err // it was brought back meanwhile
		}
		if _, err := tx.Exec(`DELETE FROM mailboxes WHERE account = ?`, account); err != nil {
			return err
		}
		return r.Accounts.Within(tx).RemoveAccount(account)
	})
}
