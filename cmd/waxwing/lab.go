package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/lab"
	"waxwing/internal/logline"
)

// labVerb tells the stories of a small internet in this process.
func (p *program) labVerb() verb {
	var exit, verbose bool
	return verb{use: "lab [--exit] [--json] [-v]", short: "run a small internet in this process and show how mail travels", bare: true, json: true,
		example: "lab\nlab --exit --json", flags: func(fs *pflag.FlagSet) {
			fs.BoolVar(&exit, "exit", false, "end after the stories, instead of staying up until interrupted")
			fs.BoolVarP(&verbose, "verbose", "v", false, "log what the servers of the lab do")
		}, run: func(ctx context.Context, _ []string) error {
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = slog.New(logline.New(p.stderr, logline.Options{}))
			}
			return p.runLab(ctx, log, exit)
		}}
}

func (p *program) runLab(ctx context.Context, log *slog.Logger, exit bool) error {
	if !p.json {
		fmt.Fprint(p.stdout, labIntroduction)
	}
	l, err := lab.New(ctx, lab.Stories(), log)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Run(ctx); err != nil {
		return err
	}
	if p.json {
		err = printJSON(p.stdout, l.Rows)
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

const labIntroduction = `A small internet on loopback: DNS with signed, unsigned and bogus zones, mail
hosts good and bad, MTA-STS policy hosts, and two Waxwings. One sends a mail to
every domain below; the other receives the next day's TLS reports, DKIM-signed,
about what happened. Everything runs over real sockets and real TLS.

`

// labTable prints the stories. In a narrow terminal what was published gives way
// first, then the report, then the decision.
func (p *program) labTable(l *lab.Lab) error {
	good := 0
	table := cli.List[lab.Row]{Columns: []cli.Column{{Head: "DOMAIN"}, {Head: "PUBLISHED", Rank: 3, Wrap: 24}, {Head: "DECIDED", Rank: 1, Wrap: 20},
		{Head: "MAIL", Wrap: 10}, {Head: "REPORTED NEXT DAY", Rank: 2, Wrap: 25}, {Head: ""}}, Cells: func(r *lab.Row) []any {
		mark := cli.Cell{Text: "WRONG", Tone: cli.Bad}
		if r.OK {
			good++
			mark = cli.Cell{Text: "ok", Tone: cli.Good}
		}
		return []any{r.Domain, r.Published, r.Decision, labOutcome(r), labReport(r), mark}
	}}.Table(l.Rows)
	left, err := table.Write(p.stdout, p.terminal)
	if err != nil {
		return err
	}
	for _, r := range l.Rows {
		for _, x := range r.Problems {
			fmt.Fprintf(p.stdout, "%s: %s\n", r.Story, x)
		}
	}
	fmt.Fprintf(p.stdout, "\n%d stories, %d went as they should.\n", len(l.Rows), good)
	return p.tellLeft(left)
}

// labOutcome is what became of the mail, and by what it was protected.
func labOutcome(r *lab.Row) cli.Cell {
	tone := map[string]cli.Tone{"delivered": cli.Good, "waiting": cli.Waits}[r.Outcome]
	text := words(r.Outcome, r.Status)
	switch r.TLS {
	case "":
	case "none":
		text += ", plaintext"
	default:
		text += ", " + r.TLS
	}
	return cli.Cell{Text: text, Tone: tone}
}

// labReport is what the next day's report said, without what it counted nothing of.
func labReport(r *lab.Row) string {
	var parts []string
	for _, c := range r.Report {
		s := fmt.Sprintf("%s: ", c.PolicyType)
		switch {
		case c.Failed == 0:
			s += fmt.Sprintf("%d ok", c.Successful)
		case c.Successful == 0:
			s += fmt.Sprintf("%d failed", c.Failed)
		default:
			s += fmt.Sprintf("%d ok, %d failed", c.Successful, c.Failed)
		}
		types := []string{}
		for t := range c.Failures {
			types = append(types, string(t))
		}
		slices.Sort(types)
		parts = append(parts, words(append([]string{s}, types...)...))
	}
	return cmp.Or(strings.Join(parts, "; "), "-")
}

// labStay leaves the lab up to be played with. Each line of the hint works as it
// stands, typed in another terminal.
func (p *program) labStay(ctx context.Context, l *lab.Lab) error {
	if err := l.Open(); err != nil {
		return err
	}
	program, sender, receiver := cmp.Or(p.program, "waxwing"), shellWord(l.Sender.Config), shellWord(l.Receiver.Config)
	fmt.Fprintf(p.stdout, `
The lab stays up until interrupted (Ctrl-C). In another terminal, ask it why:

  %[1]s explain --config %[2]s dane-mismatch.test
  %[1]s explain --connect --config %[2]s dane-mismatch.test
  %[1]s dane verify --config %[2]s dane-ee.test
  %[1]s queue list --config %[2]s

what was reported, on both sides:

  %[1]s tlsrpt sent --config %[2]s
  %[1]s tlsrpt summary --config %[3]s
`, program, sender, receiver)
	if l.Sender.Sendmail != "" {
		fmt.Fprintf(p.stdout, "\nor send a mail of your own:\n\n  printf 'Subject: hello\\n\\nhello\\n' | %s sendmail -C %s you@sts-enforce.test\n", program, shellWord(l.Sender.Sendmail))
	}
	<-ctx.Done()
	return nil
}
