package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/outbox"
	"waxwing/internal/server"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsreport/intake"
	"waxwing/tlsrpt"
)

// summary prints what others report of our domains: by day and reporter, with the
// failures' meaning and cure, and what to do (RPT-18, RPT-19).
func (f *reportFlags) summary(p *program) action {
	return func(ctx context.Context, _ []string) error {
		if f.days < 1 || f.days > 3650 {
			return usagef("--days is 1 to 3650, not %d", f.days)
		}
		return p.onReports(func(ctx context.Context, s server.TLSReports, _ []string) error {
			d, err := s.In.Digest(ctx, f.domain, f.days)
			if err != nil {
				return err
			}
			if len(d.Lines) == 0 || p.json {
				return p.answer(d, "no reports about %s to %s", d.From, d.Until)
			}
			if err := show(p, d.Lines, lineColumns()); err != nil {
				return err
			}
			return p.prose(nil, func(w io.Writer) { printDigest(w, d) })
		})(ctx, nil)
	}
}

func lineColumns() cli.List[intake.Line] {
	return cli.List[intake.Line]{Columns: columns("DOMAIN|DAY|REPORTER|POLICY|OK|FAILED", "POLICY"), Cells: func(l *intake.Line) []any {
		by := l.Reporter
		if l.Source != "mail" {
			by += " (" + l.Source + ", not authenticated)"
		}
		return []any{l.Domain, l.Day, by, words(tlsrpt.Printable(string(l.Policy)), tlsrpt.Printable(l.Mode)), l.OK, l.Failed}
	}}
}

// printDigest writes what stands below the table.
func printDigest(w io.Writer, d intake.Digest) {
	printFailures(w, d.Lines)
	for i, a := range d.Advice {
		if i == 0 {
			fmt.Fprint(w, "\nWhat to do:\n")
		}
		urgent := ""
		if a.Urgent {
			urgent = " (urgent)"
		}
		fmt.Fprintf(w, "  %s%s: %s\n", a.Domain, urgent, tlsrpt.Printable(a.Text))
	}
	if d.Truncated {
		fmt.Fprint(w, "\nThere are more reports than were summed up: ask for one --domain, or fewer --days.\n")
	}
}

// printFailures lists the failures below the table, each type explained once.
func printFailures(w io.Writer, lines []intake.Line) {
	explained := map[tlsrpt.ResultType]bool{}
	for _, l := range lines {
		for _, x := range l.Failures {
			fmt.Fprintf(w, "\n%s %s, %s: %d x %s", l.Domain, l.Day, l.Reporter, x.Sessions, tlsrpt.Printable(string(x.Type)))
			if x.MXHost != "" {
				fmt.Fprintf(w, " at %s", tlsrpt.Printable(x.MXHost))
			}
			if x.Reason != "" {
				fmt.Fprintf(w, ": %s", tlsrpt.Printable(x.Reason))
			}
			fmt.Fprintln(w)
			if !explained[x.Type] {
				explained[x.Type] = true
				fmt.Fprintf(w, "    %s\n    %s\n", x.Meaning, x.Cure)
			}
		}
		if l.Incomplete {
			fmt.Fprintf(w, "%s %s, %s: and more kinds of failures; \"waxwing tlsrpt reports\" and show list them\n", l.Domain, l.Day, l.Reporter)
		}
	}
}

// lookUpTLSRPT shows where a domain wants its TLS reports.
func (p *program) lookUpTLSRPT(ctx context.Context, args []string) error {
	domain, err := parseDomain(args[0])
	if err != nil {
		return err
	}
	return p.onReports(func(ctx context.Context, s server.TLSReports, _ []string) error {
		found, err := s.Out.Lookup(ctx, domain)
		switch {
		case err != nil:
			return err
		case p.json:
			return printJSON(p.stdout, found)
		}
		printPublished(p.stdout, found)
		return nil
	})(ctx, nil)
}

func printPublished(w io.Writer, p tlsreport.Published) {
	fmt.Fprintf(w, "%s (%s)\n", p.Name, p.Security)
	for _, t := range p.Texts {
		fmt.Fprintf(w, "  TXT  %s\n", tlsrpt.Printable(t))
	}
	for _, a := range p.RUA {
		note := ""
		if a.Suppressed {
			note = "  suppressed: see \"waxwing tlsrpt suppress list\""
		}
		fmt.Fprintf(w, "  reports go to %s%s\n", tlsrpt.Printable(a.URI), note)
	}
	for _, u := range p.Unsupported {
		fmt.Fprintf(w, "  not supported: %s\n", tlsrpt.Printable(u))
	}
	for _, f := range p.Faulty {
		fmt.Fprintf(w, "  passed over: %s\n", tlsrpt.Printable(f))
	}
	if p.Problem != "" {
		fmt.Fprintf(w, "  %s\n", tlsrpt.Printable(p.Problem))
	}
}

// suppressNoun shows and changes which report addresses are left alone (RPT-12).
func (p *program) suppressNoun() *cobra.Command {
	var days int
	var reason string
	return p.noun("suppress", "report addresses that are left alone",
		verb{use: "list", short: "who is left alone, until when, and why", json: true, run: list(p, p.onReports,
			func(ctx context.Context, s server.TLSReports, _ []string) ([]outbox.Suppression, error) {
				return s.Out.Suppressions(ctx)
			}, reportSuppressionColumns())},
		verb{use: "add ADDRESS [--days N] [--reason WHY]", short: "leave one alone", example: "tlsrpt suppress add mailto:reports@example.net --days 30",
			flags: func(fs *pflag.FlagSet) {
				fs.IntVar(&days, "days", 0, "for so many `days`; 0 is until removed")
				fs.StringVar(&reason, "reason", "by hand", "`why`, for those who read the list")
			}, run: p.onReportAddress(func(ctx context.Context, s server.TLSReports, address string) error {
				if days < 0 || days > 36500 {
					return usagef("--days is 0 to 36500, not %d", days)
				}
				until := p.now().AddDate(100, 0, 0)
				if days > 0 {
					until = p.now().AddDate(0, 0, days)
				}
				return s.Out.Suppress(ctx, address, until, reason)
			})},
		verb{use: "remove ADDRESS", short: "send to it again", run: p.onReportAddress(func(ctx context.Context, s server.TLSReports, address string) error {
			there, err := s.Out.Lift(ctx, address)
			if err == nil && !there {
				err = fmt.Errorf("%s is not suppressed; \"waxwing tlsrpt suppress list\" shows those that are", address)
			}
			return err
		})})
}

// onReportAddress is onReports for commands with a report address.
func (p *program) onReportAddress(fn func(context.Context, server.TLSReports, string) error) action {
	return func(ctx context.Context, args []string) error {
		if !strings.Contains(args[0], ":") { // mailto: or https: says what it is
			if _, _, err := parseAddress(args[0]); err != nil {
				return err
			}
		}
		return p.onReports(func(ctx context.Context, s server.TLSReports, _ []string) error { return fn(ctx, s, args[0]) })(ctx, nil)
	}
}

func reportSuppressionColumns() cli.List[outbox.Suppression] {
	return cli.List[outbox.Suppression]{Columns: columns("ADDRESS|SINCE|UNTIL|HOW|WHY", "SINCE", "HOW"), Cells: func(x *outbox.Suppression) []any {
		how := "by itself"
		if x.Manual {
			how = "by hand"
		}
		return []any{tlsrpt.Printable(x.Address), day(x.Since), day(x.Until), how, tlsrpt.Printable(x.Reason)}
	}}
}
