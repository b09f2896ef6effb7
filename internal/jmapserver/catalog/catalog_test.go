package catalog_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// JMP-1: a client that goes away while its account's mail is read, at first or anew, leaves nothing by which others see only
// some of it.
func TestLookGivenUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		boxes := &mailboxes.Store{DB: db}
		if err := (&accounts.Store{DB: db}).AddAccount(t.Context(), "joe", "correct horse"); err != nil {
			t.Fatal(err)
		}
		there := 0
		come := func(n int) {
			t.Helper()
			var all []mailboxes.Appended
			for range n {
				all = append(all, mailboxes.Appended{Content: delivery.Bytes(fmt.Sprintf("Subject: %d\r\n\r\n", there)), MessageID: fmt.Sprintf("%d@example.org", there)})
				there++
			}
			if _, _, err := boxes.Append(t.Context(), "joe", "INBOX", all); err != nil {
				t.Fatal(err)
			}
		}
		seen := func(ctx context.Context, c *catalog.Store) (n int, err error) {
			err = c.Look(ctx, "joe", func(_ *store.Tx, v *catalog.View) error {
				n = len(v.Sorted())
				return nil
			})
			return n, err
		}
		given := 0 // up
		for _, begin := range []func(c *catalog.Store){
			func(*catalog.Store) {}, // all is read at first
			func(c *catalog.Store) { // what has come since
				if _, err := seen(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				come(300)
			},
		} {
			come(1000)
			for wait := 100 * time.Microsecond; ; wait += wait / 4 {
				c := &catalog.Store{DB: db, Boxes: boxes}
				begin(c)
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				_, gone := seen(ctx, c)
				cancel()
				if n, err := seen(t.Context(), c); err != nil || n != there {
					t.Fatalf("after a look that was given up (%v): %d of %d mails, %v", gone, n, there, err)
				}
				if gone == nil {
					break
				}
				given++
			}
		}
		if given == 0 {
			t.Error("no look was given up")
		}
	})
}
