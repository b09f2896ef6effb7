package websession

import (
	"context"
	"fmt"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/store"
	"waxwing/internal/text"
)

// Act is something that somebody has changed on a page (WEB-3).
type Act struct {
	ID      delivery.ID `json:"id"`
	At      time.Time   `json:"at"`
	Account string      `json:"account"`
	Remote  string      `json:"remote"`
	Command string      `json:"command"` // that does the same
	Outcome string      `json:"outcome"` // what came of it
}

const (
	keptActs = 10_000 // the newest of those who administer, and as many of all others
	ownActs  = 500    // the newest of somebody, done on the pages of their own account
	maxAct   = 500    // octets of a command, and of an outcome
)

// Note keeps what was done in a session. Whoever does much on the pages of their own account has forgotten what they did
// there themselves, and nothing else.
func (s *Store) Note(ctx context.Context, x Session, command, outcome string) error {
	return s.note(ctx, x, Act{Command: command, Outcome: outcome}, ownActs)
}

func (s *Store) note(ctx context.Context, x Session, a Act, own int64) error {
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO web_audit (id, at, account, remote, command, outcome) VALUES (?, ?, ?, ?, ?, ?)`, store.NewID(), store.Time(s.Now()), x.Account, x.Remote,
			foreign.Clip(foreign.Line(a.Command), maxAct), foreign.Clip(foreign.Line(a.Outcome), maxAct))
		if err == nil && x.Scope != Admin {
			_, err = tx.Exec(`DELETE FROM web_audit WHERE account = ? AND id NOT IN (SELECT id FROM web_audit WHERE account = ? ORDER BY id DESC LIMIT ?)
				AND account NOT IN (SELECT name FROM accounts WHERE admin <> 0)`, x.Account, x.Account, own)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("note what was done on a page: %w", err)
	}
	return nil
}

// Acts are the newest of an account, or of all with "", the last one first.
func (s *Store) Acts(ctx context.Context, account string, limit int) ([]Act, error) {
	all, err := store.List(ctx, s.DB, func(r store.Row) (a Act, err error) {
		var id, at int64
		err = r.Scan(&id, &at, &a.Account, &a.Remote, &a.Command, &a.Outcome)
		a.ID, a.At = delivery.ID(id), store.FromTime(at)
		return a, err
	}, `SELECT id, at, account, remote, command, outcome FROM web_audit WHERE ? = '' OR account = ? ORDER BY id DESC LIMIT ?`, account, account, int64(limit))
	if err != nil {
		return nil, fmt.Errorf("list what was done on pages: %w", err)
	}
	return all, nil
}

// TidyActs forgets the oldest: no number of acts of those who do not administer has one forgotten of those who do.
func (s *Store) TidyActs(ctx context.Context) error { return s.tidyActs(ctx, keptActs) }

func (s *Store) tidyActs(ctx context.Context, most int64) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, which := range []string{`IN`, `NOT IN`} {
			which = ` account ` + which + ` (SELECT name FROM accounts WHERE admin <> 0) `
			if _, err := tx.Exec(`DELETE FROM web_audit WHERE`+which+`AND id NOT IN (SELECT id FROM web_audit WHERE`+which+`ORDER BY id DESC LIMIT ?)`, most); err != nil {
				return err
			}
		}
		return nil
	})
}

// ActListing is how acts are listed for people.
func ActListing() text.List[Act] {
	return text.List[Act]{Columns: text.Columns("AT|ACCOUNT|FROM|COMMAND|OUTCOME", "FROM"), Cells: func(a *Act) []any {
		return []any{a.At, a.Account, a.Remote, a.Command, a.Outcome}
	}}
}
