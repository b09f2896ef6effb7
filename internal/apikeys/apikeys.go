package apikeys

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/store"
	"waxwing/internal/text"
)

// Key is one key without its secret.
type Key struct {
	ID      delivery.ID `json:"id"`
	Account string      `json:"account"`
	Rights  Rights      `json:"rights"`
	Domain  string      `json:"domain,omitempty"` // A-labels: senders are held to it
	Note    string      `json:"note,omitempty"`
	Created time.Time   `json:"created"`
	Expires time.Time   `json:"expires,omitzero"` // zero: never
	Used    time.Time   `json:"used,omitzero"`    // within a minute; zero: never
}

// Store is the keys. Its methods may be called at the same time.
type Store struct {
	DB  *store.Store
	Now func() time.Time
}

// Errors of this package.
var (
	ErrNotFound = errors.New("no such API key")
	// ErrUnknown is all that is told of a token that is none, of another's secret, and of a
	// key that has expired.
	ErrUnknown = errors.New("this is no API key, or it has expired")
)

const (
	maxKeys   = 100         // of one account
	longest   = 100         // years that a key which ends may last
	maxNote   = 200         // octets
	usedEvery = time.Minute // how exactly the last use is known
)

// Add makes a key and returns it with its token, which nobody can read again. Account,
// Rights, Domain, Note and Expires are the caller's.
func (s *Store) Add(ctx context.Context, k Key) (Key, Token, error) {
	rights, err := ParseRights(strings.Fields(k.Rights.String()))
	if err != nil {
		return k, Token{}, err
	}
	k.Rights = rights
	if k.Domain != "" {
		n, err := dns.ParseName(k.Domain)
		if err != nil {
			return k, Token{}, fmt.Errorf("domain of the key: %w", err)
		}
		k.Domain = n.ASCII()
	}
	k.ID, k.Created, k.Note, k.Used = delivery.ID(store.NewID()), s.Now(), foreign.Text(k.Note, maxNote), time.Time{}
	if !k.Expires.IsZero() && !k.Expires.After(k.Created) {
		return k, Token{}, errors.New("the key would have expired already: give a later end")
	}
	if k.Expires.After(k.Created.AddDate(longest, 0, 0)) {
		return k, Token{}, fmt.Errorf("a key ends within %d years or never: give an earlier end, or none", longest)
	}
	t := newToken(k.ID)
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO api_keys (id, account, rights, domain, note, hash, created, expires, used)
			SELECT ?, ?, ?, ?, ?, ?, ?, ?, 0 WHERE (SELECT count(*) FROM api_keys WHERE account = ?) < ?`,
			int64(k.ID), k.Account, k.Rights.String(), k.Domain, k.Note, t.hash(), store.Time(k.Created), store.Time(k.Expires), k.Account, maxKeys)
		if err == nil && n == 0 {
			err = fmt.Errorf("the account %s has %d API keys already: remove some", k.Account, maxKeys)
		}
		return err
	})
	if err != nil {
		return k, Token{}, fmt.Errorf("add an API key: %w", err)
	}
	return k, t, nil
}

const columns = `SELECT id, account, rights, domain, note, created, expires, used FROM api_keys `

// scan reads columns, and what more a query has.
func scan(r store.Row, more ...any) (k Key, err error) {
	var id, created, expires, used int64
	var rights string
	err = r.Scan(append([]any{&id, &k.Account, &rights, &k.Domain, &k.Note, &created, &expires, &used}, more...)...)
	k.ID, k.Created, k.Expires, k.Used = delivery.ID(id), store.FromTime(created), store.FromTime(expires), store.FromTime(used)
	for _, w := range strings.Fields(rights) {
		k.Rights = append(k.Rights, Right(w))
	}
	return k, err
}

// List returns the keys of an account, or of all with "".
func (s *Store) List(ctx context.Context, account string) ([]Key, error) {
	all, err := store.List(ctx, s.DB, func(r store.Row) (Key, error) { return scan(r) }, columns+`WHERE ? = '' OR account = ? ORDER BY account, id`, account, account)
	if err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	return all, nil
}

// Remove ends a key: from then on nothing is taken with it. ErrNotFound.
func (s *Store) Remove(ctx context.Context, id delivery.ID) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM api_keys WHERE id = ?`, int64(id))
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return err
	})
}

// Find is the key of a token, and notes its use; ErrUnknown. Any other error is the store's.
func (s *Store) Find(ctx context.Context, t Token) (Key, error) {
	var k Key
	var hash []byte
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		hash = nil
		k, err = scan(tx.Row(strings.Replace(columns, "used FROM", "used, hash FROM", 1)+`WHERE id = ?`, int64(t.ID)), &hash)
		return err
	})
	now := s.Now()
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && !t.is(hash), err == nil && !k.Expires.IsZero() && !k.Expires.After(now):
		return Key{}, ErrUnknown
	case err != nil:
		return Key{}, fmt.Errorf("find an API key: %w", err)
	}
	if now.Sub(k.Used) < usedEvery {
		return k, nil
	}
	k.Used = now
	err = s.DB.WriteSoon(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE api_keys SET used = ? WHERE id = ? AND used < ?`, store.Time(now), int64(k.ID), store.Time(now))
		return err
	})
	if err != nil {
		return Key{}, fmt.Errorf("note the use of an API key: %w", err)
	}
	return k, nil
}

// Listing is how keys are listed for people.
func Listing() text.List[Key] {
	return text.List[Key]{Columns: text.Columns("ID|ACCOUNT|RIGHTS|DOMAIN|USED|EXPIRES|NOTE", "DOMAIN", "NOTE", "EXPIRES"), Cells: func(k *Key) []any {
		return []any{k.ID, k.Account, k.Rights.String(), k.Domain, text.OrNever(k.Used), text.OrNever(k.Expires), k.Note}
	}}
}
