package queue

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/transport"
)

// Mail for a mailbox here, small and large, arrives exactly once, though the
// machine that was at it loses its lease; a bounce finds its way home too.
func TestLocalDelivery(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		acc, boxes := &accounts.Store{DB: w.Store}, &mailboxes.Store{DB: w.Store}
		for _, err := range []error{
			acc.AddDomain(ctx, dns.MustParse("sender.test")),
			acc.AddAccount(ctx, "alice", "long enough for alice"), acc.AddAddress(ctx, "alice@sender.test", "alice"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		w.Mailboxes = boxes
		w.IsLocal = func(ctx context.Context, d delivery.RecipientDomain) (bool, error) { return acc.IsHosted(ctx, d.Name) }
		large := []byte("Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 2*largeChunk/18))
		if err := w.Enqueue(ctx, mail(t, "alice@sender.test"), delivery.Bytes(large)); err != nil {
			t.Fatal(err)
		}
		lost := w.crash() // it was queued: so far nothing could say whose it is
		w.Local = &transport.Local{Accounts: acc}
		w.put("alice@sender.test", "nobody@sender.test")
		w.clock.add(w.Lease)
		w.step()
		w.perform(lost[0]) // the lease is lost: no second copy
		w.step()           // the bounce about nobody
		list, err := boxes.List(ctx, "alice", mailbox.Inbox, 10)
		if err != nil || len(list) != 3 {
			t.Fatalf("%d messages, %v", len(list), err)
		}
		kinds := map[string]int{}
		for _, m := range list {
			body := read(t, boxes, m.ID)
			switch {
			case bytes.HasSuffix(body, large):
				kinds["large"]++
			case bytes.HasSuffix(body, []byte(text)) && !bytes.Contains(body, []byte("multipart/report")):
				kinds["small"]++
			case bytes.Contains(body, []byte("multipart/report")) && bytes.Contains(body, []byte("nobody@sender.test")) && bytes.Contains(body, []byte("5.1.1")):
				kinds["bounce"]++
			}
		}
		if kinds["large"] != 1 || kinds["small"] != 1 || kinds["bounce"] != 1 {
			t.Errorf("%v", kinds)
		}
	})
}

func read(t *testing.T, boxes *mailboxes.Store, id int64) []byte {
	t.Helper()
	c, _, err := boxes.Open(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
