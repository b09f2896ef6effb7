package outbox

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/reason"
	"waxwing/internal/store"
)

// maxNote bounds what is stored of an answer.
const maxNote = 500

// Settler returns what notes the end of a report mail of this family; the queue calls
// it in the transaction that settles the recipient. It leaves alone mail for another
// purpose, and a report that is no longer known. It belongs to the family and not to a
// Box, because a Box needs the queue.
func (f Family) Settler(now func() time.Time) func(*store.Tx, delivery.Envelope, delivery.RecipientResult) error {
	return func(tx *store.Tx, env delivery.Envelope, rr delivery.RecipientResult) error {
		if env.Purpose != f.Purpose {
			return nil
		}
		return f.settled(tx, env, rr, now())
	}
}

// Settler is that of several families.
func Settler(now func() time.Time, families ...Family) func(*store.Tx, delivery.Envelope, delivery.RecipientResult) error {
	return func(tx *store.Tx, env delivery.Envelope, rr delivery.RecipientResult) error {
		for _, f := range families {
			if err := f.Settler(now)(tx, env, rr); err != nil {
				return err
			}
		}
		return nil
	}
}

func (f Family) settled(tx *store.Tx, env delivery.Envelope, rr delivery.RecipientResult, now time.Time) error {
	id, err := strconv.ParseInt(env.Ref, 10, 64)
	if err != nil {
		return nil // a foreign one without a row
	}
	text := rr.Text
	if rr.Reply != nil && (text == "" || rr.Outcome == delivery.Delivered || rr.Reply.Code/100 == 5) {
		text = rr.Reply.String()
	}
	switch rr.Outcome {
	case delivery.Delivered:
		return f.finish(tx, id, accepted, text, now)
	case delivery.Failed:
		return f.finish(tx, id, failure(rr), text, now)
	}
	return nil
}

// failure tells a refusal from a day on which nothing worked.
func failure(rr delivery.RecipientResult) result {
	if rr.Word == reason.Expired || rr.Enhanced.Class == 4 || rr.Reply != nil && rr.Reply.Code/100 == 4 {
		return exhausted
	}
	return refused
}

// finish ends one delivery, and remembers what its address did.
func (f Family) finish(tx *store.Tx, id int64, r result, note string, now time.Time) error {
	uri, err := end(tx, id, r.state(), note, now)
	if uri == "" || err != nil {
		return err
	}
	return f.remember(tx, uri, r, note, now)
}

// end ends one delivery and, when it was the last or was accepted, settles its
// report: delivered as soon as one address took it (RFC 8460 §3). It returns the
// address; "" where the delivery is not known any more.
func end(tx *store.Tx, id int64, state, note string, now time.Time) (uri string, err error) {
	var report int64
	err = tx.Row(`SELECT report, uri FROM outbox_deliveries WHERE id = ?`, id).Scan(&report, &uri)
	if err == nil {
		// All deliveries of a report settle one after the other, else two machines
		// could each overlook the other's.
		err = tx.Row(`SELECT id FROM outbox_reports WHERE id = ?`+tx.Wait(), report).Scan(&report)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err == nil {
		err = record(tx, id, now, state+": "+note)
	}
	if err == nil {
		_, err = tx.Exec(`UPDATE outbox_deliveries SET state = ?, note = ?, tries = tries + 1, changed = ?, due = 0 WHERE id = ?`,
			state, Clip(note), store.Time(now), id)
	}
	if err == nil && state == "accepted" {
		_, err = tx.Exec(`UPDATE outbox_reports SET state = 'delivered' WHERE id = ?`, report)
	} else if err == nil {
		_, err = tx.Exec(`UPDATE outbox_reports SET state = 'failed' WHERE id = ? AND NOT EXISTS
			(SELECT 1 FROM outbox_deliveries WHERE report = ? AND state <> 'failed')`, report, report)
	}
	if err != nil {
		return "", fmt.Errorf("settle the delivery of a report: %w", err)
	}
	return uri, nil
}

// record keeps one try (RPT-10).
func record(tx *store.Tx, deliveryID int64, now time.Time, result string) error {
	_, err := tx.Exec(`INSERT INTO outbox_tries (id, delivery, at, result) VALUES (?, ?, ?, ?)`,
		store.NewID(), deliveryID, store.Time(now), Clip(result))
	return err
}

// Clip makes foreign text fit to be stored.
func Clip(s string) string { return foreign.Text(s, maxNote) }

// Line is foreign text on one line, as it is stored.
func Line(s string) string { return foreign.Line(Clip(s)) }
