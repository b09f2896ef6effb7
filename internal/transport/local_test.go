package transport

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/smtp"
)

// users is a list of accounts by local part.
type users map[string]error

func (u users) Resolve(_ context.Context, local string, _ dns.Name) (account.Target, error) {
	err, ok := u[local]
	if !ok {
		err = accounts.ErrNoSuchAddress
	}
	return account.Target{Account: local, Mailbox: account.Inbox}, err
}

func TestLocalOutcomes(t *testing.T) {
	t.Parallel()
	l := &Local{Accounts: users{"bob": nil, "moved": accounts.ErrNotHosted, "broken": errors.New("disk")}}
	j := job("bob@b.test", `"bob"@b.test`, "gone@b.test", "moved@b.test", "broken@b.test", "nonsense")
	res := l.Deliver(context.Background(), j, delivery.Bytes("x"))
	want := []struct {
		o delivery.Outcome
		e smtp.Enhanced
	}{
		{delivery.Delivered, smtp.Enhanced{Class: 2}},
		{delivery.Delivered, smtp.Enhanced{Class: 2}},
		{delivery.Failed, smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}},
		{delivery.Failed, smtp.Enhanced{Class: 5, Subject: 1, Detail: 2}},
		{delivery.Deferred, smtp.Enhanced{Class: 4, Subject: 3}},
		{delivery.Failed, smtp.Enhanced{Class: 5, Subject: 1, Detail: 3}},
	}
	for i, w := range want {
		if rr := res.Recipients[i]; rr.ID != int64(i+1) || rr.Outcome != w.o || rr.Enhanced != w.e {
			t.Errorf("%s: %+v", j.Recipients[i].Address, rr)
		}
	}
}

// RPT-21: a recipient may have a mailbox of its own, unless it is junk.
func TestLocalMailbox(t *testing.T) {
	t.Parallel()
	l := &Local{Accounts: users{"bob": nil, "eve": nil}}
	j := job("bob@b.test", "eve@b.test")
	j.Recipients[0].Mailbox, j.Recipients[1].Mailbox, j.Recipients[1].Junk = "Reports", "Reports", true
	if got := l.Deliver(context.Background(), j, delivery.Bytes("x")).Copies; len(got) != 2 || got[0].Mailbox != "Reports" || got[1].Mailbox != "Junk" {
		t.Errorf("%+v", got)
	}
}

// What mailboxes get are values: one for each recipient that was found, and none for others.
func TestLocalCopies(t *testing.T) {
	t.Parallel()
	l := &Local{Accounts: users{"bob": nil, "eve": nil, "broken": errors.New("disk")}}
	res := l.Deliver(context.Background(), job("bob@b.test", "gone@b.test", "eve@b.test", "broken@b.test"), delivery.Bytes("x"))
	want := []delivery.Copy{
		{Recipient: 1, Address: "bob@b.test", Account: "bob", Mailbox: account.Inbox, Create: true},
		{Recipient: 3, Address: "eve@b.test", Account: "eve", Mailbox: account.Inbox, Create: true},
	}
	if !reflect.DeepEqual(res.Copies, want) {
		t.Errorf("%+v, want %+v", res.Copies, want)
	}
}
