package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
)

func mailActions() []action {
	return []action{
		{"list", "ACCOUNT", "what lies in a mailbox, newest first"},
		{"show", "ID …", "messages as they lie there"},
	}
}

// runMail lists and prints delivered mail.
func runMail(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "mail", args)
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "mail", what)
	f.addJSON(fs, what, "list")
	var l mailList
	if what == "list" {
		fs.StringVar(&l.box, "mailbox", "INBOX", "the `mailbox` to list")
		fs.IntVar(&l.limit, "limit", 100, "list at most `N` messages, the newest first; 1000 at most")
		fs.TextVar(&l.before, "before", delivery.ID(0), "list what is older than the message with this `id`: the next page")
	}
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if what == "show" && len(rest) == 0 {
		return usagef("show needs ids; \"waxwing mail list ACCOUNT\" shows them")
	}
	if what == "list" {
		if err := wants(what, rest, "account"); err != nil {
			return err
		}
		l.account, l.json = rest[0], f.json
		return withStore(ctx, e, f, func(o *opened) error { return l.print(ctx, e, o) })
	}
	ids := make([]delivery.ID, len(rest))
	for i, s := range rest {
		if ids[i], err = parseID(s, "waxwing mail list ACCOUNT"); err != nil {
			return err
		}
	}
	return withStore(ctx, e, f, func(o *opened) error {
		for _, id := range ids {
			if err := showMail(ctx, e, o, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// mailRow is one delivered message as -json prints it.
type mailRow struct {
	ID        delivery.ID `json:"id"`
	Account   string      `json:"account"`
	Mailbox   string      `json:"mailbox"`
	Sender    string      `json:"sender"`
	Recipient string      `json:"recipient"`
	Size      int64       `json:"size"` // octets
	Received  time.Time   `json:"received"`
}

// mustExist keeps a mistyped name from looking like an empty mailbox.
func mustExist(ctx context.Context, o *opened, name string) error {
	all, err := o.accounts.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Name == name {
			return nil
		}
	}
	return fmt.Errorf("account %s: %w; \"waxwing account list\" shows them", name, accounts.ErrNoSuchAccount)
}

// mailList is one call of "mail list".
type mailList struct {
	account, box string
	before       delivery.ID
	limit        int
	json         bool
}

func (l mailList) print(ctx context.Context, e env, o *opened) error {
	if err := mustExist(ctx, o, l.account); err != nil {
		return err
	}
	all, err := o.mailboxes.Page(ctx, l.account, l.box, int64(l.before), l.limit)
	if err != nil {
		return err
	}
	rows := [][]string{}
	objects := []mailRow{}
	for _, m := range all {
		id := delivery.ID(m.ID)
		objects = append(objects, mailRow{id, m.Account, m.Mailbox, m.Sender, m.Recipient, m.Size, m.Received})
		rows = append(rows, []string{id.String(), moment(m.Received), m.Sender, m.Recipient, strconv.FormatInt(m.Size, 10)})
	}
	if l.json {
		return printJSON(e.stdout, objects)
	}
	return table(e, []string{"ID", "RECEIVED", "FROM", "TO", "OCTETS"}, rows, "OCTETS", "TO")
}

func showMail(ctx context.Context, e env, o *opened, id delivery.ID) error {
	c, _, err := o.mailboxes.Open(ctx, int64(id))
	if err != nil {
		return fmt.Errorf("%w; \"waxwing mail list ACCOUNT\" shows those there are", err)
	}
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(e.stdout, r)
	return err
}
