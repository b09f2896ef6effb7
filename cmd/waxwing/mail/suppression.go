package mail

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/suppression"
	"waxwing/internal/upkeep"
)

// suppressionNoun keeps the recipients that an account sends no more mail to (QUE-7).
func (p *program) suppressionNoun() *cobra.Command {
	var note string
	var last time.Duration
	var limit int
	return p.Noun("suppression", "recipients that an account sends no more mail to",
		cli.Verb{Use: "add ACCOUNT ADDRESS", Short: "send no more of an account's mail to an address", Example: "suppression add joe them@example.net --note 'asked us to stop'",
			Flags: func(fs *pflag.FlagSet) {
				fs.StringVar(&note, "note", "", "`why`, shown to the sender")
				fs.DurationVar(&last, "for", 0, "for how `long`, such as 720h; 0 is for ever")
			}, Run: p.onSuppressions(func(ctx context.Context, o *upkeep.Opened, s *suppression.Store, args []string) error {
				if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
					return err
				}
				var expires time.Time
				if last > 0 {
					expires = p.Now().Add(last)
				}
				return s.Add(ctx, args[0], args[1], note, expires)
			})},
		cli.Verb{Use: "list [ACCOUNT]", Short: "who is left alone, until when, and why", JSON: true,
			Flags: func(fs *pflag.FlagSet) { fs.IntVar(&limit, "limit", 1000, "at most `N` entries") },
			Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, args []string) ([]suppression.Entry, error) {
				return (&suppression.Store{DB: o.Store}).List(ctx, append(args, "")[0], suppression.Entry{}, limit)
			}, suppression.Listing())},
		cli.Verb{Use: "remove ACCOUNT ADDRESS", Short: "send to it again",
			Run: p.onSuppressions(func(ctx context.Context, _ *upkeep.Opened, s *suppression.Store, args []string) error {
				return s.Remove(ctx, args[0], args[1])
			})})
}

// onSuppressions is onStore for commands with an account and an address.
func (p *program) onSuppressions(fn func(context.Context, *upkeep.Opened, *suppression.Store, []string) error) cli.Action {
	return func(ctx context.Context, args []string) error {
		if _, _, err := cli.ParseAddress(args[1]); err != nil {
			return err
		}
		return p.WithStore(ctx, func(o *upkeep.Opened) error { return fn(ctx, o, &suppression.Store{DB: o.Store}, args) })
	}
}
