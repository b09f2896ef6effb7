package outbox

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/store"
)

// maxNote bounds what is stored of an answer.
const maxNote = 500

// Settled notes what became of a report mail; the queue calls it in the
// transaction that settles the recipient. It leaves alone what is no report of
// this sort, and a report that is no longer known.
func (b *Box) Settled(tx *store.Tx, env delivery.Envelope, rr delivery.RecipientResult) error {
	if env.Purpose != b.Purpose {
		return nil
	}
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
		return b.finish(tx, id, accepted, text)
	case delivery.Failed:
		return b.finish(tx, id, failure(rr), text)
	}
	return nil
}

// failure tells a refusal from a day on which nothing worked.
func failure(rr delivery.RecipientResult) result {
	if rr.Word == "expired" || rr.Enhanced.Class == 4 || rr.Reply != nil && rr.Reply.Code/100 == 4 {
		return exhausted
	}
	return refused
}

// finish ends one delivery, and remembers what its address did.
func (b *Box) finish(tx *store.Tx, id int64, r result, note string) error {
	state := "accepted"
	if r != accepted {
		state = "failed"
	}
	now := b.Now()
	uri, err := end(tx, id, state, note, now)
	if uri == "" || b.To != "" || err != nil {
		return err
	}
	return b.remember(tx, uri, r, note, now)
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
