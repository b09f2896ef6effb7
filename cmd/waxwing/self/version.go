package self

import (
	"context"
	"fmt"

	"waxwing/internal/cli"
)

func (p *program) versionVerb() cli.Verb {
	return cli.Verb{Use: "version", Short: "print the version", Bare: true, Run: func(context.Context, []string) error {
		_, err := fmt.Fprintln(p.Stdout, "waxwing", p.Version)
		return err
	}}
}
