package login

import (
	"fmt"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// INB-5: the answer to a guess does not wait for the journal, which has entries of accounts that
// there are alone; nor do entries pile up.
func TestJournalTellsNothing(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	ctx := t.Context()
	if err := (&accounts.Store{DB: db}).AddAccount(ctx, "joe", "correct horse"); err != nil {
		t.Fatal(err)
	}
	c := &Checker{Journal: &Journal{DB: db}}
	if err := db.Write(ctx, func(*store.Tx) error { // nobody else can write meanwhile
		for i := range 3 * maxBehind {
			c.journal(ctx, Entry{Account: "joe", Address: fmt.Sprint(i), Result: "failed"})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	c.Journal.Wait()
	if all, err := c.Journal.Entries(ctx, "joe"); err != nil || len(all) != maxBehind {
		t.Errorf("%d entries, %v", len(all), err)
	}
}

// TestJournal (ACC-3): logins that are alike are one entry an hour, what succeeded is not pushed
// out by what did not, and the entries go with the account.
func TestJournal(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		acc := &accounts.Store{DB: db}
		if err := acc.AddAccount(ctx, "joe", "correct horse"); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1e9, 0).UTC()
		j := &Journal{DB: db, Now: func() time.Time { at = at.Add(time.Second); return at }}
		good := Entry{Account: "joe", Address: "192.0.2.1", Protocol: "smtp", Mechanism: "PLAIN", Client: "laptop\r\nx", Result: "ok"}
		for range 3 {
			j.note(ctx, good)
		}
		for i := range maxEntries + 20 {
			j.note(ctx, Entry{Account: "joe", Address: fmt.Sprint("198.51.100.", i), Protocol: "smtp", Mechanism: "PLAIN", Result: "failed"})
		}
		c := &Checker{Journal: j}
		c.journal(ctx, Entry{Address: "192.0.2.1", Result: "failed"}) // nobody's
		j.note(ctx, Entry{Account: "gone", Result: "failed"})
		all, err := j.Entries(ctx, "joe")
		if err != nil || len(all) != maxEntries+1 {
			t.Fatalf("%d entries, %v", len(all), err)
		}
		oldest := all[len(all)-1]
		if oldest.Result != "ok" || oldest.Times != 3 || !oldest.Last.After(oldest.First) || all[0].Address != fmt.Sprint("198.51.100.", maxEntries+19) {
			t.Errorf("%+v, first %+v", oldest, all[0])
		}
		at = at.Add(time.Hour)
		j.note(ctx, good)
		if all, err = j.Entries(ctx, "joe"); err != nil || all[0].Times != 1 || all[0].Result != "ok" {
			t.Errorf("an hour later: %+v, %v", all[0], err)
		}
		if err := acc.RemoveAccount(ctx, "joe"); err != nil {
			t.Fatal(err)
		}
		if all, err = j.Entries(ctx, "joe"); err != nil || len(all) != 0 {
			t.Errorf("%d are left, %v", len(all), err)
		}
	})
}
