// Package scripts keeps the Sieve scripts of accounts, one of them active, and what they keep in
// mind between messages (SIV-1).
package scripts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"waxwing/internal/foreign"
	"waxwing/internal/store"
	"waxwing/sieve"
)

// What an account may have.
const (
	MaxScript  = 128 << 10 // octets of one script
	MaxScripts = 32
	maxName    = 128 // characters of a name (RFC 5804 §1.6)
)

// Errors of this package.
var (
	ErrNoSuchScript  = errors.New("no such script")
	ErrNoSuchAccount = errors.New("no such account")
	ErrActive        = errors.New("the script is active: activate another one first, or none")
	ErrExists        = errors.New("there is a script of that name already")
	ErrTooLarge      = fmt.Errorf("a script may have up to %d KiB", MaxScript>>10)
	ErrTooMany       = fmt.Errorf("an account may have up to %d scripts", MaxScripts)
)

// NameError is a name that no script can have.
type NameError struct{ Name string }

func (e *NameError) Error() string {
	return fmt.Sprintf("%q cannot be the name of a script: up to %d characters without control characters are", foreign.Clip(e.Name, 100), maxName)
}

// Area is the generation that a change raises.
const Area = "sieve"

// Script is one of an account's.
type Script struct {
	ID      int64     `json:"-"` // stays where the name changes; one of another account may have the same
	Account string    `json:"account"`
	Name    string    `json:"script"`
	Active  bool      `json:"active"`
	Size    int       `json:"size"` // octets
	Changed time.Time `json:"changed"`
}

// Store keeps scripts. Its methods may be called at the same time.
type Store struct {
	DB  *store.Store
	Now func() time.Time // nil: time.Now

	active    store.Cached[map[string]bool] // accounts with an active script; nil: they are too many
	libraries store.Keyed[string, *Library] // of accounts that were asked for
	globals   store.Cached[map[string]*compiled]
}

func (s *Store) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// CheckName says whether a script can have a name (RFC 5804 §1.6).
func CheckName(name string) error {
	bad := func(r rune) bool {
		return r < ' ' || r >= 0x7f && r <= 0x9f || r == 0x2028 || r == 0x2029 || r == utf8.RuneError
	}
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, bad) {
		return &NameError{name}
	}
	return nil
}

// Check says what is wrong with a script: a *sieve.Error, ErrTooLarge, or nil.
func Check(text string) error {
	if len(text) > MaxScript {
		return ErrTooLarge
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return &sieve.Error{Line: 1, Text: "the script is not UTF-8"}
	}
	_, err := sieve.Compile(text)
	return err
}

// HasSpace says whether a script of so many octets could be put: nil, or what stands against it
// (RFC 5804 §2.5).
func (s *Store) HasSpace(ctx context.Context, account, name string, size int64) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if size > MaxScript {
		return ErrTooLarge
	}
	return s.DB.Read(ctx, func(tx *store.Tx) error { return room(tx, account, name) })
}

// room says whether the account may have one more script, unless it has this one.
func room(tx *store.Tx, account, name string) error {
	var others int
	err := tx.Row(`SELECT count(*) FROM sieve_scripts WHERE account = ? AND name <> ?`, account, name).Scan(&others)
	if err == nil && others >= MaxScripts {
		return ErrTooMany
	}
	return err
}

