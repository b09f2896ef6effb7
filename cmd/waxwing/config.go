package main

import (
	"context"
	"fmt"
	"io"

	"waxwing/internal/config"
)

func configActions() []action {
	return []action{
		{"check", "[-config FILE]", "say all that is wrong with a configuration, with lines"},
		{"describe", "", "the reference of all keys, in Markdown"},
		{"example", "", "a complete file to start from"},
	}
}

// runConfig checks a configuration and prints the reference.
func runConfig(_ context.Context, e env, args []string) error {
	what, args, err := verb(e, "config", args)
	if err != nil {
		return err
	}
	fs := flags(e, "config", what)
	path := new(string)
	if what == "check" {
		fs.StringVar(path, "config", "waxwing.toml", "configuration `file`")
	}
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if err := only(rest); err != nil {
		return err
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
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s is in order\n", *path)
	return nil
}
