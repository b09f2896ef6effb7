package correspondents

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// What was noted within the minute is not looked for in the store again: Forget, which another
// process could have done, shows whether it was.
func TestLately(t *testing.T) {
	each(t, func(t *testing.T, s *Store, now *time.Time) {
		var l Lately
		writes := func(fails error, account string, reply bool, to string) {
			t.Helper()
			err := s.DB.Write(t.Context(), func(tx *store.Tx) error {
				if err := l.Wrote(tx, account, delivery.Wrote{To: []string{to}, Reply: reply}, *now); err != nil {
					return err
				}
				return fails
			})
			if !errors.Is(err, fails) {
				t.Fatal(err)
			}
		}
		noted := func(account string) bool {
			t.Helper()
			list, err := s.List(t.Context(), account, 10)
			must(t, err)
			must(t, s.DB.Write(t.Context(), func(tx *store.Tx) error { return Forget(tx, account) }))
			return len(list) > 0
		}
		for _, step := range []struct {
			what    string
			later   time.Duration
			fails   error
			account string
			reply   bool
			to      string
			want    bool
		}{
			{what: "a transaction that comes to nothing", fails: errors.New("no"), account: "joe", to: "a@b.test"},
			{what: "the first", account: "joe", to: "a@b.test", want: true},
			{what: "the next", later: lately - 1, account: "joe", to: "a@b.test"},
			{what: "an answer says more", account: "joe", reply: true, to: "a@b.test", want: true},
			{what: "a further answer", account: "joe", reply: true, to: "a@b.test"},
			{what: "another account", account: "ann", to: "a@b.test", want: true},
			{what: "another address", account: "joe", to: "c@b.test", want: true},
			{what: "a minute later", later: 1, account: "joe", to: "a@b.test", want: true},
			{what: "a clock that went back", later: -1, account: "joe", to: "a@b.test", want: true},
		} {
			*now = now.Add(step.later)
			writes(step.fails, step.account, step.reply, step.to)
			if got := noted(step.account); got != step.want {
				t.Errorf("%s: noted: %v", step.what, got)
			}
		}
	})
}

func TestLatelyIsBounded(t *testing.T) {
	var l Lately
	for i := range 3 * latelyMost {
		l.note("joe", delivery.Wrote{To: []string{fmt.Sprint(i)}}, time.Unix(1.7e9, 0))
		if len(l.noted) > latelyMost {
			t.Fatal(len(l.noted))
		}
	}
}
