package queue

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// filling is a backlog that is written by SQL, a million rows in seconds where
// Enqueue would take an hour. Every second recipient has been tried once.
type filling struct {
	recipients int
	dests      int // domains, in turn
	accounts   int
	now        time.Time
}

const (
	fillPerMessage = 10
	fillPerTx      = 5000 // messages
	// fillSpan is how long before now the first message was accepted.
	fillSpan = time.Hour
)

// The rows as Enqueue and settle write them; TestFillIsWhatTheQueueWrites compares.
const (
	fillNumbers  = `WITH RECURSIVE n(i) AS (SELECT CAST(? AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) `
	fillMessages = `INSERT INTO messages (id, sender, need, purpose, ref, account, eight_bit, smtputf8, env_id, ret, size, accepted, peer,
		first_recipient, last_recipient, unsettled, finished, transport, not_before) ` + fillNumbers + `
		SELECT ? + i * 11, 'alice@sender.test', 0, 0, '', 'account' || (i % ?), 0, 0, '', 0, ?, ? + i * ?, '',
			? + i * 11 + 1, ? + i * 11 + 10, 10, 0, '', 0 FROM n`
	fillBodies     = `INSERT INTO bodies (id, data, users, idle) ` + fillNumbers + `SELECT ? + i * 11, CAST(? AS BLOB), 1, 0 FROM n`
	fillRecipients = `INSERT INTO recipients (id, message, address, domain, local, orcpt, notify, state, due, owner, claim, attempts,
		last_attempt, delay_told, first_fail, first_fail_at, last_addrs, word, text, reply, host, tls, account, attend, dest) ` + fillNumbers + `
		SELECT ? + i + i / 10 + 1, ? + i / 10 * 11, CASE i % 2 WHEN 0 THEN 'ok.' ELSE 'later.' END || i || '@d' || (i % ?) || '.test',
			'd' || (i % ?) || '.test', 0, '', 0, 0, ? + i / 10 * ? + i % 2 * 60000000000, '', 0, i % 2,
			CASE i % 2 WHEN 0 THEN 0 ELSE ? + i / 10 * ? END, 0, '', 0, '',
			'', '', CASE i % 2 WHEN 0 THEN '' ELSE '451 4.7.1 greylisted' END, '', '',
			'account' || (i / 10 % ?), ? + i / 10 * ? + 14400000000000, 'd' || (i % ?) || '.test' FROM n`
	fillLanes = `INSERT INTO lanes (dest, local, account, next)
		SELECT dest, local, account, min(due) FROM recipients WHERE state = 0 GROUP BY dest, local, account`
)

// write fills an empty queue.
func (f filling) write(t testing.TB, s *store.Store) {
	t.Helper()
	// Below all that the program gives from now on.
	base := store.NewID()>>22<<22 - 3*int64(fillSpan/time.Millisecond)<<22
	messages := int64(f.recipients) / fillPerMessage
	first, step := store.Time(f.now.Add(-fillSpan)), int64(fillSpan)/max(messages, 1)
	accounts, dests := int64(f.accounts), int64(f.dests)
	exec := func(stmt string, args ...any) {
		t.Helper()
		err := s.Write(context.Background(), func(tx *store.Tx) error { _, err := tx.Exec(stmt, args...); return err })
		if err != nil {
			t.Fatal(err)
		}
	}
	body := fillBodies
	if s.Postgres() {
		body = `INSERT INTO bodies (id, data, users, idle) ` + fillNumbers + `SELECT ? + i * 11, CAST(? AS BYTEA), 1, 0 FROM n`
	}
	for from := int64(0); from < messages; from += fillPerTx {
		to := min(from+fillPerTx, messages)
		exec(fillMessages, from, to, base, accounts, int64(len(text)), first, step, base, base)
		exec(body, from, to, base, []byte(text))
		exec(fillRecipients, from*fillPerMessage, to*fillPerMessage, base, base, dests, dests, first, step, first, step, accounts, first, step, dests)
	}
	exec(fillLanes)
}

// QUE-9: what the benchmark claims is what Enqueue and settle write, column by column.
func TestFillIsWhatTheQueueWrites(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.clock.add(-fillSpan)
		env := &delivery.Envelope{Sender: "alice@sender.test", Account: "account0"}
		for i := range fillPerMessage {
			word := "ok"
			if i%2 == 1 {
				word = "later"
			}
			m := mail(t, fmt.Sprintf("%s.%d@d%d.test", word, i, i%3))
			env.Recipients = append(env.Recipients, m.Recipients...)
		}
		w.enqueue(env)
		enqueued := w.dump(t)
		w.tr.outcome = nil
		w.step()
		settled := w.dump(t)
		// Of the tried ones the row after the attempt, of the others that before it.
		for id, row := range enqueued["recipients"] {
			if row["address"].(string)[0] == 'l' {
				enqueued["recipients"][id] = settled["recipients"][id]
			}
		}
		for _, table := range []string{"messages", "bodies", "recipients", "lanes", "attempts", "destinations"} {
			w.exec(`DELETE FROM ` + table)
		}
		filling{recipients: fillPerMessage, dests: 3, accounts: 1, now: noon}.write(t, w.Store)
		filled := w.dump(t)
		for table, rows := range enqueued {
			if len(rows) != len(filled[table]) {
				t.Errorf("%s: %d rows, the queue writes %d", table, len(filled[table]), len(rows))
			}
			for k, row := range rows {
				have := filled[table][k]
				for _, column := range slices.Sorted(maps.Keys(row)) {
					if got, want := have[column], row[column]; fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("%s %s.%s: %v, the queue writes %v", k, table, column, got, want)
					}
				}
			}
		}
		items, err := w.List(t.Context(), Filter{})
		if err != nil || len(items) != fillPerMessage {
			t.Errorf("%d items, %v", len(items), err)
		}
		if n := w.step(); n != 3 {
			t.Errorf("%d jobs due", n)
		}
	})
}

// dump is all of the queue's tables: rows by what names them, without the
// identifiers, which no two fillings share.
func (w *world) dump(t *testing.T) map[string]map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]map[string]any{}
	for table, key := range map[string]string{"messages": "sender", "bodies": "data", "recipients": "address", "lanes": "dest"} {
		rows := map[string]map[string]any{}
		err := w.Store.Read(t.Context(), func(tx *store.Tx) error {
			rs, err := tx.Query(`SELECT * FROM ` + table)
			if err != nil {
				return err
			}
			defer rs.Close()
			columns, err := rs.Columns()
			if err != nil {
				return err
			}
			for rs.Next() {
				values, into := make([]any, len(columns)), make([]any, len(columns))
				for i := range values {
					into[i] = &values[i]
				}
				if err := rs.Scan(into...); err != nil {
					return err
				}
				row := map[string]any{}
				for i, c := range columns {
					row[c] = values[i]
				}
				for _, id := range []string{"id", "message", "first_recipient", "last_recipient"} {
					delete(row, id)
				}
				rows[fmt.Sprint(row[key])] = row
			}
			return rs.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		out[table] = rows
	}
	return out
}
