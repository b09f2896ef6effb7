package residents

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/factors"
	"waxwing/internal/upkeep"
	"waxwing/internal/websession"
)

func factorsOf(o *upkeep.Opened) *factors.Store {
	return &factors.Store{DB: o.Store, Accounts: o.Accounts, Now: o.Options.Now}
}

// factorNoun is what people log in to pages with beside their password (WEB-3). They add it on a page themselves.
func (p *program) factorNoun() *cobra.Command {
	return p.Noun("factor", "second factors, with which people log in to pages beside their password",
		cli.Verb{Use: "list ACCOUNT", Short: "authenticator apps and passkeys, and when each was used last", JSON: true, Example: "account factor list joe",
			Long: "People add them at /account/factors. As long as an account has one, its own password lets no mail program in: these need app passwords.",
			Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, args []string) ([]factors.Factor, error) {
				if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
					return nil, err
				}
				return factorsOf(o).List(ctx, args[0])
			}, factors.Listing())},
		cli.Verb{Use: "remove ACCOUNT ID", Short: "take one away", Example: "account factor remove joe ID", Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
			id, err := delivery.ParseID(args[1])
			if err != nil {
				return cli.Usagef("%v; \"waxwing account factor list\" shows the ids", err)
			}
			return factorsOf(o).Remove(ctx, args[0], id)
		})},
		cli.Verb{Use: "codes ACCOUNT", Short: "make new recovery codes, which are shown this once", JSON: true, Example: "account factor codes joe", Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
			codes, err := factorsOf(o).NewCodes(ctx, args[0])
			if err != nil {
				return fmt.Errorf("account %s: %w", args[0], err)
			}
			return p.Answer(map[string]any{"codes": codes}, "%s", strings.Join(codes, "\n"))
		})},
		cli.Verb{Use: "reset ACCOUNT", Short: "take all of them away, and the recovery codes: for somebody who has lost them", Example: "account factor reset joe",
			Long: "Be sure that it is they who ask. The password alone logs in then, mail programs too; sessions of browsers end.",
			Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
				if err := factorsOf(o).Reset(ctx, args[0]); err != nil {
					return err
				}
				return (&websession.Store{DB: o.Store, Now: o.Options.Now}).RevokeOthers(ctx, args[0], 0)
			})})
}

// sessionsVerb lists the sessions of browsers, and ends them.
func (p *program) sessionsVerb() cli.Verb {
	var end string
	return cli.Verb{Use: "sessions ACCOUNT", Short: "browsers that are logged in to it, and the end of that", JSON: true, Example: "account sessions joe\naccount sessions joe --end all",
		Flags: func(fs *pflag.FlagSet) { fs.StringVar(&end, "end", "", "end the session with this `id`, or all") },
		Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
			if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
				return err
			}
			s := &websession.Store{DB: o.Store, Now: o.Options.Now}
			if err := endSessions(ctx, s, args[0], end); err != nil {
				return err
			}
			all, err := s.List(ctx, args[0])
			if err != nil {
				return err
			}
			return cli.Show(p.Program, all, websession.Listing())
		})}
}

func endSessions(ctx context.Context, s *websession.Store, account, which string) error {
	switch which {
	case "":
		return nil
	case "all":
		return s.RevokeOthers(ctx, account, 0)
	}
	id, err := delivery.ParseID(which)
	if err != nil {
		return cli.FlagError("end", err)
	}
	return s.Revoke(ctx, account, id)
}
