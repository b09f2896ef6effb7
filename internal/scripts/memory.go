package scripts

import (
	"context"
	"crypto/sha256"
	"encoding/base64"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// Kind is what a memory is of.
type Kind string

// The kinds.
const (
	Answered Kind = "answered" // whom a vacation has answered
	Seen     Kind = "seen"     // a message that duplicate has seen
	Told     Kind = "told"     // that the account was told of a fault
)

// maxMemories bounds what the scripts of one account keep in mind; what ends first is forgotten.
const maxMemories = 20_000

// Key is how something is remembered: the words, whatever they are, come to one of fixed length.
func Key(k Kind, words ...string) string {
	h := sha256.New()
	for _, w := range words {
		h.Write([]byte(w))
		h.Write([]byte{0})
	}
	return string(k) + " " + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

// Remembers reports that the account's scripts have this in mind.
func (s *Store) Remembers(ctx context.Context, account, key string) (bool, error) {
	return store.Read(ctx, s.DB, func(tx *store.Tx) (bool, error) {
		var n int
		err := tx.Row(`SELECT count(*) FROM sieve_memory WHERE account = ? AND what = ? AND until > ?`, account, key, store.Time(s.now())).Scan(&n)
		return n > 0, err
	})
}

// Record keeps in mind what scripts want, of recipients that are being settled as delivered, in
// the transaction that settles them. The error is a *delivery.DoneError where what was to be done once has been done
// meanwhile: two messages of one sender came at the same moment.
func Record(tx *store.Tx, res *delivery.Result) error {
	const keep = `INSERT INTO sieve_memory (account, what, until) SELECT name, ?, ? FROM accounts WHERE name = ?
		ON CONFLICT (account, what) DO UPDATE SET until = excluded.until`
	var last delivery.Memory
	for _, m := range res.Settled() {
		if m.Account == last.Account && m.Key == last.Key {
			continue // the account has the message by two addresses
		}
		if last = m; m.Once.IsZero() {
			if _, err := tx.Exec(keep, m.Key, store.Time(m.Until), m.Account); err != nil {
				return err
			}
			continue
		}
		n, err := tx.Exec(keep+` WHERE sieve_memory.until <= ?`, m.Key, store.Time(m.Until), m.Account, store.Time(m.Once))
		if err != nil {
			return err
		}
		if n == 0 { // also where the account is gone: then nobody is to be answered either
			return &delivery.DoneError{Account: m.Account, Key: m.Key}
		}
	}
	return nil
}

// Tidy forgets what is over, and of each account what is too much.
func (s *Store) Tidy(ctx context.Context) error {
	if err := s.DB.Prune(ctx, "what scripts had in mind", store.Old{Query: `DELETE FROM sieve_memory WHERE until <= ?`, Before: store.Time(s.now())}); err != nil {
		return err
	}
	return s.DB.Remove(ctx, func(tx *store.Tx) (int64, error) {
		return tx.Exec(`DELETE FROM sieve_memory WHERE (account, what) IN (
			SELECT account, what FROM (SELECT account, what, row_number() OVER (PARTITION BY account ORDER BY until DESC) AS n FROM sieve_memory) AS counted WHERE n > ?)`, maxMemories)
	})
}
