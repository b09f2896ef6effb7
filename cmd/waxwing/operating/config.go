package operating

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/config"
	"waxwing/internal/listing"
)

// configNoun checks a configuration and prints the reference.
func (p *program) configNoun() *cobra.Command {
	return p.Noun("config", "check the configuration, or print its reference",
		cli.Verb{Use: "check [--config FILE]", Short: "say all that is wrong with a configuration, with lines", Example: "config check --config /etc/waxwing/waxwing.toml",
			Run: func(context.Context, []string) error {
				if _, err := checkedConfig(p.Config); err != nil {
					return err
				}
				_, err := fmt.Fprintf(p.Stdout, "%s is in order\n", p.Config)
				return err
			}},
		cli.Verb{Use: "show", Short: "every key with what holds, whether the file names it or not; secrets are left out", JSON: true,
			Run: func(context.Context, []string) error {
				cfg, err := p.LoadConfig()
				if err != nil {
					return err
				}
				return cli.Show(p.Program, cfg.Settings(), listing.SettingListing())
			}},
		cli.Verb{Use: "describe", Short: "the reference of all keys, in Markdown", Bare: true,
			Run: func(context.Context, []string) error { return config.Describe(p.Stdout) }},
		cli.Verb{Use: "example", Short: "a complete file to start from", Bare: true, Run: func(context.Context, []string) error {
			_, err := io.WriteString(p.Stdout, config.Example())
			return err
		}})
}

// checkedConfig reads a configuration, with all that it names.
func checkedConfig(path string) (*config.Config, error) {
	cfg, err := command.LoadConfig(path)
	if err != nil {
		return nil, err
	}
	return cfg, cfg.Check()
}
