package begin

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/doctor"
	"waxwing/internal/machine"
	"waxwing/internal/upkeep"
)

// doctorFlags are a machine that is not set up yet.
type doctorFlags struct{ hostname, domain string }

// doctorVerb looks whether the machine is fit for a server, and whether its server is
// well (SET-2).
func (p *program) doctorVerb() cli.Verb {
	var f doctorFlags
	return cli.Verb{Use: "doctor [CHECK …]", Short: "is this machine fit for mail, and does its server work", JSON: true,
		Long:    "Without names all is looked at: " + strings.Join(machine.Names(), ", ") + ".\nRun it as root to see all. The exit code is 1 where something failed; warnings leave it at 0.",
		Example: "doctor\ndoctor reverse port-25-out\ndoctor --hostname mx.example.org --domain example.org",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&f.hostname, "hostname", "", "before a machine is set up: the `name` that its server is to have")
			fs.StringVar(&f.domain, "domain", "", "and the mail `domain`")
		},
		Refuse: func(args []string) error {
			for _, a := range args {
				if !slices.Contains(machine.Names(), a) {
					return cli.Usagef("there is no check %q; there are: %s", a, strings.Join(machine.Names(), ", "))
				}
			}
			return nil
		},
		Run: func(ctx context.Context, args []string) error { return p.doctor(ctx, args, f) }}
}

func (p *program) doctor(ctx context.Context, only []string, f doctorFlags) error {
	s, w, err := p.patient(ctx, f)
	if err != nil {
		return err
	}
	checks := w.Checks(s)
	if len(only) > 0 {
		checks = slices.DeleteFunc(checks, func(c machine.Check) bool { return !slices.Contains(only, c.Name) })
	}
	if len(checks) == 0 {
		return errors.New("these checks are of a machine that is set up: name its configuration with --config")
	}
	found, err := upkeep.Check(ctx, p.Program, checks)
	if err != nil {
		return err
	}
	if p.JSON {
		if err := p.PrintJSON(found); err != nil {
			return err
		}
	}
	if doctor.Worst(found) == doctor.Failed {
		return errors.New("something is wrong: each is told with its cure")
	}
	return nil
}

// patient is what is looked at: what flags say, or else a configuration.
func (p *program) patient(ctx context.Context, f doctorFlags) (s machine.Subject, w *machine.Outside, err error) {
	if f.hostname != "" || f.domain != "" {
		return upkeep.Thought(ctx, f.hostname, f.domain)
	}
	cfg, err := p.LoadConfig()
	if err != nil {
		return s, nil, err
	}
	return upkeep.SetUp(ctx, cfg, p.Config, p.Version)
}
