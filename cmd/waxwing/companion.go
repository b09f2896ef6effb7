package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"
)

// companionVerb runs what stands beside a Postfix until it is told to stop, and
// the daily TLS reports with it.
func (p *program) companionVerb() verb {
	var path string
	return verb{use: "companion [--config FILE]", short: "count and report a Postfix's TLS sessions, tell it policies", bare: true,
		example: "companion --config /etc/waxwing/companion.toml", flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&path, "config", "companion.toml", "configuration `file`")
		}, run: func(ctx context.Context, _ []string) error {
			cfg, err := loadConfig(path)
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
			return runServer(ctx, p.stderr, path, cfg, func() (func(), error) { return func() {}, nil })
		}}
}
