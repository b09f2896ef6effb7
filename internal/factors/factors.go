// Package factors keeps what people log in to pages with beside their password (WEB-3): authenticator apps (TOTP, package otp),
// passkeys (package webauthn), and recovery codes for the day on which these are lost.
//
// An account with a factor has Access.SecondFactor, which is set in the same transaction: its password then lets no
// program in (account.Access.NeedsApp). Recovery codes go with the last factor.
package factors

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/store"
	"waxwing/internal/text"
	"waxwing/otp"
)

// Kind is a sort of second factor.
type Kind string

// The kinds. Recovery is none that is kept under a name.
const (
	TOTP     Kind = "totp"
	Passkey  Kind = "passkey"
	Recovery Kind = "recovery-code"
)

// Factor is one of an account, without what proves it.
type Factor struct {
	ID      delivery.ID `json:"id"`
	Account string      `json:"account"`
	Kind    Kind        `json:"kind"`
	Name    string      `json:"name"` // what its owner calls it
	Created time.Time   `json:"created"`
	Used    time.Time   `json:"used,omitzero"` // zero: never
}

// Store is the second factors of all accounts. Its methods may be called at the same time.
type Store struct {
	DB       *store.Store
	Accounts *accounts.Store
	Now      func() time.Time
}

// What a change can come to. ErrWrong is all that is told of a factor that does not do.
var (
	ErrWrong  = errors.New("that is not right, or it was used before")
	ErrNone   = errors.New("there is no such second factor")
	ErrExists = errors.New("there is a second factor of this name already: give another one")
	ErrName   = fmt.Errorf("the name of a second factor is one line of 1 to %d characters", maxName)
	ErrMany   = fmt.Errorf("an account has up to %d second factors: remove one first", maxFactors)
)

const (
	maxFactors = 20 // of an account
	maxName    = 64 // octets
	codes      = 10 // recovery codes, made together
	codeOctets = 10 // of a recovery code: 80 bits, which nobody guesses, so that a plain hash does
)

// Has reports whether an account has a second factor.
func (s *Store) Has(ctx context.Context, name string) (bool, error) {
	a, err := s.Accounts.Access(ctx, name)
	return a.SecondFactor, err
}

// List are those of an account, the oldest first.
func (s *Store) List(ctx context.Context, name string) ([]Factor, error) {
	all, err := store.List(ctx, s.DB, func(r store.Row) (f Factor, err error) {
		var id, created, used int64
		err = r.Scan(&id, &f.Account, &f.Kind, &f.Name, &created, &used)
		f.ID, f.Created, f.Used = delivery.ID(id), store.FromTime(created), store.FromTime(used)
		return f, err
	}, `SELECT id, account, kind, name, created, used FROM second_factors WHERE account = ? ORDER BY created, id`, name)
	if err != nil {
		return nil, fmt.Errorf("second factors of account %s: %w", name, err)
	}
	return all, nil
}

// row is a factor with what proves it.
type row struct {
	Factor
	ident, secret []byte
	counter       int64
}

func (s *Store) rows(ctx context.Context, name string, k Kind) ([]row, error) {
	return store.List(ctx, s.DB, func(r store.Row) (f row, err error) {
		var id int64
		err = r.Scan(&id, &f.Account, &f.Kind, &f.Name, &f.ident, &f.secret, &f.counter)
		f.ID = delivery.ID(id)
		return f, err
	}, `SELECT id, account, kind, name, ident, secret, counter FROM second_factors WHERE account = ? AND kind = ? ORDER BY id`, name, string(k))
}

// AddTOTP adds an authenticator app, whose owner has typed a code of it. The recovery codes are those of an account's first
// factor, which nobody can read again. ErrWrong, ErrExists, ErrMany.
func (s *Store) AddTOTP(ctx context.Context, name, called string, key []byte, typed string) (recovery []string, err error) {
	step, ok := otp.Check(key, plain(typed), s.Now(), 0)
	if !ok {
		return nil, ErrWrong
	}
	return s.add(ctx, row{Factor: Factor{Account: name, Kind: TOTP, Name: called}, ident: []byte{}, secret: key, counter: step})
}

// add keeps a factor and says that the account has one.
func (s *Store) add(ctx context.Context, f row) (recovery []string, err error) {
	if f.Name = strings.TrimSpace(f.Name); f.Name == "" || len(f.Name) > maxName || foreign.Line(f.Name) != f.Name {
		return nil, ErrName
	}
	first := newCodes()
	now := store.Time(s.Now())
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		recovery = nil
		// This row first, so that two that are added at the same time come one after the other.
		if err := s.Accounts.Within(tx).SetSecondFactor(f.Account, true); err != nil {
			return err
		}
		var n int
		if err := tx.Row(`SELECT count(*) FROM second_factors WHERE account = ?`, f.Account).Scan(&n); err != nil {
			return err
		}
		if n >= maxFactors {
			return ErrMany
		}
		added, err := tx.Exec(`INSERT INTO second_factors (id, account, kind, name, ident, secret, counter, created, used) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING`,
			store.NewID(), f.Account, string(f.Kind), f.Name, f.ident, f.secret, f.counter, now)
		if err == nil && added == 0 {
			err = ErrExists
		}
		if err != nil || n > 0 {
			return err
		}
		recovery = first
		return replaceCodes(tx, f.Account, first)
	})
	return recovery, err
}

