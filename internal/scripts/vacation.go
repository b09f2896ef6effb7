package scripts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/store"
)

// Vacation is what is answered for an account while its owner is away (RFC 8621 §8), beside what its script says. The zero
// value answers nothing.
type Vacation struct {
	Enabled     bool
	Since       time.Time // zero: from the beginning
	Until       time.Time // zero: without end
	Subject     string    // "": made of that of the message
	Plain, HTML string    // of the body; both "": a text that says no more than that somebody is away
	Changed     time.Time
}

// MaxVacation is how many octets its texts may have, all together.
const MaxVacation = 128 << 10

// ErrVacationTooLarge says that there are more.
var ErrVacationTooLarge = fmt.Errorf("a vacation response may have up to %d KiB", MaxVacation>>10)

// At tells whether messages that come at a time are answered.
func (v *Vacation) At(t time.Time) bool {
	return v != nil && v.Enabled && !t.Before(v.Since) && (v.Until.IsZero() || t.Before(v.Until))
}

const vacationColumns = `SELECT enabled, since, until, subject, plain, html, changed FROM vacations `

func scanVacation(r store.Row) (v Vacation, err error) {
	var since, until, changed int64
	err = r.Scan(&v.Enabled, &since, &until, &v.Subject, &v.Plain, &v.HTML, &changed)
	v.Since, v.Until, v.Changed = store.FromTime(since), store.FromTime(until), store.FromTime(changed)
	return v, err
}

// readVacation is an account's; the zero value where it has none.
func readVacation(tx *store.Tx, account string) (Vacation, error) {
	v, err := scanVacation(tx.Row(vacationColumns+`WHERE account = ?`, account))
	if errors.Is(err, sql.ErrNoRows) {
		return Vacation{}, nil
	}
	return v, err
}

// Vacation is an account's; the zero value where it has none.
func (s *Store) Vacation(ctx context.Context, account string) (Vacation, error) {
	return store.Read(ctx, s.DB, func(tx *store.Tx) (Vacation, error) { return readVacation(tx, account) })
}

// SetVacation keeps an account's; also is done in the same transaction.
func (s *Store) SetVacation(ctx context.Context, account string, v Vacation, also func(tx *store.Tx) error) error {
	if len(v.Subject)+len(v.Plain)+len(v.HTML) > MaxVacation {
		return ErrVacationTooLarge
	}
	enabled := 0
	if v.Enabled {
		enabled = 1
	}
	return s.change(ctx, func(tx *store.Tx) error {
		if err := lock(tx, account); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO vacations (account, enabled, since, until, subject, plain, html, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (account) DO UPDATE SET enabled = excluded.enabled, since = excluded.since, until = excluded.until, subject = excluded.subject,
			plain = excluded.plain, html = excluded.html, changed = excluded.changed`,
			account, enabled, store.Time(v.Since), store.Time(v.Until), v.Subject, v.Plain, v.HTML, store.Time(s.now()))
		if err == nil {
			err = also(tx)
		}
		return err
	})
}
