package delivery

import (
	"io"
	"reflect"
	"testing"

	"waxwing/internal/reason"
	"waxwing/smtp"
)

func text(t *testing.T, c Content) string {
	t.Helper()
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != c.Size() {
		t.Fatalf("%d octets of %d, %v", len(b), c.Size(), err)
	}
	return string(b)
}

// SIV-3: what goes on is the message as it came, with another header, or a message of our own.
func TestForwardContent(t *testing.T) {
	t.Parallel()
	original := Bytes("A: b\r\n\r\nbody")
	for want, f := range map[string]Forward{
		"A: b\r\n\r\nbody":                      {},
		"Delivered-To: x@y\r\nA: b\r\n\r\nbody": {DeliveredTo: "x@y"},
		"Delivered-To: x@y\r\nC: d\r\n\r\nbody": {DeliveredTo: "x@y", Header: []byte("C: d\r\n\r\n"), Replaced: 8},
		"own":                                   {DeliveredTo: "x@y", Text: []byte("own")},
		"C\r\n":                                 {Header: []byte("C\r\n"), Replaced: 99},
	} {
		if got := text(t, f.Content(original)); got != want {
			t.Errorf("%+v: %q, want %q", f, got, want)
		}
	}
}

// SIV-3: the envelope of what goes on.
func TestForwardEnvelope(t *testing.T) {
	t.Parallel()
	of := Envelope{ID: 35, Sender: "a@b.test", Need: RequireTLS, EightBit: true, SMTPUTF8: true, EnvID: "e", Ret: RetFull, Account: "ann"}
	on := (&Forward{Sender: "s@c.test", To: []string{"x@y.test", "nonsense"}, Notify: NotifyFailure, ORcpt: "rfc822;o"}).Envelope(&of)
	if on.Sender != "s@c.test" || on.Need != RequireTLS || !on.EightBit || !on.SMTPUTF8 || on.EnvID != "e" || on.Ret != RetFull || on.Account != "" || on.Purpose != Mail ||
		len(on.Recipients) != 1 || on.Recipients[0].Address != "x@y.test" || on.Recipients[0].Notify != NotifyFailure || on.Recipients[0].ORcpt != "rfc822;o" {
		t.Errorf("%+v", on)
	}
	own := (&Forward{To: []string{"x@y.test"}, Text: []byte("a: b\r\n\r\n")}).Envelope(&of)
	if own.Sender != "" || own.Need != FollowPolicy || own.EightBit || own.SMTPUTF8 || own.EnvID != "" || own.Ret != RetDefault {
		t.Errorf("%+v", own)
	}
	if utf8 := (&Forward{To: []string{"x@y.test"}, Text: []byte("To: ä@y.test\r\n\r\n")}).Envelope(&of); !utf8.EightBit || !utf8.SMTPUTF8 {
		t.Errorf("%+v", utf8)
	}
	of.Purpose, of.Ref = DSN, "7"
	if dsn := (&Forward{To: []string{"x@y.test"}}).Envelope(&of); dsn.Purpose != DSN || dsn.Ref != "7" {
		t.Errorf("%+v", dsn)
	}
}

// SIV-1: a message is refused at SMTP where scripts refuse it for all its recipients, in US-ASCII.
func TestRefusedByScript(t *testing.T) {
	t.Parallel()
	no := func(text string) RecipientResult {
		return RecipientResult{Outcome: Failed, Word: reason.ScriptRefused, Enhanced: smtp.Enhanced{Class: 5, Subject: 7, Detail: 1}, Text: text}
	}
	for _, tt := range []struct {
		all  []RecipientResult
		want string
	}{
		{nil, ""},
		{[]RecipientResult{no("go away")}, "550 5.7.1 go away"},
		{[]RecipientResult{no("go away"), no("no")}, "550 5.7.1 go away"},
		{[]RecipientResult{no("geh weg, Übeltäter")}, "550 5.7.1 the recipient refuses the message"},
		{[]RecipientResult{no("go away"), {Outcome: Delivered}}, ""},
		{[]RecipientResult{{Outcome: Failed, Word: reason.NoSuchUser}, no("go away")}, ""},
		{[]RecipientResult{{Outcome: Deferred, Word: reason.ScriptRefused}}, ""},
	} {
		got := ""
		if r := (&Result{Recipients: tt.all}).RefusedByScript(); r != nil {
			got = r.String()
		}
		if got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.all, got, tt.want)
		}
	}
}

// SIV-1: only what is delivered is remembered.
func TestSettled(t *testing.T) {
	t.Parallel()
	a, b := Memory{Recipient: 1, Key: "a"}, Memory{Recipient: 2, Key: "b"}
	r := Result{Memories: []Memory{a, b, {Recipient: 3}}, Recipients: []RecipientResult{{ID: 1, Outcome: Delivered}, {ID: 2, Outcome: Deferred}}}
	if got := r.Settled(); !reflect.DeepEqual(got, []Memory{a}) {
		t.Errorf("%+v", got)
	}
}
