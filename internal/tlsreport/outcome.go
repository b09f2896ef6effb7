package tlsreport

import (
	"context"
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
	state := "accepted"
	switch rr.Outcome {
	case delivery.Failed:
		state = "failed"
	case delivery.Delivered:
	default:
		return nil
	}
	text := rr.Text
	if rr.Reply != nil {
		text = rr.Reply.String()
	}
	return finish(tx, id, state, text, s.now())
}

// finish ends one delivery and, when it was the last or was accepted, settles
// its report: delivered as soon as one address took it (RFC 8460 §3).
func finish(tx *store.Tx, id int64, state, note string, now time.Time) error {
	var report int64
	var uri string
	err := tx.Row(`SELECT report, uri FROM tls_deliveries WHERE id = ?`, id).Scan(&report, &uri)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("settle a TLS report: %w", err)
	}
	// All deliveries of a report settle one after the other, else two machines
	// could each overlook the other's.
	if err := tx.Row(`SELECT id FROM tls_reports WHERE id = ?`+tx.Wait(), report).Scan(&report); errors.Is(err, sql.ErrNoRows) {
		return nil
	} else if err != nil {
		return fmt.Errorf("settle a TLS report: %w", err)
	}
	if err := record(tx, id, now, state+": "+note); err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE tls_deliveries SET state = ?, note = ?, tries = tries + 1, changed = ?, due = 0 WHERE id = ?`,
		state, clip(note), store.Time(now), id)
	if err != nil {
		return fmt.Errorf("settle a TLS report: %w", err)
	}
	q, args := `UPDATE tls_reports SET state = 'delivered' WHERE id = ?`, []any{report}
	if state != "accepted" {
		q = `UPDATE tls_reports SET state = 'failed' WHERE id = ? AND state = 'sending' AND NOT EXISTS
			(SELECT 1 FROM tls_deliveries WHERE report = ? AND state <> 'failed')`
		args = []any{report, report}
	}
	if _, err := tx.Exec(q, args...); err != nil {
		return fmt.Errorf("settle a TLS report: %w", err)
	}
	return judgeAddress(tx, uri, state, note, now)
}

// judgeAddress suppresses an address that refused a report or did not take it
// for a day, longer each time, and forgives it once it accepts one (RPT-12).
// What the admin set by hand stays.
func judgeAddress(tx *store.Tx, uri, state, note string, now time.Time) error {
	if state == "accepted" {
		_, err := tx.Exec(`DELETE FROM tls_suppressions WHERE address = ? AND manual = 0`, uri)
		return err
	}
	var times int
	err := tx.Row(`SELECT times FROM tls_suppressions WHERE address = ?`+tx.Wait(), uri).Scan(&times)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = tx.Exec(`INSERT INTO tls_suppressions (address, until, times, manual, reason) VALUES (?, ?, 1, 0, ?)
		ON CONFLICT (address) DO UPDATE SET until = excluded.until, times = tls_suppressions.times + 1, reason = excluded.reason
		WHERE tls_suppressions.manual = 0 AND tls_suppressions.until <= ?`,
		uri, store.Time(now.Add(penalty(times))), clip(note), store.Time(now)) // one bad day with many reports counts once
	return err
}

// penalty is how long an address is left alone after it failed times before:
// 3 days, doubled up to 48.
func penalty(times int) time.Duration { return 72 * time.Hour << min(times, 4) }

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

// suppressed tells whether an address is not to be sent to now (RPT-12).
func (s *Service) suppressed(ctx context.Context, uri string) (bool, error) {
	var until int64
	err := s.Store.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT until FROM tls_suppressions WHERE address = ?`, uri).Scan(&until)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up the suppression of %s: %w", uri, err)
	}
	return s.now().Before(store.FromTime(until)), nil
}

// Suppression is a report address that is not sent to.
type Suppression struct {
	Address string    `json:"address"` // as in rua: mailto:… or https:…
	Until   time.Time `json:"until"`
	Reason  string    `json:"reason"`
	Manual  bool      `json:"manual"`
}

// Suppress stops reports to an address until a time, by hand.
func (s *Service) Suppress(ctx context.Context, address string, until time.Time, reason string) error {
	err := s.Store.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO tls_suppressions (address, until, times, manual, reason) VALUES (?, ?, 0, 1, ?)
			ON CONFLICT (address) DO UPDATE SET until = excluded.until, manual = 1, reason = excluded.reason`,
			address, store.Time(until), clip(reason))
		return err
	})
	if err != nil {
		return fmt.Errorf("suppress %s: %w", address, err)
	}
	return nil
}

// Lift ends a suppression; false: there was none.
func (s *Service) Lift(ctx context.Context, address string) (bool, error) {
	var n int64
	err := s.Store.Write(ctx, func(tx *store.Tx) error {
		var err error
		n, err = tx.Exec(`DELETE FROM tls_suppressions WHERE address = ?`, address)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("lift the suppression of %s: %w", address, err)
	}
	return n > 0, nil
}

// Suppressions lists them by address.
func (s *Service) Suppressions(ctx context.Context) ([]Suppression, error) {
	var out []Suppression
	err := s.Store.Read(ctx, func(tx *store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT address, until, manual, reason FROM tls_suppressions ORDER BY address`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var x Suppression
			var until, manual int64
			if err := rows.Scan(&x.Address, &until, &manual, &x.Reason); err != nil {
				return err
			}
			x.Until, x.Manual = store.FromTime(until), manual != 0
			out = append(out, x)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list suppressions: %w", err)
	}
	return out, nil
}
