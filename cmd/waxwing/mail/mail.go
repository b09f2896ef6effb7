package mail

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/listing"
	"waxwing/internal/mailboxes"
	"waxwing/internal/upkeep"
)

// mailNoun is what lies in mailboxes, and what can be done with it.
func (p *program) mailNoun() *cobra.Command {
	var l mailList
	return p.Noun("mail", "mail that has arrived: look at it, change it, and tell how it travelled",
		cli.Verb{Use: "list ACCOUNT", Short: "what lies in a mailbox, newest first", JSON: true, Example: "mail list joe\nmail list joe --limit 10", Flags: l.flags,
			Run: command.List(p.Call, p.OnStore, l.rows, mailboxes.LyingListing())},
		cli.Verb{Use: "folders ACCOUNT", Short: "the mailboxes of an account, with their counters", JSON: true,
			Run: command.List(p.Call, p.OnStore, folders, listing.FolderListing())},
		p.showVerb(),
		p.searchVerb(),
		p.traceVerb(),
		p.moveVerb(), p.flagVerb(), p.deleteVerb(), p.removedVerb(), p.undeleteVerb(), p.importVerb(), p.exportVerb(), p.pullVerb(), p.checkVerb(), p.reparseVerb())
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

func (l *mailList) rows(ctx context.Context, o *upkeep.Opened, args []string) ([]mailboxes.Lying, error) {
	if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
		return nil, err
	}
	return o.Mailboxes.Lying(ctx, args[0], l.box, int64(l.before), l.limit)
}

func folders(ctx context.Context, o *upkeep.Opened, args []string) ([]listing.Folder, error) {
	if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
		return nil, err
	}
	return listing.Folders(ctx, o.Mailboxes, args[0])
}

// showVerb prints messages, or why they are where they are.
func (p *program) showVerb() cli.Verb {
	var why, auth bool
	return cli.Verb{Use: "show ID …", Short: "messages as they lie there", JSON: true, Example: "mail show ID\nmail show ID --why", Flags: func(fs *pflag.FlagSet) {
		fs.BoolVar(&why, "why", false, "instead of the message, what was decided about it when it came in, and on what facts")
		fs.BoolVar(&auth, "auth", false, "the same as --why")
	}, Run: func(ctx context.Context, args []string) error {
		ids, err := cli.ParseIDs(args, "waxwing mail list ACCOUNT")
		if err != nil {
			return err
		}
		return p.WithStore(ctx, func(o *upkeep.Opened) error {
			for _, id := range ids {
				if why || auth || p.JSON {
					err = p.whyMail(ctx, o, id)
				} else {
					err = copyMail(ctx, p.Stdout, o, id)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

// whyMail prints the facts that are kept with a message.
func (p *program) whyMail(ctx context.Context, o *upkeep.Opened, id delivery.ID) error {
	_, m, err := o.Mailboxes.Open(ctx, int64(id))
	if err != nil {
		return unknownMail(err)
	}
	shown, err := listing.Explain(m)
	switch {
	case err != nil:
		return err
	case p.JSON:
		return p.PrintJSON(shown)
	}
	fmt.Fprint(p.Stdout, shown)
	return nil
}

func unknownMail(err error) error {
	return fmt.Errorf("%w; \"waxwing mail list ACCOUNT\" shows those there are", err)
}

func copyMail(ctx context.Context, w io.Writer, o *upkeep.Opened, id delivery.ID) error {
	c, _, err := o.Mailboxes.Open(ctx, int64(id))
	if err != nil {
		return unknownMail(err)
	}
	r, err := c.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}
