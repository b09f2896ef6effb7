package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// SIV-1: what becomes of recipients by what their accounts' scripts make of their copies.
func TestSieve(t *testing.T) {
	t.Parallel()
	sifted := map[string]*delivery.Sifted{
		"filed":     {Copies: []delivery.Copy{{Recipient: 1, Account: "filed", Mailbox: "Lists"}}, Text: "filed"},
		"discarded": {},
		"redirects": {Forwards: []delivery.Forward{{Recipient: 3, Sender: "s", To: []string{"x@y.test"}}}},
		"answers":   {Copies: []delivery.Copy{{Recipient: 4}}, Forwards: []delivery.Forward{{Recipient: 4, To: []string{"a@b.test"}, Text: []byte("own")}}, Memories: []delivery.Memory{{Recipient: 4, Account: "answers", Key: "k"}}},
		"refuses":   {Refused: "go away", Copies: []delivery.Copy{{Recipient: 5}}},
		"plain":     nil,
	}
	l := &Local{Accounts: users{"filed": nil, "discarded": nil, "redirects": nil, "answers": nil, "refuses": nil, "plain": nil, "broken": nil},
		Sieve: func(_ context.Context, _ *delivery.Job, c delivery.Copy, _ delivery.Content) (*delivery.Sifted, error) {
			if c.Account == "broken" {
				return nil, errors.New("disk")
			}
			return sifted[c.Account], nil
		}}
	res := l.Deliver(context.Background(), job("filed@b.test", "discarded@b.test", "redirects@b.test", "answers@b.test", "refuses@b.test", "plain@b.test", "broken@b.test", "redirects@b.test", "answers@b.test"), delivery.Bytes("x"))
	var got []string
	for _, rr := range res.Recipients {
		got = append(got, fmt.Sprintf("%s %s", rr.Outcome, rr.Word))
	}
	want := []string{"delivered mailbox", "delivered script-discarded", "delivered passed-on", "delivered mailbox", "failed script-refused", "delivered mailbox", "deferred account-lookup",
		"delivered passed-on", "delivered mailbox"}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
	// An account that has the message by two addresses passes it on once and answers it once.
	if len(res.Copies) != 4 || len(res.Forwards) != 2 {
		t.Errorf("%d copies, %+v", len(res.Copies), res.Forwards)
	}
	if res.Recipients[4].Word != reason.ScriptRefused || res.Recipients[4].Text != "go away" {
		t.Errorf("%+v", res.Recipients[4])
	}
}

// SIV-1: a member of an alias refuses a message for nobody else.
func TestSieveBehindAlias(t *testing.T) {
	t.Parallel()
	l := &Local{Sieve: func(_ context.Context, _ *delivery.Job, c delivery.Copy, _ delivery.Content) (*delivery.Sifted, error) {
		if c.Account == "refuses" {
			return &delivery.Sifted{Refused: "no"}, nil
		}
		return nil, nil
	}}
	ok := passedOn("")
	for _, tt := range []struct {
		members []string
		others  bool
		want    string
	}{
		{[]string{"refuses"}, false, "failed 0"},
		{[]string{"refuses"}, true, "delivered 1"},
		{[]string{"refuses", "plain"}, false, "delivered 2"},
		{[]string{"plain"}, false, "delivered 1"},
	} {
		var res delivery.Result
		var copies []delivery.Copy
		for _, m := range tt.members {
			copies = append(copies, delivery.Copy{Account: m})
		}
		rr := sifter{l, &delivery.Job{}, delivery.Bytes("x"), &res}.members(context.Background(), ok, copies, tt.others)
		if got := fmt.Sprintf("%s %d", rr.Outcome, len(res.Copies)); got != tt.want {
			t.Errorf("%v, %v: %s, want %s", tt.members, tt.others, got, tt.want)
		}
	}
}
