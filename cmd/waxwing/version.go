package main

import (
	"context"
	"fmt"
)

// version is set when a release is built.
var version = "development"

func (p *program) versionVerb() verb {
	return verb{use: "version", short: "print the version", bare: true, run: func(context.Context, []string) error {
		_, err := fmt.Fprintln(p.stdout, "waxwing", version)
		return err
	}}
}
