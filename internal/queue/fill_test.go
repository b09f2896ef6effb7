package queue

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/spool"
	"waxwing/internal/spool/spooltest"
	"waxwing/internal/store"
)

// QUE-9: what the benchmark claims is what Enqueue and settle write, column by column.
func TestFillIsWhatTheQueueWrites(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.clock.add(-spooltest.Span)
		env := &delivery.Envelope{Sender: "alice@sender.test", Account: "account0"}
		for i := range spooltest.PerMessage {
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
		spooltest.Filling{Recipients: spooltest.PerMessage, Dests: 3, Accounts: 1, Now: noon}.Write(t, w.Store)
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
		items, err := w.List(t.Context(), spool.Filter{})
		if err != nil || len(items) != spooltest.PerMessage {
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
