package tlsreport

import (
	"context"
	"strings"
	"testing"

	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// STS-13: an operator is told of a thing once, by whichever machine comes first, by mail
// and by the webhook; where there is nobody to tell, nothing happens.
func TestTell(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		r := newRig(t, s)
		n := Notice{What: "exception a.example 2027-01-31", Event: "delivery.exception-ends", Subject: "It ends", Text: "why\nand when\n"}
		if err := r.Tell(ctx, n); err != nil || len(r.out.all()) != 0 {
			t.Fatalf("nobody to tell: %v, %d mails", err, len(r.out.all()))
		}
		r.Postmaster = func(context.Context) (string, error) { return "postmaster@sender.example", nil }
		r.Webhook = "https://hooks.example/x"
		for range 3 {
			if err := r.Tell(ctx, n); err != nil {
				t.Fatal(err)
			}
		}
		n.What = "exception b.example 2027-01-31"
		if err := r.Tell(ctx, n); err != nil {
			t.Fatal(err)
		}
		mails := r.out.all() // the fake keeps one of those that are no report
		if len(mails) != 1 || !strings.Contains(mails[0].data, "Subject: It ends") || !strings.Contains(mails[0].data, "why\r\nand when") || !strings.Contains(mails[0].data, "To: <postmaster@sender.example>") {
			t.Errorf("%d mails: %+v", len(mails), mails)
		}
		var hooks int
		var body string
		err := s.Read(ctx, func(tx *store.Tx) error {
			return tx.Row(`SELECT count(*), min(body) FROM tls_hooks`).Scan(&hooks, &body)
		})
		if err != nil || hooks != 2 || !strings.Contains(body, `"event":"delivery.exception-ends"`) || strings.Contains(body, "exception a.example") {
			t.Errorf("%d hooks, %s, %v", hooks, body, err)
		}
	})
}
