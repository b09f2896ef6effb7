package queue

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/reason"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/transport"
)

// forwarding is a world with joe@here.test, and the alias list@here.test of joe and of members
// elsewhere.
func forwarding(t *testing.T, w *world, outside ...string) *mailboxes.Store {
	t.Helper()
	ctx := context.Background()
	acc := &accounts.Store{DB: w.Store, Now: w.Now}
	for _, err := range []error{
		acc.AddDomain(ctx, dns.MustParse("here.test")), acc.AddAccount(ctx, "joe", "correct horse"), acc.AddAddress(ctx, "joe@here.test", "joe"),
		acc.AddAlias(ctx, account.Alias{Address: "list@here.test", Members: append(outside, "joe@here.test")}),
		acc.AddAlias(ctx, account.Alias{Address: "away@here.test", Members: outside[:1]}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.Mailboxes, w.Local = &mailboxes.Store{DB: w.Store}, &transport.Local{Accounts: acc, Aliases: acc}
	w.IsLocal = func(ctx context.Context, d delivery.RecipientDomain) (bool, error) { return acc.IsHosted(ctx, d.Name) }
	return w.Mailboxes
}

// TestForwardOnce (SIV-1): what another attempt has done meanwhile is left out, and the rest is settled.
func TestForwardOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		boxes := forwarding(t, w, "ok@far.test")
		w.Local.(*transport.Local).Sieve = func(_ context.Context, _ *delivery.Job, c delivery.Copy, _ delivery.Content) (*delivery.Sifted, error) {
			return &delivery.Sifted{Copies: []delivery.Copy{c}, Memories: []delivery.Memory{{Recipient: c.Recipient, Account: "joe", Key: "k", Once: w.Now()}},
				Forwards: []delivery.Forward{{Recipient: c.Recipient, To: []string{"twice@far.test"}, Text: []byte(text), Once: "k"}, {Recipient: c.Recipient, To: []string{"other@far.test"}}}}, nil
		}
		w.Record = func(_ *store.Tx, _ *delivery.Job, res *delivery.Result) error {
			if len(res.Memories) > 0 {
				return &delivery.DoneError{Account: "joe", Key: "k"}
			}
			return nil
		}
		w.enqueue(mail(t, "joe@here.test"))
		for range 4 {
			w.step()
		}
		list, err := boxes.List(t.Context(), "joe", mailbox.Inbox, 10)
		if jobs := w.tr.seen(); err != nil || len(list) != 1 || len(jobs) != 1 || jobs[0].Recipients[0].Address != "other@far.test" {
			t.Errorf("%d messages in the mailbox, %+v went on, %v\n%s", len(list), jobs, err, w.log)
		}
	})
}

// TestForward (ACC-1, INB-8): members here have the message in their mailboxes, those elsewhere
// get it as it came, of a sender that leads back; what cannot be delivered comes back to who
// sent it; and a message that comes back to the alias ends there. Small and large.
func TestForward(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		boxes := forwarding(t, w, "ok@far.test", "never@far.test")
		w.tr.outcome = func(r delivery.Recipient) delivery.Outcome {
			if strings.HasPrefix(r.Address, "never") {
				return delivery.Failed
			}
			return delivery.Delivered
		}
		large := "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 2*largeChunk/18)
		for _, content := range []string{text, large} {
			before := len(w.tr.seen())
			env := mail(t, "list@here.test")
			env.Need = delivery.RequireTLS
			if err := w.Enqueue(ctx, env, delivery.Bytes(content)); err != nil {
				t.Fatal(err)
			}
			for range 6 {
				w.step()
			}
			jobs := w.tr.seen()[before:]
			if len(jobs) != 2 {
				t.Fatalf("%d jobs went out, want the message and the notification\n%s", len(jobs), w.log)
			}
			out, back := jobs[0], jobs[1]
			if !strings.HasPrefix(out.Sender, "SRS0=") || !strings.HasSuffix(out.Sender, "@here.test") || len(out.Recipients) != 2 || out.Need != delivery.RequireTLS || out.Account != "" {
				t.Errorf("passed on: %+v", out.Envelope)
			}
			if got := w.tr.bodies[before]; got != "Delivered-To: list@here.test\r\n"+content {
				t.Errorf("passed on: %.200q, %d octets", got, len(got))
			}
			if back.Sender != "" || back.Recipients[0].Address != "alice@sender.test" || back.Purpose != delivery.DSN || !strings.Contains(w.tr.bodies[before+1], "never@far.test") {
				t.Errorf("the notification: %+v", back.Envelope)
			}
			if it, err := w.Show(ctx, env.ID); err != nil || it.Recipients[0].State != spool.Delivered || it.Recipients[0].Word != reason.PassedOn {
				t.Errorf("%+v, %v", it, err)
			}
		}
		list, err := boxes.List(ctx, "joe", mailbox.Inbox, 10)
		if err != nil || len(list) != 2 || !bytes.Contains(read(t, boxes, list[1].ID), []byte("Delivered-To: list@here.test\r\n")) {
			t.Fatalf("joe has %d messages, %v", len(list), err)
		}

		env := mail(t, "list@here.test")
		if err := w.Enqueue(ctx, env, delivery.Bytes("delivered-to:\r\n LIST@here.test\r\n"+text)); err != nil {
			t.Fatal(err)
		}
		w.step()
		if it, err := w.Show(ctx, env.ID); err != nil || it.Recipients[0].Word != reason.MailLoop || it.Recipients[0].State != spool.Failed {
			t.Errorf("a loop: %+v, %v", it, err)
		}
	})
}

// TestForwardNotify (RFC 3461 §5.2.7): with one member, the notification of success is theirs to
// send who take it; with several, the sender hears that the alias was expanded.
func TestForwardNotify(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		forwarding(t, w, "ok@far.test", "ok2@far.test")
		w.tr.outcome = func(delivery.Recipient) delivery.Outcome { return delivery.Delivered }
		for to, expanded := range map[string]bool{"away@here.test": false, "list@here.test": true} {
			before := len(w.tr.seen())
			env := mail(t, to)
			env.Recipients[0].Notify, env.Recipients[0].ORcpt, env.EnvID = delivery.NotifySuccess|delivery.NotifyFailure, "rfc822;x@y.test", "id"
			w.enqueue(env)
			for range 4 {
				w.step()
			}
			told, notify := false, delivery.Notify(0)
			for i, j := range w.tr.seen()[before:] {
				if j.Purpose == delivery.DSN {
					told = told || strings.Contains(w.tr.bodies[before+i], "Action: expanded")
				} else if j.EnvID == "id" {
					notify = j.Recipients[0].Notify
				}
			}
			if told != expanded || (notify&delivery.NotifySuccess == 0) != expanded || notify&delivery.NotifyFailure == 0 {
				t.Errorf("%s: told %v, notify %v", to, told, notify)
			}
		}
	})
}
