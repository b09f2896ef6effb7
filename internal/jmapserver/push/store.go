package push

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/store"
	"waxwing/jmap"
)

// kind begins the ids of subscriptions.
const kind = 'P'

// subscription is an address with what is told there.
type subscription struct {
	id                  int64
	account, credential string
	device, url, code   string
	keys                keys
	asked, verified     bool
	types               []string // nil: all
	expires             time.Time
	told                map[string]string
	modseq, failures    int64
	failing             time.Time
	claim               int64
}

const columns = `SELECT id, account, credential, device, url, code, p256dh, auth, asked, verified, types, expires, told, modseq, failures, failing, claim FROM jmap_push `

func scan(r store.Row) (s subscription, err error) {
	var types, told string
	var expires, failing int64
	err = r.Scan(&s.id, &s.account, &s.credential, &s.device, &s.url, &s.code, &s.keys.public, &s.keys.auth, &s.asked, &s.verified, &types, &expires, &told, &s.modseq, &s.failures, &failing, &s.claim)
	if err != nil {
		return s, err
	}
	s.expires, s.failing = store.FromTime(expires), store.FromTime(failing)
	return s, errors.Join(json.Unmarshal([]byte(types), &s.types), json.Unmarshal([]byte(told), &s.told))
}

// String is its id, for the log: its address may be a secret of the client's.
func (s *subscription) String() string { return delivery.ID(s.id).String() }

// mark is a hash by which something secret can be known again.
func mark(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}

// list are the subscriptions that one password of an account has made.
func (r *Room) list(ctx context.Context, account, credential string) (map[jmap.ID]*subscription, error) {
	all, err := store.List(ctx, r.DB, scan, columns+`WHERE account = ? AND credential = ? AND expires > ?`, account, credential, store.Time(r.Now()))
	if err != nil {
		return nil, fmt.Errorf("push subscriptions of %s: %w", account, err)
	}
	out := map[jmap.ID]*subscription{}
	for i := range all {
		out[call.ID(kind, all[i].id)] = &all[i]
	}
	return out, nil
}

// insert keeps a new one; false: the account has too many.
func (r *Room) insert(ctx context.Context, s *subscription) (ok bool, err error) {
	types, err := json.Marshal(s.types)
	if err != nil {
		return false, err
	}
	err = r.DB.Write(ctx, func(tx *store.Tx) error {
		var n int
		err := tx.Row(`SELECT count(*) FROM jmap_push WHERE account = ? AND expires > ?`, s.account, store.Time(r.Now())).Scan(&n)
		if ok = err == nil && n < maxSubscriptions; !ok {
			return err
		}
		_, err = tx.Exec(`INSERT INTO jmap_push (id, account, credential, device, url, p256dh, auth, code, types, expires, due) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			s.id, s.account, s.credential, s.device, s.url, orEmpty(s.keys.public), orEmpty(s.keys.auth), s.code, string(types), store.Time(s.expires), store.Time(r.Now()))
		return err
	})
	return ok, err
}

// orEmpty is for columns that are not NULL.
func orEmpty(b []byte) []byte { return append([]byte{}, b...) }

// update writes what a client has changed: when it ends, the types, and that it is verified, from when on changes are told.
func (r *Room) update(ctx context.Context, s *subscription, now verifiedNow) error {
	types, err := json.Marshal(s.types)
	if err != nil {
		return err
	}
	return r.DB.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`UPDATE jmap_push SET expires = ?, types = ? WHERE id = ?`, store.Time(s.expires), string(types), s.id); err != nil || now.told == nil {
			return err
		}
		told, err := json.Marshal(now.told)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE jmap_push SET verified = 1, failures = 0, failing = 0, told = ?, modseq = ?, due = ? WHERE id = ?`,
			string(told), now.modseq, store.Time(r.Now()), s.id)
		return err
	})
}

// verifiedNow is what is known at the moment at which a subscription is verified; told is nil where it is not.
type verifiedNow struct {
	told   map[string]string
	modseq int64
}