// Put stores a script that is right, in place of the one of that name. It stays active where that
// one was.
func (s *Store) Put(ctx context.Context, account, name, text string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := Check(text); err != nil {
		return err
	}
	return s.change(ctx, func(tx *store.Tx) error {
		if err := lock(tx, account); err != nil {
			return err
		}
		if err := room(tx, account, name); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO sieve_scripts (account, name, script, active, changed, id) VALUES (?, ?, ?, 0, ?, ?)
			ON CONFLICT (account, name) DO UPDATE SET script = excluded.script, changed = excluded.changed`, account, name, text, store.Time(s.now()), store.NewID())
		return err
	})
}

// lock holds the account's row, so that two changes of its scripts come one after the other.
func lock(tx *store.Tx, account string) error {
	var name string
	err := tx.Row(`SELECT name FROM accounts WHERE name = ?`+tx.Wait(), account).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("account %s: %w", account, ErrNoSuchAccount)
	}
	return err
}

func (s *Store) change(ctx context.Context, fn func(*store.Tx) error) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return tx.Raise(Area)
	})
}

// Get is a script's text; ErrNoSuchScript.
func (s *Store) Get(ctx context.Context, account, name string) (string, error) {
	return store.Read(ctx, s.DB, func(tx *store.Tx) (text string, err error) {
		err = tx.Row(`SELECT script FROM sieve_scripts WHERE account = ? AND name = ?`, account, name).Scan(&text)
		return text, missing(err, name)
	})
}

func missing(err error, name string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: %q", ErrNoSuchScript, foreign.Clip(name, 100))
	}
	return err
}

// List are the scripts of an account by name; "": of all.
func (s *Store) List(ctx context.Context, account string) ([]Script, error) {
	return store.List(ctx, s.DB, func(r store.Row) (c Script, err error) {
		var changed int64
		err = r.Scan(&c.ID, &c.Account, &c.Name, &c.Active, &c.Size, &changed)
		c.Changed = store.FromTime(changed)
		return c, err
	}, `SELECT id, account, name, active, octet_length(script), changed FROM sieve_scripts WHERE account = ? OR ? = '' ORDER BY account, name`, account, account)
}

// Activate makes a script the one that runs; "": none does. ErrNoSuchScript.
func (s *Store) Activate(ctx context.Context, account, name string) error {
	return s.change(ctx, func(tx *store.Tx) error {
		if err := lock(tx, account); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE sieve_scripts SET active = 0 WHERE account = ? AND active = 1`, account); err != nil || name == "" {
			return err
		}
		n, err := tx.Exec(`UPDATE sieve_scripts SET active = 1 WHERE account = ? AND name = ?`, account, name)
		if err == nil && n == 0 {
			err = missing(sql.ErrNoRows, name)
		}
		return err
	})
}

// Delete removes a script that is not active; ErrNoSuchScript, ErrActive.
func (s *Store) Delete(ctx context.Context, account, name string) error {
	return s.change(ctx, func(tx *store.Tx) error {
		var active bool
		err := tx.Row(`SELECT active FROM sieve_scripts WHERE account = ? AND name = ?`, account, name).Scan(&active)
		if err != nil {
			return missing(err, name)
		}
		n, err := tx.Exec(`DELETE FROM sieve_scripts WHERE account = ? AND name = ? AND active = 0`, account, name)
		if err == nil && n == 0 {
			err = ErrActive
		}
		return err
	})
}

// Rename gives a script another name; ErrNoSuchScript, ErrExists.
func (s *Store) Rename(ctx context.Context, account, from, to string) error {
	if err := CheckName(to); err != nil {
		return err
	}
	return s.change(ctx, func(tx *store.Tx) error {
		if err := lock(tx, account); err != nil {
			return err
		}
		var there int
		if err := tx.Row(`SELECT count(*) FROM sieve_scripts WHERE account = ? AND name = ?`, account, to).Scan(&there); err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE sieve_scripts SET name = ? WHERE account = ? AND name = ? AND ? = 0`, to, account, from, there)
		switch {
		case err != nil || n > 0:
			return err
		case there > 0 && from != to:
			return ErrExists
		}
		var has int
		if err := tx.Row(`SELECT count(*) FROM sieve_scripts WHERE account = ? AND name = ?`, account, from).Scan(&has); err != nil {
			return err
		}
		if has == 0 {
			return missing(sql.ErrNoRows, from)
		}
		return nil // to the name that it has
	})
}
