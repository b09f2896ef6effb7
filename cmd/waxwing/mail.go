package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"waxwing/internal/accounts"
)

// runMail lists and prints delivered mail.
func runMail(ctx context.Context, e env, args []string) error {
	what, args, err := verb(args, "list", "show")
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "mail "+what)
	f.add(fs)
	var l mailList
	fs.StringVar(&l.box, "mailbox", "INBOX", "the `mailbox` to list")
	fs.IntVar(&l.limit, "limit", 100, "list at most `N` messages, the newest first; 1000 at most")
	fs.Int64Var(&l.before, "before", 0, "list what is older than the message with this `id`: the next page")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(rest) == 0 || what == "list" && len(rest) > 1 {
		return usagef("mail list ACCOUNT, mail show ID …")
	}
	if what == "list" {
		l.account, l.json = rest[0], f.json
		return withStore(ctx, e, f, func(o *opened) error { return l.print(ctx, e, o) })
	}
	ids := make([]int64, len(rest))
	for i, s := range rest {
		if ids[i], err = strconv.ParseInt(s, 10, 64); err != nil {
			return usagef("%q is no message id; \"waxwing mail list ACCOUNT\" shows them", s)
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
	ID        int64     `json:"id"`
	Account   string    `json:"account"`
	Mailbox   string    `json:"mailbox"`
	Sender    string    `json:"sender"`
	Recipient string    `json:"recipient"`
	Size      int64     `json:"size"` // octets
	Received  time.Time `json:"received"`
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
	before       int64
	limit        int
	json         bool
}

func (l mailList) print(ctx context.Context, e env, o *opened) error {
	if err := mustExist(ctx, o, l.account); err != nil {
		return err
	}
	all, err := o.mailboxes.Page(ctx, l.account, l.box, l.before, l.limit)
	if err != nil {
		return err
	}
	rows := [][]string{}
	objects := []mailRow{}
	for _, m := range all {
		objects = append(objects, mailRow(m))
		rows = append(rows, []string{strconv.FormatInt(m.ID, 10), moment(m.Received), m.Sender, m.Recipient, strconv.FormatInt(m.Size, 10)})
	}
	if l.json {
		return printJSON(e.stdout, objects)
	}
	return table(e.stdout, []string{"ID", "RECEIVED", "FROM", "TO", "OCTETS"}, rows)
}

func showMail(ctx context.Context, e env, o *opened, id int64) error {
	c, _, err := o.mailboxes.Open(ctx, id)
	if err != nil {
		return fmt.Errorf("message %d: %w; \"waxwing mail list ACCOUNT\" shows those there are", id, err)
	}
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(e.stdout, r)
	return err
}
