package sending

import (
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// JMP-1: submissions of long ago are destroyed, of which clients hear, and forgotten later: then it is said that what has changed is not known.
func TestTidy(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		if err := (&accounts.Store{DB: db}).AddAccount(t.Context(), "you", "correct horse battery"); err != nil {
			t.Fatal(err)
		}
		now := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
		told := 0
		r := &Room{DB: db, Now: func() time.Time { return now }, Changed: func(*store.Tx, string) error { told++; return nil }}
		c := &call.Call{Ctx: t.Context(), Name: "you"}
		for i := range 3 {
			err := db.Write(t.Context(), func(tx *store.Tx) error {
				n, err := r.turn(tx, "you")
				if err == nil {
					_, err = tx.Exec(`INSERT INTO jmap_submissions (id, account, identity, mail, thread, message, envelope, send_at, made, changed) VALUES (?, 'you', 'A', 1, 1, 1, '{}', ?, ?, ?)`,
						int64(i+1), store.Time(now.Add(time.Duration(-i)*remembered*2/3)), n, n)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		changes := func(since string) string {
			t.Helper()
			got, fault := r.submissionChanges(c, call.Args{"accountId": []byte(`"x"`), "sinceState": []byte(`"` + since + `"`)})
			if fault != nil {
				return fault.Type
			}
			var out string
			for _, id := range got.(*call.Changed).Destroyed {
				out += string(id)
			}
			return out
		}
		tidy := func() {
			t.Helper()
			if err := r.Tidy(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		tidy()
		if got := changes("3"); got != "S3" || told != 4 {
			t.Errorf("destroyed: %q, told %d times", got, told)
		}
		now = now.Add(missed + time.Hour)
		tidy()
		if got := changes("3"); got != "cannotCalculateChanges" {
			t.Errorf("long after: %s", got)
		}
		state, all, err := r.submissions(c)
		if err != nil || len(all) != 1 || changes(state) != "" {
			t.Errorf("%v, %v", all, err)
		}
	})
}
