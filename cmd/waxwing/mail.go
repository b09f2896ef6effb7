package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/internal/accounts"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/mailboxes"
)

// mailNoun lists and prints delivered mail.
func (p *program) mailNoun() *cobra.Command {
	var l mailList
	return p.noun("mail", "read delivered mail",
		verb{use: "list ACCOUNT", short: "what lies in a mailbox, newest first", json: true, example: "mail list joe\nmail list joe --limit 10", flags: l.flags,
			run: list(p, p.onStore, l.rows, cli.List[mailboxes.Row]{Columns: columns("ID|RECEIVED|FROM|TO|OCTETS", "OCTETS", "TO"), Cells: func(m *mailboxes.Row) []any {
				return []any{m.ID, m.Received, m.Sender, m.Recipient, m.Size}
			}})},
		verb{use: "show ID …", short: "messages as they lie there", run: p.showMail})
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
	box    string
	before delivery.ID
	limit  int
}

func (l *mailList) flags(fs *pflag.FlagSet) {
	fs.StringVar(&l.box, "mailbox", "INBOX", "the `mailbox` to list")
	fs.IntVar(&l.limit, "limit", 100, "list at most `N` messages, the newest first; 1000 at most")
	fs.TextVar(&l.before, "before", delivery.ID(0), "list what is older than the message with this `id`: the next page")
}

func (l *mailList) rows(ctx context.Context, o *opened, args []string) ([]mailboxes.Row, error) {
	if err := mustExist(ctx, o, args[0]); err != nil {
		return nil, err
	}
	all, err := o.mailboxes.Page(ctx, args[0], l.box, int64(l.before), l.limit)
	var rows []mailboxes.Row
	for _, m := range all {
		rows = append(rows, mailboxes.RowOf(m))
	}
	return rows, err
}

func (p *program) showMail(ctx context.Context, args []string) error {
	ids, err := parseIDs(args, "waxwing mail list ACCOUNT")
	if err != nil {
		return err
	}
	return p.withStore(ctx, func(o *opened) error {
		for _, id := range ids {
			if err := copyMail(ctx, p.stdout, o, id); err != nil {
				return err
			}
		}
		return nil
	})
}

func copyMail(ctx context.Context, w io.Writer, o *opened, id delivery.ID) error {
	c, _, err := o.mailboxes.Open(ctx, int64(id))
	if err != nil {
		return fmt.Errorf("%w; \"waxwing mail list ACCOUNT\" shows those there are", err)
	}
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}
