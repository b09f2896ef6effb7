package tlsreport

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// maxNote bounds what is stored of an answer.
const maxNote = 500

// Settled notes what became of a report mail; the queue calls it in the
// transaction that settles the recipient. It leaves alone what is not a report,
// and a report that is no longer known.
func (s *Service) Settled(tx *store.Tx, env delivery.Envelope, rr delivery.RecipientResult) error {
	if env.Purpose != delivery.TLSReport {
		return nil
	}
	id, err := strconv.ParseInt(env.Ref, 10, 64)
	if err != nil {
		return nil // a partial or foreign one without a row
	}
	text := rr.Text
	if rr.Reply != nil && (text == "" || rr.Outcome == delivery.Delivered || rr.Reply.Code/100 == 5) {
		text = rr.Reply.String()
	}
	switch rr.Outcome {
	case delivery.Delivered:
		return finish(tx, id, accepted, text, s.now())
	case delivery.Failed:
		return finish(tx, id, failure(rr), text, s.now())
	}
	return nil
}

// failure tells a refusal from a day on which nothing worked.
func failure(rr delivery.RecipientResult) verdict {
	if rr.Word == "expired" || rr.Enhanced.Class == 4 || rr.Reply != nil && rr.Reply.Code/100 == 4 {
		return exhausted
	}
	return refused
}

// finish ends one delivery, and remembers what its address did.
func finish(tx *store.Tx, id int64, v verdict, note string, now time.Time) error {
	state := "accepted"
	if v != accepted {
		state = "failed"
	}
	uri, err := end(tx, id, state, note, now)
	if uri == "" || err != nil {
		return err
	}
	return judgeAddress(tx, uri, v, note, now)
}

// end ends one delivery and, when it was the last or was accepted, settles its
// report: delivered as soon as one address took it (RFC 8460 §3). It returns the
// address; "" where the delivery is not known any more.
func end(tx *store.Tx, id int64, state, note string, now time.Time) (uri string, err error) {
	var report int64
	err = tx.Row(`SELECT report, uri FROM tls_deliveries WHERE id = ?`, id).Scan(&report, &uri)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("settle a TLS report: %w", err)
	}
	// All deliveries of a report settle one after the other, else two machines
	// could each overlook the other's.
	if err := tx.Row(`SELECT id FROM tls_reports WHERE id = ?`+tx.Wait(), report).Scan(&report); errors.Is(err, sql.ErrNoRows) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("settle a TLS report: %w", err)
	}
	if err := record(tx, id, now, state+": "+note); err != nil {
		return "", err
	}
	_, err = tx.Exec(`UPDATE tls_deliveries SET state = ?, note = ?, tries = tries + 1, changed = ?, due = 0 WHERE id = ?`,
		state, clip(note), store.Time(now), id)
	if err != nil {
		return "", fmt.Errorf("settle a TLS report: %w", err)
	}
	q, args := `UPDATE tls_reports SET state = 'delivered' WHERE id = ?`, []any{report}
	if state != "accepted" {
		q = `UPDATE tls_reports SET state = 'failed' WHERE id = ? AND NOT EXISTS
			(SELECT 1 FROM tls_deliveries WHERE report = ? AND state <> 'failed')`
		args = []any{report, report}
	}
	if _, err := tx.Exec(q, args...); err != nil {
		return "", fmt.Errorf("settle a TLS report: %w", err)
	}
	return uri, nil
}

// record keeps one try (RPT-10).
func record(tx *store.Tx, deliveryID int64, now time.Time, result string) error {
	_, err := tx.Exec(`INSERT INTO tls_tries (id, delivery, at, result) VALUES (?, ?, ?, ?)`,
		store.NewID(), deliveryID, store.Time(now), clip(result))
	if err != nil {
		return fmt.Errorf("record the try of a TLS report: %w", err)
	}
	return nil
}

// clip makes foreign text fit to be stored: bounded, valid UTF-8, no NUL.
func clip(s string) string {
	if len(s) > maxNote {
		s = s[:maxNote]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}
