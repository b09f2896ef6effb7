package transport

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/delivery"
	"waxwing/internal/junk"
	"waxwing/internal/reason"
)

// aliased has the alias of each local part, and srs=x, an address that leads back to x@far.test.
type aliased map[string]account.Expansion

func (a aliased) Resolve(_ context.Context, local string, d dns.Name) (account.Target, error) {
	if to, is := strings.CutPrefix(local, "srs="); is {
		return account.Target{Return: to + "@far.test"}, nil
	}
	local, _, _ = strings.Cut(local, "+")
	return account.Target{Alias: local + "@" + d.ASCII()}, nil
}

func (a aliased) Expand(_ context.Context, alias string, _ account.Poster) (account.Expansion, error) {
	local, _, _ := strings.Cut(alias, "@")
	return a[local], nil
}

func (aliased) Rewrite(context.Context, string, dns.Name) (string, error) { return "srs@b.test", nil }

// ACC-1: by however many spellings of its address a message reaches an alias, everybody gets it
// once: with 1,000 of them one message would become 1,000,000.
func TestAliasOnce(t *testing.T) {
	t.Parallel()
	a := aliased{"list": {Inside: []account.Target{{Account: "joe"}}, Outside: []string{"o@far.test", "p@far.test"}}, "other": {Outside: []string{"q@far.test"}}}
	l := &Local{Accounts: a, Aliases: a}
	res := l.Deliver(context.Background(), job("list@b.test", "list+1@b.test", "other@b.test", "list+2@b.test", "srs=X@b.test", "srs=x@b.test"), delivery.Bytes("Subject: x\r\n\r\n"))
	var to []string
	for _, f := range res.Forwards {
		to = append(to, strings.Join(f.To, " "))
	}
	if want := []string{"o@far.test p@far.test", "q@far.test", "X@far.test"}; !reflect.DeepEqual(to, want) || len(res.Copies) != 1 {
		t.Errorf("%q and %d copies, want %q", to, len(res.Copies), want)
	}
	for i, rr := range res.Recipients {
		if rr.ID != int64(i+1) || rr.Outcome != delivery.Delivered || rr.Word != reason.PassedOn {
			t.Errorf("%+v", rr)
		}
	}
}

// ACC-3: mail to an alias all of whose members refuse it is not lost; and those whose mailboxes
// another program keeps share one message, by the addresses that are listed (INB-14).
func TestAliasMembers(t *testing.T) {
	t.Parallel()
	off := account.Target{Account: "off", Refused: true}
	a := aliased{"gone": {Inside: []account.Target{off}}, "some": {Inside: []account.Target{off, {Account: "x", Address: "x+list@b.test", Transport: "dovecot"}, {Account: "y", Address: "any@b.test", Transport: "dovecot"}}}}
	res := (&Local{Accounts: a, Aliases: a}).Deliver(context.Background(), job("gone@b.test", "some@b.test"), delivery.Bytes("Subject: x\r\n\r\n"))
	if rr := res.Recipients[0]; rr.Outcome != delivery.Failed || rr.Word != reason.AliasBroken {
		t.Errorf("%+v", rr)
	}
	if f := res.Forwards; len(f) != 1 || strings.Join(f[0].To, " ") != "x+list@b.test any@b.test" || f[0].Sender != "alice@sender.test" || f[0].Recipient != 2 {
		t.Errorf("%+v", f)
	}
}

// JNK-1: each member of an alias has the message where it was decided for it, with its own evidence.
func TestAliasJunk(t *testing.T) {
	t.Parallel()
	a := aliased{"team": {Inside: []account.Target{{Account: "joe"}, {Account: "ann"}, {Account: "bob", Mailbox: "Lists"}}}}
	kept, err := junk.Members{"": {Limit: 10}, "joe": {Action: junk.Junk, Sum: 12, Limit: 10}}.Kept()
	if err != nil {
		t.Fatal(err)
	}
	j := job("team@b.test")
	j.Recipients[0].Evidence = kept
	deliver := func() (got string) {
		for _, c := range (&Local{Accounts: a, Aliases: a}).Deliver(context.Background(), j, delivery.Bytes("Subject: x\r\n\r\n")).Copies {
			got += c.Account + " " + c.Mailbox + " " + c.Evidence + "\n"
		}
		return got
	}
	const joe, others = `{"action":"junk","sum":12,"limit":10}`, `{"action":"inbox","sum":0,"limit":10}`
	if got, want := deliver(), "joe Junk "+joe+"\nann  "+others+"\nbob Lists "+others+"\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	j.Recipients[0].Junk = true // whatever was weighed: DMARC
	if got, want := deliver(), "joe Junk "+joe+"\nann Junk "+others+"\nbob Junk "+others+"\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
