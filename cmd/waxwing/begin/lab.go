package begin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/lab"
	"waxwing/internal/logline"
)

// labVerb tells the stories of a small internet in this process.
func (p *program) labVerb() cli.Verb {
	var exit, verbose bool
	return cli.Verb{Use: "lab [--exit] [--json] [-v]", Short: "run a small internet in this process and show how mail travels", Bare: true, JSON: true,
		Example: "lab\nlab --exit --json", Flags: func(fs *pflag.FlagSet) {
			fs.BoolVar(&exit, "exit", false, "end after the stories, instead of staying up until interrupted")
			fs.BoolVarP(&verbose, "verbose", "v", false, "log what the servers of the lab do")
		}, Run: func(ctx context.Context, _ []string) error {
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = slog.New(logline.New(p.Stderr, logline.Options{}))
			}
			return p.runLab(ctx, log, exit)
		}}
}

func (p *program) runLab(ctx context.Context, log *slog.Logger, exit bool) error {
	if !p.JSON {
		fmt.Fprint(p.Stdout, lab.Introduction)
	}
	l, err := lab.New(ctx, lab.Stories(), log)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Run(ctx); err != nil {
		return err
	}
	if p.JSON {
		err = p.PrintJSON(l.Rows)
	} else {
		err = p.labTable(l)
	}
	if err != nil {
		return err
	}
	if !l.AllOK() {
		return errors.New("stories went otherwise than they should: they are marked WRONG, and the reasons stand below the table")
	}
	if !exit {
		return p.labStay(ctx, l)
	}
	return nil
}

// labTable prints the stories, and what went wrong.
func (p *program) labTable(l *lab.Lab) error {
	left, err := lab.Listing().Table(l.Rows).Write(p.Stdout, p.Terminal)
	if err != nil {
		return err
	}
	fmt.Fprint(p.Stdout, l.Sum())
	return p.TellLeft(left)
}

// labStay leaves the lab up to be played with. Each line of the hint works as it
// stands, typed in another terminal.
func (p *program) labStay(ctx context.Context, l *lab.Lab) error {
	if err := l.Open(); err != nil {
		return err
	}
	fmt.Fprint(p.Stdout, l.Hint(cmp.Or(p.Name, "waxwing")))
	<-ctx.Done()
	return nil
}
