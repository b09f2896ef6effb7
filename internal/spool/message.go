package spool

import (
	"fmt"
	"math"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// envelopeColumns are the columns of a message, in the order of envelopeInto.
const envelopeColumns = `id, sender, need, purpose, ref, account, eight_bit, smtputf8, env_id, ret, size, accepted, peer, transport, not_before, hold, message_id, facts`

func envelopeInto(e *delivery.Envelope) []any {
	return []any{&e.ID, &e.Sender, &e.Need, &e.Purpose, &e.Ref, &e.Account, &e.EightBit, &e.SMTPUTF8, &e.EnvID, &e.Ret,
		&e.Size, timeInto{&e.Accepted}, &e.Peer, &e.Transport, timeInto{&e.NotBefore}, &e.Hold, &e.MessageID, &e.Facts}
}

// Envelopes reads the messages of recipients.
func Envelopes(tx *store.Tx, entries []Entry) (map[int64]delivery.Envelope, error) {
	out := make(map[int64]delivery.Envelope, len(entries))
	var want []int64
	for i := range entries {
		id := entries[i].Message
		if _, ok := out[id]; !ok {
			out[id] = delivery.Envelope{}
			want = append(want, id)
		}
	}
	return out, eachIn(want, func(list string, args []any) error {
		return tx.Each(func(r store.Row) error {
			var e delivery.Envelope
			err := r.Scan(envelopeInto(&e)...)
			out[e.ID] = e
			return err
		}, `SELECT `+envelopeColumns+` FROM messages WHERE id IN `+list, args...)
	})
}

// InsertEnvelope writes a message of which unsettled recipients still wait.
func InsertEnvelope(tx *store.Tx, e *delivery.Envelope, unsettled int, finished time.Time) error {
	first, last := e.Recipients[0].ID, e.Recipients[0].ID
	for _, r := range e.Recipients {
		first, last = min(first, r.ID), max(last, r.ID)
	}
	_, err := tx.Exec(`INSERT INTO messages (`+envelopeColumns+`, first_recipient, last_recipient, unsettled, finished)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.ID, e.Sender, int64(e.Need), int64(e.Purpose), e.Ref, e.Account, e.EightBit, e.SMTPUTF8, Clip(e.EnvID), int64(e.Ret),
		e.Size, store.Time(e.Accepted), Clip(e.Peer), e.Transport, store.Time(e.NotBefore), Clip(e.Hold), e.MessageID, store.Blob(e.Facts),
		first, last, int64(unsettled), store.Time(finished))
	return err
}

// Finish counts recipients of a message that reached their end. It returns how many are left.
func Finish(tx *store.Tx, message int64, n int, now time.Time) (left int64, err error) {
	err = tx.Row(`UPDATE messages SET unsettled = unsettled - ?, finished = CASE WHEN unsettled = ? THEN CAST(? AS BIGINT) ELSE 0 END
		WHERE id = ? RETURNING unsettled`, int64(n), int64(n), store.Time(now), message).Scan(&left)
	if err != nil {
		return 0, fmt.Errorf("count the message's recipients: %w", err)
	}
	return left, nil
}

// InsertAttempt writes a row of the history; detail is what DetailOf makes.
func InsertAttempt(tx *store.Tx, message int64, a Attempt, detail string) error {
	_, err := tx.Exec(`INSERT INTO attempts (id, message, domain, transport, owner, started, ended, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		store.NewID(), message, a.Domain, a.Transport, a.Owner, store.Time(a.Started), store.Time(a.Ended), detail)
	return err
}

// InsertForm keeps a notification's form in US-ASCII beside its body (QUE-12);
// nil: there is none.
func InsertForm(tx *store.Tx, message int64, ascii []byte) error {
	if ascii == nil {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO ascii_forms (message, data) VALUES (?, ?)`, message, ascii)
	return err
}

// Form reads it; nil: there is none.
func Form(tx *store.Tx, message int64) ([]byte, error) {
	found, err := store.Column[[]byte](tx, `SELECT data FROM ascii_forms WHERE message = ?`, message)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// DeleteForm removes it.
func DeleteForm(tx *store.Tx, message int64) error {
	_, err := tx.Exec(`DELETE FROM ascii_forms WHERE message = ?`, message)
	return err
}

const (
	sweepBatch = 200  // messages looked at in one transaction of the sweep
	sweepRows  = 2000 // rows removed in it: a message may have had thousands of recipients
)

// SweepHistory removes some of the messages that were settled before a time; more says
// that there is more.
func SweepHistory(tx *store.Tx, before time.Time) (more bool, err error) {
	old, err := store.Column[int64](tx, `SELECT id FROM messages WHERE finished > 0 AND finished < ? ORDER BY finished LIMIT ?`+tx.Lock(),
		store.Time(before), int64(sweepBatch))
	if err != nil {
		return false, err
	}
	room := int64(sweepRows)
	for _, id := range old {
		n, err := removeRows(tx, id, room)
		if err != nil {
			return false, err
		}
		if room -= n; room <= 0 { // there may be more of this message
			return true, nil
		}
	}
	return len(old) == sweepBatch, nil
}

// DeleteMessage removes a message and all that belongs to it but its body.
func DeleteMessage(tx *store.Tx, id int64) error {
	_, err := removeRows(tx, id, math.MaxInt64)
	return err
}

// removeRows removes a message and all that belongs to it but its body: up to limit
// rows, and the message itself with the last of them. It returns how many.
func removeRows(tx *store.Tx, id, limit int64) (int64, error) {
	var first, last int64
	if err := tx.Row(`SELECT first_recipient, last_recipient FROM messages WHERE id = ?`, id).Scan(&first, &last); err != nil {
		return 0, fmt.Errorf("message %s: %w", delivery.ID(id), err)
	}
	n, err := tx.Exec(`DELETE FROM recipients WHERE id IN (SELECT id FROM recipients WHERE id BETWEEN ? AND ? AND message = ? LIMIT ?)`, first, last, id, limit)
	if err != nil || n >= limit {
		return n, err
	}
	a, err := tx.Exec(`DELETE FROM attempts WHERE id IN (SELECT id FROM attempts WHERE message = ? LIMIT ?)`, id, limit-n)
	if n += a; err != nil || n >= limit {
		return n, err
	}
	m, err := tx.Exec(`DELETE FROM messages WHERE id = ?`, id)
	return n + m, err
}
