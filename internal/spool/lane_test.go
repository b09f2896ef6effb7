package spool

import (
	"testing"
	"time"

	"waxwing/internal/spool/spooltest"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// Where more lanes are due than one claim reads, it also reads some of every account's, in
// turn, and says where the next claim goes on.
func TestDueLanesOfManyAccounts(t *testing.T) { // QUE-3
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		lanes, accounts int
		full            bool
		after, last     string
	}{
		{lanes: 60, accounts: 3, after: "account1", last: "account1"},
		{lanes: 1000, accounts: 1, full: true}, // after the last account, mail of none
		{lanes: 1000, accounts: 10, full: true},
		{lanes: 2000, accounts: 20, full: true, last: "account5"},                     // the 16th by name: 0, 1, 10 to 19, 2 to 5
		{lanes: 2000, accounts: 20, full: true, after: "account5", last: "account18"}, // 6 to 9, none, 0, 1, 10 to 18
	} {
		storetest.Each(t, func(t *testing.T, s *store.Store) {
			spooltest.Filling{Recipients: 10 * tc.lanes, Dests: tc.lanes, Accounts: tc.accounts, Now: now}.Write(t, s)
			var got Candidates
			err := s.Write(t.Context(), func(tx *store.Tx) (err error) {
				got, err = DueLanes(tx, Wanted{}, tc.after, now)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			of := map[string]int{}
			for _, l := range got.Lanes {
				of[l.Account]++
			}
			if got.Full != tc.full || got.Account != tc.last {
				t.Errorf("%d lanes of %d accounts: full %v and the last account %q, want %v and %q", tc.lanes, tc.accounts, got.Full, got.Account, tc.full, tc.last)
			}
			if want := min(tc.accounts, 16); len(of) < want {
				t.Errorf("%d lanes of %d accounts: lanes of %d accounts, want %d or more", tc.lanes, tc.accounts, len(of), want)
			}
		})
	}
}
