// Package classifier keeps what each account has taught about words: how many messages of good
// mail and of junk have each (JNK-2). Words are kept as hashes; nobody can read an account's mail
// out of them.
package classifier

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/bayes"
	"waxwing/internal/junk"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// Enough is how many messages of each kind it takes before the classifier is asked.
const Enough = 30

// maxKept is how many words an account has; beyond it, those go first that were met once only, and
// the longest ago.
const maxKept = 100_000

// tidyEvery is after how many messages the number of words is looked at.
const tidyEvery = 64

// Store keeps words. Its methods may be called at the same time.
type Store struct {
	DB  *store.Store
	Now func() time.Time
}

// Model is how much an account has taught.
type Model struct {
	Good  int64 `json:"good"` // messages
	Junk  int64 `json:"junk"`
	Words int64 `json:"words"`
}

// Trained is whether that is enough to be asked.
func (m Model) Trained() bool { return m.Good >= Enough && m.Junk >= Enough }

// Score says what the account, which has taught m, would make of a message with these words.
func (s *Store) Score(ctx context.Context, account string, m Model, words []bayes.Word) (junk.Words, error) {
	if !m.Trained() || len(words) == 0 {
		return junk.Words{Trained: m.Trained(), Score: bayes.Score(bayes.Count{}, nil)}, nil
	}
	args := []any{account}
	for _, w := range words {
		args = append(args, int64(w))
	}
	seen, err := store.List(ctx, s.DB, func(r store.Row) (c bayes.Count, err error) {
		err = r.Scan(&c.Good, &c.Junk)
		return c, err
	}, `SELECT good, junk FROM junk_words WHERE account = ? AND word IN (?`+strings.Repeat(", ?", len(words)-1)+`)`, args...)
	if err != nil {
		return junk.Words{}, fmt.Errorf("the words of account %s: %w", account, err)
	}
	return junk.Words{Trained: true, Score: bayes.Score(bayes.Count{Good: m.Good, Junk: m.Junk}, seen)}, nil
}

// Model tells how much an account has taught.
func (s *Store) Model(ctx context.Context, account string) (Model, error) {
	return store.Read(ctx, s.DB, func(tx *store.Tx) (Model, error) {
		all, err := Taught(tx, account)
		m := all[account]
		if err == nil {
			err = tx.Row(`SELECT count(*) FROM junk_words WHERE account = ?`, account).Scan(&m.Words)
		}
		return m, err
	})
}

// Taught are the models of accounts, without the number of words, in one statement. Who has taught
// nothing is not among them.
func Taught(tx *store.Tx, accounts ...string) (map[string]Model, error) {
	args := make([]any, len(accounts))
	for i, a := range accounts {
		args[i] = a
	}
	out := map[string]Model{}
	err := tx.Each(func(r store.Row) error {
		var account string
		var m Model
		err := r.Scan(&account, &m.Good, &m.Junk)
		out[account] = m
		return err
	}, `SELECT account, good, junk FROM junk_models WHERE account IN (?`+strings.Repeat(", ?", len(accounts)-1)+`)`, args...)
	return out, err
}

// Learn has the account's classifier learn a message with these words, which it has learnt as
// was before, as class; Unknown forgets it.
func (s *Store) Learn(tx *store.Tx, account string, words []bayes.Word, was, class mailbox.Class) error {
	if was == class {
		return nil
	}
	good, bad := change(was, class, mailbox.IsGood), change(was, class, mailbox.IsJunk)
	var total int64
	err := tx.Row(`INSERT INTO junk_models (account, good, junk) VALUES (?, ?, ?) ON CONFLICT (account) DO UPDATE
		SET good = CASE WHEN junk_models.good + ? > 0 THEN junk_models.good + ? ELSE 0 END, junk = CASE WHEN junk_models.junk + ? > 0 THEN junk_models.junk + ? ELSE 0 END
		RETURNING good + junk`, account, positive(good), positive(bad), good, good, bad, bad).Scan(&total)
	if err != nil {
		return err
	}
	words = slices.Sorted(slices.Values(words)) // so that two who learn at once do not wait for each other
	if len(words) > 0 {
		day := s.Now().Unix() / 86400
		args := make([]any, 0, 5*len(words)+4)
		for _, w := range words {
			args = append(args, account, int64(w), positive(good), positive(bad), day)
		}
		args = append(args, good, good, bad, bad)
		_, err = tx.Exec(`INSERT INTO junk_words (account, word, good, junk, day) VALUES (?, ?, ?, ?, ?)`+strings.Repeat(", (?, ?, ?, ?, ?)", len(words)-1)+`
			ON CONFLICT (account, word) DO UPDATE SET day = excluded.day,
			good = CASE WHEN junk_words.good + ? > 0 THEN junk_words.good + ? ELSE 0 END, junk = CASE WHEN junk_words.junk + ? > 0 THEN junk_words.junk + ? ELSE 0 END`, args...)
	}
	if err == nil && total%tidyEvery == 0 {
		err = tidy(tx, account, maxKept)
	}
	return err
}

// change is by how much a kind's count changes.
func change(was, class, kind mailbox.Class) int64 {
	n := int64(0)
	if was == kind {
		n--
	}
	if class == kind {
		n++
	}
	return n
}

func positive(n int64) int64 { return max(n, 0) }

// tidy keeps an account to most words.
func tidy(tx *store.Tx, account string, most int64) error {
	var n int64
	if err := tx.Row(`SELECT count(*) FROM junk_words WHERE account = ?`, account).Scan(&n); err != nil || n <= most {
		return err
	}
	// A tenth more, so that the next message does not have to do it again.
	_, err := tx.Exec(`DELETE FROM junk_words WHERE account = ? AND word IN (SELECT word FROM junk_words WHERE account = ?
		ORDER BY CASE WHEN good + junk > 1 THEN 1 ELSE 0 END, day, good + junk LIMIT ?)`, account, account, n-most+most/10)
	return err
}

// Forget forgets all that an account has taught.
func Forget(tx *store.Tx, account string) error {
	for _, q := range []string{`DELETE FROM junk_words WHERE account = ?`, `DELETE FROM junk_models WHERE account = ?`} {
		if _, err := tx.Exec(q, account); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`UPDATE mails SET taught = 0 WHERE taught <> 0 AND account = ?`, account)
	return err
}
