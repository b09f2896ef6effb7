package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"

	"waxwing/dns"
	"waxwing/internal/cli"
	"waxwing/internal/doctor"
	"waxwing/internal/machine"
	"waxwing/internal/setup"
	"waxwing/internal/text"
)

// Thought is a machine that is not set up yet, as it is typed.
func Thought(ctx context.Context, hostname, domainName string) (s machine.Subject, w *machine.Outside, err error) {
	domain, err := cli.ParseDomain(domainName)
	if err != nil {
		return s, nil, cli.FlagError("domain", err)
	}
	wish := setup.Wish{Address: "you@" + domain.ASCII(), Account: "you", Domain: domain}
	if hostname != "" {
		if wish.Hostname, err = dns.ParseName(hostname); err != nil {
			return s, nil, cli.FlagError("hostname", err)
		}
	}
	facts := machine.SetupFacts(ctx, wish)
	facts.Root, facts.User = true, true // it is only thought of
	plan, err := setup.Decide(wish, facts)
	if err != nil {
		return s, nil, err
	}
	return Planned(plan)
}

// Check does checks, and shows them as they are done. The error is of writing.
func Check(ctx context.Context, p *cli.Program, checks []machine.Check) (found []doctor.Finding, err error) {
	live := p.Terminal.Width > 0
	begin := func(c machine.Check) {
		if live && !p.JSON {
			_, err = fmt.Fprintf(p.Stdout, "…        %s: %s", c.Name, c.About)
		}
	}
	done := func(_ machine.Check, all []doctor.Finding) {
		if p.JSON {
			return
		}
		if live {
			fmt.Fprint(p.Stdout, "\r\x1b[K")
		}
		out := text.NewProse(p.Stdout, p.Terminal)
		for _, f := range all {
			io.WriteString(out, f.Told(p.Terminal))
		}
		err = errors.Join(err, out.Flush())
	}
	found = machine.Do(ctx, checks, begin, done)
	return found, errors.Join(err, ctx.Err())
}

// Fit shows whether the machine is fit for what is planned (SET-2). Nothing that is found
// keeps it from being set up.
func (q *Start) Fit(ctx context.Context, p *cli.Program) error {
	s, w, err := Planned(q.Plan)
	if err != nil {
		return err
	}
	found, err := Check(ctx, p, w.Checks(s))
	if err != nil {
		return err
	}
	if doctor.Worst(found) != doctor.OK {
		fmt.Fprintln(p.Stdout, "\nNone of this is in the way of setting up; \"waxwing doctor\" looks again.")
	}
	_, err = fmt.Fprintln(p.Stdout)
	return err
}
