package allowance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"waxwing/internal/store"
)

// ErrNoSuchAccount is returned by SetLimit.
var ErrNoSuchAccount = errors.New("no such account")

// Own is an account's own limits; nil: as the configuration says. 0: none.
type Own struct{ Messages, Recipients *int64 }

// over is what holds where own says nothing of it.
func (o Own) over(all Count) Count {
	if o.Messages != nil {
		all.Messages = *o.Messages
	}
	if o.Recipients != nil {
		all.Recipients = *o.Recipients
	}
	return all
}

func limitOf(tx *store.Tx, account string) (o Own, err error) {
	err = tx.Row(`SELECT messages, recipients FROM account_limits WHERE account = ?`, account).Scan(&o.Messages, &o.Recipients)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return o, err
}

// SetLimit changes the account's own limits as change says;
// ErrNoSuchAccount.
func (s *Store) SetLimit(ctx context.Context, account string, change func(Own) Own) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		old, err := limitOf(tx, account)
		if err != nil {
			return err
		}
		return PutLimit(tx, account, change(old))
	})
}

// PutLimit makes own the account's own limits; ErrNoSuchAccount.
func PutLimit(tx *store.Tx, account string, own Own) error {
	_, err := tx.Exec(`INSERT INTO account_limits (account, messages, recipients) VALUES (?, ?, ?)
		ON CONFLICT (account) DO UPDATE SET messages = excluded.messages, recipients = excluded.recipients`, account, own.Messages, own.Recipients)
	if store.IsForeignKey(err) {
		return fmt.Errorf("account %s: %w", account, ErrNoSuchAccount)
	}
	return err
}

// OwnLimits are those of all accounts that have some.
func OwnLimits(tx *store.Tx) (map[string]Own, error) {
	out := map[string]Own{}
	err := tx.Each(func(r store.Row) error {
		var account string
		var o Own
		err := r.Scan(&account, &o.Messages, &o.Recipients)
		out[account] = o
		return err
	}, `SELECT account, messages, recipients FROM account_limits`)
	return out, err
}

// Today is what an account has sent and may send.
type Today struct {
	Used  Count // with what machines have taken and not spent yet: a block each at most
	Limit Count // 0: none
}

// Today is that of all accounts that have sent today or have limits of their
// own, by name; others have sent nothing and have s.Limit.
func (s *Store) Today(ctx context.Context) (map[string]Today, error) {
	out := map[string]Today{}
	at := func(account string) Today {
		if t, ok := out[account]; ok {
			return t
		}
		return Today{Limit: s.Limit}
	}
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		clear(out)
		err := tx.Each(func(r store.Row) error {
			var account string
			var c Count
			err := r.Scan(&account, &c.Messages, &c.Recipients)
			t := at(account)
			t.Used = c
			out[account] = t
			return err
		}, `SELECT account, messages, recipients FROM account_use WHERE day = ?`, dayOf(s.now()))
		if err != nil {
			return err
		}
		return tx.Each(func(r store.Row) error {
			var account string
			var o Own
			err := r.Scan(&account, &o.Messages, &o.Recipients)
			t := at(account)
			t.Limit = o.over(s.Limit)
			out[account] = t
			return err
		}, `SELECT account, messages, recipients FROM account_limits`)
	})
	return out, err
}
