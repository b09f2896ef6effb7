package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"waxwing/internal/config"
)

// configNoun checks a configuration and prints the reference.
func (p *program) configNoun() *cobra.Command {
	return p.noun("config", "check the configuration, or print its reference",
		verb{use: "check [--config FILE]", short: "say all that is wrong with a configuration, with lines", example: "config check --config /etc/waxwing/waxwing.toml",
			run: func(context.Context, []string) error {
				if _, err := checkedConfig(p.config); err != nil {
					return err
				}
				_, err := fmt.Fprintf(p.stdout, "%s is in order\n", p.config)
				return err
			}},
		verb{use: "describe", short: "the reference of all keys, in Markdown", bare: true,
			run: func(context.Context, []string) error { return config.Describe(p.stdout) }},
		verb{use: "example", short: "a complete file to start from", bare: true, run: func(context.Context, []string) error {
			_, err := io.WriteString(p.stdout, config.Example())
			return err
		}})
}

// checkedConfig reads a configuration, with all that it names.
func checkedConfig(path string) (*config.Config, error) {
	cfg, err := loadConfig(path)
	if err != nil {
		return nil, err
	}
	return cfg, cfg.Check()
}
