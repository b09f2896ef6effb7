package mail

import (
	"context"
	"fmt"

	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/reparse"
	"waxwing/internal/transfer"
	"waxwing/internal/upkeep"
)

// reparseVerb finds out anew how stored mail is built (MBX-2).
func (p *program) reparseVerb() cli.Verb {
	return cli.Verb{Use: "reparse [ACCOUNT]", Short: "find out anew how stored mail is built, after an upgrade that says so", JSON: true,
		Long: "What mail programs are shown of a message without its text (envelope, parts, preview, thread) is found out when it comes, and kept. Where a version of Waxwing " +
			"had that wrong, this sets it right: for one account or for all, in small steps, while the server runs. What is right stays as it is, and it can be begun again at any time. " +
			"Programs that keep envelopes themselves see the difference in a new account of theirs.",
		Example: "mail reparse\nmail reparse joe",
		Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
			r := reparse.Run{Boxes: o.Mailboxes}
			if len(args) > 0 {
				if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
					return err
				}
				r.Account = args[0]
			}
			bar := p.bar()
			r.Progress = func(d reparse.Done) { bar.show(transfer.Done{Messages: d.Mails}) }
			r.Failed = func(id int64, err error) { bar.left(transfer.Left{What: delivery.ID(id).String(), Err: err}) }
			done, err := r.Do(ctx)
			bar.end()
			if err != nil {
				return err
			}
			if err := p.Answer(done, "%s read, %d were kept wrongly, %d belong to another thread", counted(done.Mails), done.Changed, done.Threads); err != nil {
				return err
			}
			if done.Failed > 0 {
				err = fmt.Errorf("%d could not be read: they are listed above", done.Failed)
			}
			return err
		})}
}
