package queue

import (
	"context"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailboxes"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/transport"
)

// A message whose body the database has lost comes to an end like any other: an operator
// can drop it, and it expires, on its way to another host and to a mailbox here.
func TestBodyGone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		acc := &accounts.Store{DB: w.Store}
		for _, err := range []error{
			acc.AddDomain(ctx, dns.MustParse("here.test")),
			acc.AddAccount(ctx, "bob", "long enough for bob"), acc.AddAddress(ctx, "bob@here.test", "bob"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		w.put("ok.drop@one.test")
		w.put("ok.expires@two.test")
		w.put("bob@here.test")
		w.Mailboxes, w.Local = &mailboxes.Store{DB: w.Store}, &transport.Local{Accounts: acc}
		w.IsLocal = func(ctx context.Context, d delivery.RecipientDomain) (bool, error) { return acc.IsHosted(ctx, d.Name) }
		err := w.Store.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM bodies`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if c, err := w.Drop(ctx, spool.Filter{Address: "ok.drop@one.test"}); err != nil || c.Done != 1 {
			t.Errorf("drop: %+v, %v", c, err)
		}
		for range 2 {
			w.step()
			w.clock.add(6 * 24 * time.Hour)
		}
		w.step()
		for _, a := range []string{"ok.drop@one.test", "ok.expires@two.test", "bob@here.test"} {
			if got := w.item(a).State; got != spool.Failed {
				t.Errorf("%s is %v, want failed", a, got)
			}
		}
		if !strings.Contains(w.log.String(), "lost the body of a message") {
			t.Error("the log does not tell")
		}
	})
}
