package alert

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/outbox"
	"waxwing/internal/outbox/outboxtest"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// STS-13: an operator is told of a thing once, by whichever machine comes first, by mail
// and by the webhook; where there is nobody to tell, nothing happens.
func TestTell(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		out := &outboxtest.Queue{}
		box := &outbox.Box{Store: s, Enqueuer: out, Hostname: dns.MustParse("mx.sender.example"), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		r := New(box, nil)
		n := Notice{What: "exception a.example 2027-01-31", Event: "delivery.exception-ends", Subject: "It ends", Text: "why\nand when\n"}
		if err := r.Tell(ctx, n); err != nil || len(out.All()) != 0 {
			t.Fatalf("nobody to tell: %v, %d mails", err, len(out.All()))
		}
		r.Postmaster = func(context.Context) (string, error) { return "postmaster@sender.example", nil }
		r.To = "https://hooks.example/x"
		for range 3 {
			if err := r.Tell(ctx, n); err != nil {
				t.Fatal(err)
			}
		}
		n.What = "exception b.example 2027-01-31"
		if err := r.Tell(ctx, n); err != nil {
			t.Fatal(err)
		}
		mails := out.All() // the fake keeps one of those that are no report
		if len(mails) != 1 || !strings.Contains(mails[0].Data, "Subject: It ends") || !strings.Contains(mails[0].Data, "why\r\nand when") || !strings.Contains(mails[0].Data, "To: <postmaster@sender.example>") {
			t.Errorf("%d mails: %+v", len(mails), mails)
		}
		var hooks int
		var body []byte
		err := s.Read(ctx, func(tx *store.Tx) error {
			return tx.Row(`SELECT (SELECT count(*) FROM outbox_reports), body FROM outbox_reports ORDER BY id LIMIT 1`).Scan(&hooks, &body)
		})
		if err != nil || hooks != 2 || !strings.Contains(string(body), `"event":"delivery.exception-ends"`) || strings.Contains(string(body), "exception a.example") {
			t.Errorf("%d hooks, %s, %v", hooks, body, err)
		}
	})
}
