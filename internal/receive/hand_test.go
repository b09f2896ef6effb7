package receive

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/smtp"
)

// handIn hands a message of joe's in.
func handIn(t *testing.T, b *Submission, change func(*Handed)) error {
	t.Helper()
	h := Handed{Caller: Caller{Account: "joe", Name: "api", Remote: netip.MustParseAddrPort("192.0.2.7:4711")},
		Mail:  smtp.MailParams{From: smtp.Address{Local: "joe", Domain: "here.test"}, RequireTLS: true, HoldFor: time.Hour, Hold: "for;3600"},
		Rcpts: []smtp.RcptParams{{To: smtp.Address{Local: "x", Domain: "elsewhere.test"}, Notify: []string{"SUCCESS"}}, {To: smtp.Address{Local: "ann", Domain: "here.test"}}},
		Data:  strings.NewReader("From: joe@here.test\r\nBcc: ann@here.test\r\n\r\nhi\r\n")}
	if change != nil {
		change(&h)
	}
	return b.Hand(t.Context(), h)
}

// OPS-8: what a program hands in without SMTP goes through the same door: it is completed,
// signed and queued with the envelope that it asked for.
func TestHand(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	b := &Submission{Door: common(q), Signer: seal{}}
	if err := handIn(t, b, nil); err != nil {
		t.Fatal(err)
	}
	got := q.last(t)
	e := got.env
	if e.Account != "joe" || e.Sender != "joe@here.test" || e.Need != delivery.RequireTLS || e.Hold != "for;3600" || len(e.Recipients) != 2 ||
		e.Recipients[0].Notify != delivery.NotifySuccess || !e.Recipients[1].Local || e.Peer != "api (192.0.2.7)" {
		t.Errorf("envelope %+v", e)
	}
	for _, want := range []string{"Received: from api ([192.0.2.7])\r\n\tby mx.here.test\r\n\tid ", "\r\nDKIM-Signature: d=here.test;", "\r\nDate: ", "\r\n\r\nhi\r\n"} {
		if !strings.Contains(got.body, want) {
			t.Errorf("message lacks %q: %q", want, got.body)
		}
	}
	if strings.Contains(got.body, "Bcc") || strings.Contains(got.body, " with ") {
		t.Errorf("message: %q", got.body)
	}
	other := &outbox{}
	if err := handIn(t, b, func(h *Handed) { h.Queue = other }); err != nil || other.count() != 1 || q.count() != 1 {
		t.Errorf("into another queue: %v, %d there, %d here", err, other.count(), q.count())
	}
}

// OPS-8: nothing is sent where one recipient is refused, or the sender is not the
// account's or is outside of the domain that the caller is held to.
func TestHandRefuses(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	b := &Submission{Door: common(q)}
	other := func(h *Handed) { h.Caller.Domain = dns.MustParse("other.test") }
	for name, tt := range map[string]struct {
		change func(*Handed)
		want   string
	}{
		"nobody":         {func(h *Handed) { h.Caller.Account = "" }, "530 5.7.0"},
		"another sender": {func(h *Handed) { h.Mail.From.Local = "ann" }, "553 5.7.1"},
		"another From":   {func(h *Handed) { h.Data = strings.NewReader("From: ann@here.test\r\n\r\n") }, "550 5.7.1"},
		"another domain": {other, "553 5.7.1 the sender address is not one of other.test"},
		"another domain in From": {func(h *Handed) { other(h); h.Mail.Null = true },
			"550 5.7.1 the From or Sender field has an address outside of other.test"},
		"a recipient that is not there": {func(h *Handed) {
			h.Rcpts = append(h.Rcpts, smtp.RcptParams{To: smtp.Address{Local: "nobody", Domain: "here.test"}})
		}, "nothing was sent: 1 recipients were refused, first nobody@here.test: no such address here"},
	} {
		if err := handIn(t, b, tt.change); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	if err := handIn(t, b, func(h *Handed) { h.Caller.Domain = dns.MustParse("Here.test") }); err != nil {
		t.Errorf("in its domain: %v", err)
	}
	if q.count() != 1 {
		t.Errorf("%d messages were queued", q.count())
	}
	broken := common(q)
	broken.Accounts = people{broken: context.DeadlineExceeded}
	var refused RefusedRecipients
	if err := handIn(t, &Submission{Door: broken}, func(h *Handed) { h.Mail.Null = true }); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &refused) {
		t.Errorf("a broken store is blamed on recipients: %v", err)
	}
}
