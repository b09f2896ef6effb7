package operating

import (
	"context"
	"fmt"
	"os"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/daemon"

	"github.com/spf13/pflag"
)

// companionVerb runs what stands beside a Postfix until it is told to stop, and
// the daily TLS reports with it.
func (p *program) companionVerb() cli.Verb {
	var path string
	return cli.Verb{Use: "companion [--config FILE]", Short: "count and report a Postfix's TLS sessions, tell it policies", Bare: true,
		Example: "companion --config /etc/waxwing/companion.toml", Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&path, "config", "companion.toml", "configuration `file`")
		}, Run: func(ctx context.Context, _ []string) error {
			cfg, err := command.LoadConfig(path)
			if err != nil {
				return err
			}
			if !cfg.Companion.On() {
				return fmt.Errorf("%s has no [companion] table with datagrams or policies: see docs/operating/postfix.md", path)
			}
			if cfg.ServesMail() {
				return fmt.Errorf("%s has listeners for mail: \"waxwing serve\" serves them, and the companion with them", path)
			}
			if err := cfg.Check(); err != nil {
				return err
			}
			return (&daemon.Service{Stderr: p.Stderr, Screen: cli.ScreenOf(p.Stderr, os.Getenv), Path: path, Config: cfg, Version: p.Version}).Run(ctx)
		}}
}
