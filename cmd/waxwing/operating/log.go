package operating

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/config"
	"waxwing/internal/control"
	"waxwing/internal/logline"
	"waxwing/internal/upkeep"
	"waxwing/internal/websession"
)

// logNoun shows and changes what a running server logs (OPS-1).
func (p *program) logNoun() *cobra.Command {
	c := control.LevelChange{For: time.Hour}
	var of string
	var limit int
	return p.Noun("log", "what the running server logs, and what was changed on pages",
		cli.Verb{Use: "list", Short: "the areas of the log, and the level of each", JSON: true, Example: "log list",
			Run: command.List(p.Call, p.OnRunning, func(ctx context.Context, s *control.Client, _ []string) ([]logline.AreaLevel, error) {
				return s.LogLevels(ctx)
			}, logline.Listing())},
		cli.Verb{Use: "set AREA LEVEL", Short: "give an area a level for a while", JSON: true, Example: "log set queue debug --for 10m\nlog set all default",
			Long: "AREA is one of \"waxwing log list\", or all. LEVEL is debug, info, warn or error; default goes back to waxwing.toml ([log], read again on SIGHUP), " +
				"as everything does when the time is over or the server ends.",
			Flags: func(fs *pflag.FlagSet) {
				fs.DurationVar(&c.For, "for", time.Hour, "how `long`; 0: until the server ends")
			},
			Run: func(ctx context.Context, args []string) error { return p.setLevel(ctx, c, args) }},
		cli.Verb{Use: "acts", Short: "what was changed on pages, by whom, and the command that does the same", JSON: true, Example: "log acts --account joe",
			Flags: func(fs *pflag.FlagSet) {
				fs.StringVar(&of, "account", "", "only what this `account` has changed")
				fs.IntVar(&limit, "limit", 100, "at most `N` acts, 10000")
			},
			Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, _ []string) ([]websession.Act, error) {
				return (&websession.Store{DB: o.Store, Now: o.Options.Now}).Acts(ctx, of, max(1, min(limit, 10_000)))
			}, websession.ActListing())})
}

func (p *program) setLevel(ctx context.Context, c control.LevelChange, args []string) error {
	c.Area = args[0]
	if args[1] != "default" {
		c.Level = new(slog.Level)
		if err := c.Level.UnmarshalText([]byte(args[1])); err != nil {
			return cli.Usagef("%q is no level: write debug, info, warn, error or default", args[1])
		}
	}
	if _, err := c.Parse(); err != nil {
		return cli.Usagef("%v", err)
	}
	return p.OnRunning(func(ctx context.Context, s *control.Client, _ []string) error {
		levels, err := s.SetLogLevel(ctx, c)
		if err != nil {
			return err
		}
		return cli.Show(p.Program, changed(levels, c.Area), logline.Listing())
	})(ctx, nil)
}

// changed are the areas that a change was about.
func changed(levels []logline.AreaLevel, area string) (out []logline.AreaLevel) {
	for _, l := range levels {
		if area == "all" || l.Area == config.LogArea(area) {
			out = append(out, l)
		}
	}
	return out
}
