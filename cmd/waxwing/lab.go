package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"waxwing/internal/config"
	"waxwing/internal/lab"
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
		log = slog.New(slog.NewTextHandler(e.stderr, nil))
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
		labStay(ctx, e, l)
	}
	return nil
}

const labIntroduction = `A small internet on loopback: DNS with signed, unsigned and bogus zones, mail hosts good and bad,
MTA-STS policy hosts, and two Waxwings. One sends a mail to every domain below; the other receives the
next day's TLS reports, DKIM-signed, about what happened. Everything runs over real sockets and real TLS.

`

func labTable(e env, l *lab.Lab) error {
	cells := [][]string{}
	good := 0
	for _, r := range l.Rows {
		mark := "ok"
		if r.OK {
			good++
		} else {
			mark = "WRONG"
		}
		outcome := r.Outcome
		if r.Status != "" {
			outcome += " " + r.Status
		}
		cells = append(cells, []string{r.Domain, r.Published, short(r.Decision, 40), outcome, or(r.TLS, "-"), labReport(r), mark})
	}
	if err := table(e.stdout, []string{"DOMAIN", "PUBLISHED", "DECIDED", "MAIL", "TLS", "NEXT DAY'S REPORT SAID", ""}, cells); err != nil {
		return err
	}
	for _, r := range l.Rows {
		for _, p := range r.Problems {
			fmt.Fprintf(e.stdout, "%s: %s\n", r.Story, p)
		}
	}
	fmt.Fprintf(e.stdout, "\n%d stories, %d went as they should.\n", len(l.Rows), good)
	return nil
}

func labReport(r lab.Row) string {
	var parts []string
	for _, c := range r.Report {
		s := fmt.Sprintf("%s %d ok, %d failed", c.PolicyType, c.Successful, c.Failed)
		for t := range c.Failures {
			s += " " + string(t)
		}
		parts = append(parts, s)
	}
	return or(strings.Join(parts, "; "), "-")
}

// short cuts what a table has no room for; -json has it whole.
func short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// labStay leaves the lab up to be played with.
func labStay(ctx context.Context, e env, l *lab.Lab) {
	s := l.Sender
	fmt.Fprintf(e.stdout, `
The lab stays up until interrupted (Ctrl-C). Its sender takes mail at %s (STARTTLS, user %s, password %s):
  swaks --server %s --tls --auth-user %s --auth-password %s --from %s --to you@dane-mismatch.test
Ask it why, and see what it reported:
  waxwing explain -config %s dane-mismatch.test
  waxwing queue list -all -config %s
  waxwing tlsrpt reports -config %s
`, s.Addr(config.Submission), s.Account, s.Password, s.Addr(config.Submission), s.Account, s.Password, s.Address(),
		s.Config, s.Config, l.Receiver.Config)
	<-ctx.Done()
}
