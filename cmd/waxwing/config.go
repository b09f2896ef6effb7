package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"waxwing/internal/config"
)

// runConfig checks a configuration and prints the reference.
func runConfig(_ context.Context, e env, args []string) error {
	what, args, err := verb(args, "check", "describe", "example")
	if err != nil {
		return err
	}
	fs := flags(e, "config "+what)
	path := fs.String("config", "waxwing.toml", "configuration `file`")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usagef("unexpected %q", rest[0])
	}
	switch what {
	case "describe":
		return config.Describe(e.stdout)
	case "example":
		_, err := io.WriteString(e.stdout, config.Example())
		return err
	}
	cfg, err := loadConfig(*path)
	if err == nil {
		err = cfg.Check()
	}
	var all config.Errors
	if errors.As(err, &all) {
		fmt.Fprintln(e.stderr, all)
		return errQuiet
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s is in order\n", *path)
	return nil
}
