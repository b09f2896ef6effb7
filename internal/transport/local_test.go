package transport

import (
	"context"
	"errors"
	"io"
	"testing"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
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

// Only the recipients that are named are written, and with the caller's transaction.
func TestLocalCommit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		acc, boxes := &accounts.Store{DB: s}, &mailboxes.Store{DB: s}
		for _, err := range []error{
			acc.AddDomain(ctx, dns.MustParse("b.test")),
			acc.AddAccount(ctx, "bob", "long enough for bob"), acc.AddAddress(ctx, "bob@b.test", "bob"),
			acc.AddAccount(ctx, "eve", "long enough for eve"), acc.AddAddress(ctx, "eve@b.test", "eve"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		l := &Local{Accounts: acc, Mailboxes: boxes}
		j := job("bob@b.test", "eve@b.test")
		res := l.Deliver(ctx, j, delivery.Bytes("Subject: x\r\n\r\nhello\r\n"))
		count := func(account string) []mailbox.Message {
			list, err := boxes.List(ctx, account, mailbox.Inbox, 10)
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		refuse := errors.New("undone")
		for _, want := range []error{refuse, nil} {
			if n := len(count("bob")); n != 0 {
				t.Errorf("%d messages before the commit", n)
			}
			err := s.Write(ctx, func(tx *store.Tx) error {
				if err := res.Commit(tx, []int64{1}); err != nil {
					return err
				}
				return want
			})
			if !errors.Is(err, want) {
				t.Fatal(err)
			}
		}
		if len(count("bob")) != 1 || len(count("eve")) != 0 {
			t.Errorf("bob has %d, eve %d", len(count("bob")), len(count("eve")))
		}
		c, m, err := boxes.Open(ctx, count("bob")[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		r, _ := c.Open()
		got, _ := io.ReadAll(r)
		if string(got) != "Return-Path: <alice@sender.test>\r\nSubject: x\r\n\r\nhello\r\n" || m.Recipient != "bob@b.test" {
			t.Errorf("%+v\n%s", m, got)
		}
	})
}

func TestReturnPathCannotSmuggle(t *testing.T) {
	t.Parallel()
	if got := string(returnPath("a\r\nX: y@b.test")); got != "Return-Path: <aX: y@b.test>\r\n" {
		t.Errorf("%q", got)
	}
}