// Remove takes a factor away; with the last one the account has none, and no recovery codes. ErrNone.
func (s *Store) Remove(ctx context.Context, name string, id delivery.ID) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.Accounts.Within(tx).SetSecondFactor(name, true); err != nil {
			return err
		}
		n, err := tx.Exec(`DELETE FROM second_factors WHERE account = ? AND id = ?`, name, int64(id))
		if err == nil && n == 0 {
			err = ErrNone
		}
		var left int
		if err == nil {
			err = tx.Row(`SELECT count(*) FROM second_factors WHERE account = ?`, name).Scan(&left)
		}
		if err != nil || left > 0 {
			return err
		}
		return s.clear(tx, name)
	})
}

// Reset takes all factors of an account away, for an operator whom its owner has convinced.
func (s *Store) Reset(ctx context.Context, name string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error { return s.clear(tx, name) })
}

func (s *Store) clear(tx *store.Tx, name string) error {
	if err := s.Accounts.Within(tx).SetSecondFactor(name, false); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM second_factors WHERE account = ?`, name); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM recovery_codes WHERE account = ?`, name)
	return err
}

// Code finds what a code is that somebody typed: one of an authenticator app, or a recovery code, which is used up by it. ErrWrong.
func (s *Store) Code(ctx context.Context, name, typed string) (Kind, error) {
	typed = plain(typed)
	if len(typed) != otp.Digits {
		return Recovery, s.recover(ctx, name, typed)
	}
	all, err := s.rows(ctx, name, TOTP)
	if err != nil {
		return "", err
	}
	for _, f := range all {
		if step, ok := otp.Check(f.secret, typed, s.Now(), f.counter); ok {
			return TOTP, s.used(ctx, f, step)
		}
	}
	return "", ErrWrong
}

// used notes the use of a factor, unless another one came first with the same counter or a later one.
func (s *Store) used(ctx context.Context, f row, counter int64) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE second_factors SET counter = ?, used = ? WHERE id = ? AND account = ? AND (counter < ? OR ? = 0 AND counter = 0)`,
			counter, store.Time(s.Now()), int64(f.ID), f.Account, counter, counter)
		if err == nil && n == 0 {
			err = ErrWrong
		}
		return err
	})
}

// plain is a code as it is compared: people type blanks and hyphens as they are shown, and capitals or not.
func plain(typed string) string {
	if len(typed) > 100 {
		return ""
	}
	return strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "\t", "").Replace(typed))
}

func newCodes() []string {
	out := make([]string, codes)
	for i := range out {
		var b [codeOctets]byte
		rand.Read(b[:])
		s := strings.ToLower(base32.StdEncoding.EncodeToString(b[:])) // 16 characters
		out[i] = s[:4] + "-" + s[4:8] + "-" + s[8:12] + "-" + s[12:]
	}
	return out
}

func hashOf(name, code string) []byte {
	sum := sha256.Sum256([]byte(name + "\x00" + plain(code)))
	return sum[:]
}

func replaceCodes(tx *store.Tx, name string, all []string) error {
	_, err := tx.Exec(`DELETE FROM recovery_codes WHERE account = ?`, name)
	for _, c := range all {
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO recovery_codes (account, hash) VALUES (?, ?)`, name, hashOf(name, c))
	}
	return err
}

// NewCodes makes new recovery codes in place of those that are left. ErrNone for an account without a second factor.
func (s *Store) NewCodes(ctx context.Context, name string) ([]string, error) {
	all := newCodes()
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		var n int
		err := tx.Row(`SELECT count(*) FROM second_factors WHERE account = ?`, name).Scan(&n)
		if err == nil && n == 0 {
			err = ErrNone
		}
		if err != nil {
			return err
		}
		return replaceCodes(tx, name, all)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// CodesLeft is how many recovery codes an account has.
func (s *Store) CodesLeft(ctx context.Context, name string) (n int, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		err := tx.Row(`SELECT count(*) FROM recovery_codes WHERE account = ?`, name).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return n, err
}

// recover uses a recovery code up.
func (s *Store) recover(ctx context.Context, name, typed string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM recovery_codes WHERE account = ? AND hash = ?`, name, hashOf(name, typed))
		if err == nil && n == 0 {
			err = ErrWrong
		}
		return err
	})
}

// Listing is how they are listed for people.
func Listing() text.List[Factor] {
	return text.List[Factor]{Columns: text.Columns("ID|KIND|NAME|SINCE|USED", "SINCE"), Cells: func(f *Factor) []any {
		return []any{f.ID, string(f.Kind), f.Name, text.Day(f.Created), text.OrNever(f.Used)}
	}}
}
