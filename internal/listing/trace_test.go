package listing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/queue"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// TestTracedByMessageID (OPS-5): a message is found by its Message-ID in the queue, in the
// history and, once that is over, in the mailboxes; of many the newest are told of.
func TestTracedByMessageID(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		q := &queue.Queue{Store: db, Hostname: "mx.a.test"}
		send := func(head string, body int) int64 {
			t.Helper()
			env := &delivery.Envelope{Sender: "a@a.test", Recipients: []delivery.Recipient{{Address: "b@b.test", Domain: delivery.RecipientDomain{Name: dns.MustParse("b.test")}}}}
			if err := q.Enqueue(t.Context(), env, delivery.Bytes(head+"\r\n\r\n"+strings.Repeat("x\r\n", body))); err != nil {
				t.Fatal(err)
			}
			return env.ID
		}
		traced := func(arg string) ([]int64, bool) {
			t.Helper()
			ids, more, err := Traced(t.Context(), db, arg)
			if err != nil {
				t.Fatalf("%s: %v", arg, err)
			}
			return ids, more
		}
		small := send("Subject: x\r\nMessage-ID: <one@a.test>", 1)
		large := send("message-id:\r\n <two@a.test>", queue.MaxInline)
		for arg, want := range map[string]int64{"one@a.test": small, "<one@a.test>": small, " <two@a.test> ": large, delivery.ID(small).String(): small} {
			if ids, more := traced(arg); !slices.Equal(ids, []int64{want}) || more {
				t.Errorf("%q: %d", arg, ids)
			}
		}
		// A copy is found when the history is over; it tells of nothing else.
		if err := (&accounts.Store{DB: db}).AddAccount(t.Context(), "joe", "correct horse"); err != nil {
			t.Fatal(err)
		}
		if err := db.Write(t.Context(), func(tx *store.Tx) error {
			if err := spool.DeleteMessage(tx, small); err != nil {
				return err
			}
			d := mailbox.Delivery{Body: store.NewID(), Data: []byte("x"), Size: 1, Sender: "a@b.test", Received: time.Unix(1e9, 0), MessageID: "gone@a.test"}
			small = d.Body
			return (&mailboxes.Store{DB: db}).Deliver(tx, d, []delivery.Copy{{Recipient: 1, Address: "joe@a.test", Account: "joe", Mailbox: "INBOX"}})
		}); err != nil {
			t.Fatal(err)
		}
		if ids, _ := traced("<gone@a.test>"); !slices.Equal(ids, []int64{small}) {
			t.Errorf("a copy: %d", ids)
		}
		life, err := TravelOf(t.Context(), db, small, func(context.Context, time.Time, string) (string, error) { return "", nil })
		if err != nil || !life.HistoryOver || len(life.Copies) != 1 || life.Copies[0].Account != "joe" {
			t.Errorf("%+v, %v", life, err)
		}
		for range maxTraced + 5 {
			send("Message-ID: <many@a.test>", 1)
		}
		if ids, more := traced("<many@a.test>"); len(ids) != maxTraced || !more || !slices.IsSortedFunc(ids, func(a, b int64) int { return int(b - a) }) {
			t.Errorf("of many: %d, %v", ids, more)
		}
		if ids, more := traced("b@b.test"); len(ids) != maxTraced || !more {
			t.Errorf("of an address: %d, %v", ids, more)
		}
		for _, arg := range []string{"<none@a.test>", "none@a.test", "<>", "!"} {
			if ids, _, err := Traced(t.Context(), db, arg); err == nil {
				t.Errorf("%s: %s", arg, fmt.Sprint(ids))
			}
		}
	})
}