// now reads the modseq before the states: a change between the two is told once too often, and never not.
func (r *Room) now(ctx context.Context, account string) (v verifiedNow, err error) {
	err = r.DB.Read(ctx, func(tx *store.Tx) error {
		err := tx.Row(`SELECT modseq FROM mail_accounts WHERE account = ?`, account).Scan(&v.modseq)
		if errors.Is(err, sql.ErrNoRows) {
			v.modseq, err = 0, nil
		}
		return err
	})
	if err == nil {
		v.told, err = r.States(ctx, account)
	}
	return v, err
}

// Touch has an account looked at for changes of what is not counted by its modseq, once the transaction is durable. Each
// change gives a modseq that no account has, and that none had before.
func (r *Room) Touch(tx *store.Tx, account string) error {
	n, err := tx.Exec(`UPDATE jmap_push SET modseq = CASE WHEN modseq < 0 THEN modseq - 1 ELSE -1 END WHERE account = ? AND verified = 1`, account)
	if err == nil && n > 0 {
		tx.After(r.wake)
	}
	return err
}

// remove forgets a subscription, with its address and keys.
func (r *Room) remove(ctx context.Context, id int64) error {
	return r.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM jmap_push WHERE id = ?`, id)
		return err
	})
}

// Tidy forgets subscriptions that have ended, and those whose password counts no more.
func (r *Room) Tidy(ctx context.Context) error {
	now := r.Now()
	err := r.DB.Prune(ctx, "push subscriptions", store.Old{Query: `DELETE FROM jmap_push WHERE expires <= ?`, Before: store.Time(now)},
		store.Old{Query: `DELETE FROM jmap_push WHERE verified = 0 AND due <= ?`, Before: store.Time(now.Add(-unanswered))})
	if err != nil {
		return err
	}
	type made struct {
		id                  int64
		account, credential string
	}
	all, err := store.List(ctx, r.DB, func(x store.Row) (m made, err error) { return m, x.Scan(&m.id, &m.account, &m.credential) }, `SELECT id, account, credential FROM jmap_push ORDER BY account`)
	var valid map[string]bool
	of := ""
	for _, m := range all {
		if err == nil && (of != m.account || valid == nil) {
			of = m.account
			valid, err = r.valid(ctx, m.account)
		}
		if err == nil && !valid[m.credential] {
			err = r.remove(ctx, m.id)
		}
	}
	return err
}

// claim takes a subscription for a while; sql.ErrNoRows: another machine has it.
func (r *Room) claim(ctx context.Context, id int64) (s subscription, err error) {
	err = r.DB.Write(ctx, func(tx *store.Tx) error {
		var claim int64
		now := r.Now()
		err := tx.Row(`UPDATE jmap_push SET claim = claim + 1, lease = ? WHERE id = ? AND lease <= ? RETURNING claim`, store.Time(now.Add(lease)), id, store.Time(now)).Scan(&claim)
		if err == nil {
			s, err = scan(tx.Row(columns+`WHERE id = ?`, id))
		}
		return err
	})
	return s, err
}

// settle writes down what came of a post, and gives the subscription back. One that was verified or removed meanwhile stays so.
func (r *Room) settle(ctx context.Context, s *subscription, d ruling, now verifiedNow) error {
	if d.remove {
		return r.remove(ctx, s.id)
	}
	return r.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE jmap_push SET due = ?, failures = ?, failing = ?, lease = 0 WHERE id = ? AND claim = ?`, store.Time(d.due), int64(d.failures), store.Time(d.failing), s.id, s.claim)
		if err != nil || !d.took {
			return err
		}
		if !s.verified {
			_, err = tx.Exec(`UPDATE jmap_push SET asked = 1 WHERE id = ? AND claim = ?`, s.id, s.claim)
			return err
		}
		told, err := json.Marshal(now.told)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE jmap_push SET told = ?, modseq = ? WHERE id = ? AND claim = ? AND modseq = ?`, string(told), now.modseq, s.id, s.claim, s.modseq)
		return err
	})
}
