package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"waxwing/internal/cli"
	"waxwing/internal/lab"
	"waxwing/internal/logline"
)

// runLab tells the stories of a small internet in this process.
func runLab(ctx context.Context, e env, args []string) error {
	fs := flags(e, "lab")
	exit := fs.Bool("exit", false, "end after the stories, instead of staying up until interrupted")
	asJSON := fs.Bool("json", false, "print the table as JSON")
	verbose := fs.Bool("v", false, "log what the servers of the lab do")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if err := only(rest); err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if *verbose {
		log = slog.New(logline.New(e.stderr, logline.Options{}))
	}
	if !*asJSON {
		fmt.Fprint(e.stdout, labIntroduction)
	}
	l, err := lab.New(ctx, lab.Stories(), log)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Run(ctx); err != nil {
		return err
	}
	if *asJSON {
		err = printJSON(e.stdout, l.Rows)
	} else {
		err = labTable(e, l)
	}
	if err != nil {
		return err
	}
	if !l.AllOK() {
		return errors.New("stories went otherwise than they should: they are marked WRONG, and the reasons stand below the table")
	}
	if !*exit {
		return labStay(ctx, e, l)
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
func labTable(e env, l *lab.Lab) error {
	t := cli.Table{Columns: []cli.Column{{Head: "DOMAIN"}, {Head: "PUBLISHED", Rank: 3, Wrap: 24}, {Head: "DECIDED", Rank: 1, Wrap: 20},
		{Head: "MAIL", Wrap: 10}, {Head: "REPORTED NEXT DAY", Rank: 2, Wrap: 25}, {Head: ""}}}
	good := 0
	for i := range l.Rows {
		r := &l.Rows[i]
		mark := cli.Cell{Text: "WRONG", Tone: cli.Bad}
		if r.OK {
			good++
			mark = cli.Cell{Text: "ok", Tone: cli.Good}
		}
		t.Rows = append(t.Rows, []cli.Cell{{Text: r.Domain}, {Text: r.Published}, {Text: r.Decision}, labOutcome(r), {Text: labReport(r)}, mark})
	}
	left, err := t.Write(e.stdout, e.terminal)
	if err != nil {
		return err
	}
	for _, r := range l.Rows {
		for _, p := range r.Problems {
			fmt.Fprintf(e.stdout, "%s: %s\n", r.Story, p)
		}
	}
	fmt.Fprintf(e.stdout, "\n%d stories, %d went as they should.\n", len(l.Rows), good)
	return tellLeft(e, left)
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
	return or(strings.Join(parts, "; "), "-")
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// labStay leaves the lab up to be played with. Each line of the hint works as it
// stands, typed in another terminal.
func labStay(ctx context.Context, e env, l *lab.Lab) error {
	if err := l.Open(); err != nil {
		return err
	}
	program, sender, receiver := or(e.program, "waxwing"), shellWord(l.Sender.Config), shellWord(l.Receiver.Config)
	fmt.Fprintf(e.stdout, `
The lab stays up until interrupted (Ctrl-C). In another terminal, ask it why:

  %[1]s explain -config %[2]s dane-mismatch.test
  %[1]s explain -connect -config %[2]s dane-mismatch.test
  %[1]s dane verify -config %[2]s dane-ee.test
  %[1]s queue list -config %[2]s

what was reported, on both sides:

  %[1]s tlsrpt sent -config %[2]s
  %[1]s tlsrpt summary -config %[3]s
`, program, sender, receiver)
	if l.Sender.Sendmail != "" {
		fmt.Fprintf(e.stdout, "\nor send a mail of your own:\n\n  printf 'Subject: hello\\n\\nhello\\n' | %s sendmail -C %s you@sts-enforce.test\n", program, shellWord(l.Sender.Sendmail))
	}
	<-ctx.Done()
	return nil
}
