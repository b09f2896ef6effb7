package main

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/suppression"
)

// suppressionNoun keeps the recipients that an account sends no more mail to (QUE-7).
func (p *program) suppressionNoun() *cobra.Command {
	var note string
	var last time.Duration
	var limit int
	return p.noun("suppression", "recipients that an account sends no more mail to",
		verb{use: "add ACCOUNT ADDRESS", short: "send no more of an account's mail to an address", example: "suppression add joe them@example.net --note 'asked us to stop'",
			flags: func(fs *pflag.FlagSet) {
				fs.StringVar(&note, "note", "", "`why`, shown to the sender")
				fs.DurationVar(&last, "for", 0, "for how `long`, such as 720h; 0 is for ever")
			}, run: p.onSuppressions(func(ctx context.Context, o *opened, s *suppression.Store, args []string) error {
				if err := mustExist(ctx, o, args[0]); err != nil {
					return err
				}
				var expires time.Time
				if last > 0 {
					expires = p.now().Add(last)
				}
				return s.Add(ctx, args[0], args[1], note, expires)
			})},
		verb{use: "list [ACCOUNT]", short: "who is left alone, until when, and why", json: true,
			flags: func(fs *pflag.FlagSet) { fs.IntVar(&limit, "limit", 1000, "at most `N` entries") },
			run: list(p, p.onStore, func(ctx context.Context, o *opened, args []string) ([]suppression.Entry, error) {
				return (&suppression.Store{DB: o.store}).List(ctx, append(args, "")[0], suppression.Entry{}, limit)
			}, suppressionColumns())},
		verb{use: "remove ACCOUNT ADDRESS", short: "send to it again",
			run: p.onSuppressions(func(ctx context.Context, _ *opened, s *suppression.Store, args []string) error {
				return s.Remove(ctx, args[0], args[1])
			})})
}

// onSuppressions is onStore for commands with an account and an address.
func (p *program) onSuppressions(fn func(context.Context, *opened, *suppression.Store, []string) error) action {
	return func(ctx context.Context, args []string) error {
		if _, _, err := parseAddress(args[1]); err != nil {
			return err
		}
		return p.withStore(ctx, func(o *opened) error { return fn(ctx, o, &suppression.Store{DB: o.store}, args) })
	}
}

func suppressionColumns() cli.List[suppression.Entry] {
	return cli.List[suppression.Entry]{Columns: columns("ACCOUNT|ADDRESS|SINCE|UNTIL|WHY|TEXT", "SINCE", "TEXT"), Cells: func(x *suppression.Entry) []any {
		var until any = x.Expires
		if x.Expires.IsZero() {
			until = "for ever"
		}
		return []any{x.Account, x.Address, x.Created, until, cmp.Or(x.Code, "by hand"), x.Text}
	}}
}
