package queue

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"waxwing/dsn"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	mime "waxwing/message"
	"waxwing/smtp"
)

// refuser fails all mail, and keeps what notifications are carried as; each is
// put off once.
type refuser struct{ got []delivery.Content }

func (f *refuser) Deliver(_ context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	rr := delivery.RecipientResult{ID: job.Recipients[0].ID, Outcome: delivery.Failed, Word: "remote-reply", Enhanced: smtp.Enhanced{Class: 5, Subject: 6, Detail: 7}}
	if job.Purpose == delivery.DSN {
		f.got = append(f.got, c)
		rr.Outcome = delivery.Delivered
		if job.Recipients[0].Attempts == 0 {
			rr.Outcome = delivery.Deferred
		}
	}
	return delivery.Result{Recipients: []delivery.RecipientResult{rr}}
}

// QUE-12: a notification that is not US-ASCII is kept in two forms, as long as it
// waits; one that is, or that only a host with SMTPUTF8 could be given, in one.
func TestNotificationInTwoForms(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, sender, to, text string
		utf8                   bool
		ret                    delivery.Ret
		two                    bool
	}{
		{"ASCII", "alice@sender.test", "bob@rcpt.test", "Subject: x\r\n\r\nx\r\n", false, delivery.RetFull, false},
		{"SMTPUTF8, not needed", "alice@sender.test", "bob@rcpt.test", "Subject: x\r\n\r\nx\r\n", true, delivery.RetFull, false},
		{"recipient", "alice@sender.test", "jörg@rcpt.test", "Subject: x\r\n\r\nx\r\n", true, delivery.RetHeaders, true},
		{"header", "alice@sender.test", "bob@rcpt.test", "Subject: Grüße\r\n\r\nx\r\n", true, delivery.RetHeaders, true},
		{"whole message", "alice@sender.test", "bob@rcpt.test", "Subject: Grüße\r\n\r\nHällo\r\n", true, delivery.RetFull, true},
		{"sender's domain", "alice@bücher.test", "bob@rcpt.test", "Subject: x\r\n\r\nx\r\n", true, delivery.RetHeaders, true},
		{"sender", "älice@sender.test", "bob@rcpt.test", "Subject: x\r\n\r\nx\r\n", true, delivery.RetHeaders, false},
		{"8-bit body", "alice@sender.test", "bob@rcpt.test", "Subject: x\r\n\r\nH\xe4llo\r\n", false, delivery.RetFull, true},
		{"8-bit body, signed", "alice@sender.test", "bob@rcpt.test", "DKIM-Signature: x\r\n\r\nH\xe4llo\r\n", false, delivery.RetFull, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				w := newWorld(t, s, "one")
				f := &refuser{}
				w.Direct = f
				w.Sign = func(context.Context, []byte) ([]byte, error) { return []byte("DKIM-Signature: v=1\r\n"), nil }
				env := mail(t, tt.to)
				env.Sender, env.SMTPUTF8, env.Ret, env.EightBit = tt.sender, tt.utf8, tt.ret, !isASCII(tt.text)
				env.Accepted = w.clock.now()
				if err := w.Enqueue(t.Context(), env, delivery.Bytes(tt.text)); err != nil {
					t.Fatal(err)
				}
				w.step()
				forms := map[bool]int{true: 1}[tt.two]
				if n := w.rows("ascii_forms"); n != forms {
					t.Fatalf("%d second forms are kept, want %d", n, forms)
				}
				w.step() // put off
				w.clock.add(time.Hour)
				w.step()
				if len(f.got) != 2 || w.rows("ascii_forms") != 0 || w.rows("bodies") != 0 {
					t.Fatalf("carried %d times, then %d forms and %d bodies are left", len(f.got), w.rows("ascii_forms"), w.rows("bodies"))
				}
				c, two := f.got[1].(delivery.TwoForms)
				if two != tt.two {
					t.Fatalf("carried as %T", f.got[1])
				}
				if two {
					checkForms(t, tt.sender, tt.to, contentOf(t, c.Content), contentOf(t, c.ASCII))
				}
			})
		})
	}
}

func contentOf(t *testing.T, c delivery.Content) string {
	t.Helper()
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// checkForms holds the two forms of a notification against each other.
func checkForms(t *testing.T, sender, to, text, ascii string) {
	t.Helper()
	if !isASCII(ascii) || isASCII(text) {
		t.Errorf("the forms are\n%s\nand\n%s", text, ascii)
	}
	one, err := dsn.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	two, err := dsn.Parse([]byte(ascii))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*dsn.Report{one, two} {
		if r.Recipients[0].Address != to || r.Recipients[0].Action != dsn.Failed || !strings.Contains(r.Human, to) {
			t.Errorf("%+v", r.Recipients)
		}
	}
	if plain, _ := smtp.ASCIIAddress(sender); one.To != sender || two.To != plain {
		t.Errorf("to %s and %s", one.To, two.To)
	}
	id := func(s string) string {
		h, _, _ := mime.SplitHeader([]byte(s))
		if !h.Has("DKIM-Signature") {
			t.Error("a form is not signed")
		}
		return h.Get("Message-ID")
	}
	if id(text) != id(ascii) {
		t.Errorf("two messages: %s and %s", id(text), id(ascii))
	}
}
