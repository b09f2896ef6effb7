package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/control"
	"waxwing/internal/outbox"
	"waxwing/internal/server"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsreport/intake"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// tlsrptNoun shows and sends TLS reports (RFC 8460).
func (p *program) tlsrptNoun() *cobra.Command {
	var f reportFlags
	c := p.noun("tlsrpt", "TLS reports, both ways",
		verb{use: "results [--day D]", short: "what was counted on a day", json: true, flags: f.ofDay("today"), run: list(p, p.onReports,
			func(ctx context.Context, s server.TLSReports, _ []string) ([]tlsresult.Row, error) {
				return s.Out.Results(ctx, f.dayOr(p.now()), f.domain)
			}, resultColumns())},
		verb{use: "send [--day D]", short: "make the daily run now, or show what it would send", json: true, flags: f.sending, run: p.onDesk(f.send(p)),
			example: "tlsrpt send --dry-run\ntlsrpt send --partial --domain example.net"},
		verb{use: "sent", short: "the reports sent, and whether hosts accepted them", json: true, flags: f.ofDomain, run: list(p, p.onReports,
			func(ctx context.Context, s server.TLSReports, _ []string) ([]tlsreport.Sent, error) {
				return s.Out.Sent(ctx, tlsreport.Filter{Domain: f.domain})
			}, sentColumns())},
		verb{use: "outcomes [--day D]", short: "each policy domain of a day: reported, or why not", json: true, flags: f.ofDay("yesterday"), run: list(p, p.onReports,
			func(ctx context.Context, s server.TLSReports, _ []string) ([]tlsreport.Outcome, error) {
				return s.Out.Outcomes(ctx, f.dayOr(p.now().Add(-24*time.Hour)), f.domain)
			}, outcomeColumns())},
		verb{use: "lookup DOMAIN", short: "where a domain wants its reports", json: true, example: "tlsrpt lookup example.net", run: p.lookUpTLSRPT},
		verb{use: "reports [--domain D]", short: "the reports received", json: true, flags: f.ofDomain, run: list(p, p.onReports,
			func(ctx context.Context, s server.TLSReports, _ []string) ([]intake.Received, error) {
				return s.In.Reports(ctx, tlsreport.Filter{Domain: f.domain})
			}, receivedColumns())},
		verb{use: "refused", short: "whose reports were beyond a day's limits", json: true, run: list(p, p.onReports,
			func(ctx context.Context, s server.TLSReports, _ []string) ([]intake.Refused, error) {
				return s.In.RefusedReports(ctx)
			}, refusedColumns())},
		verb{use: "show ID", short: "a report, with the meaning of each failure and its cure", json: true, run: p.showReport},
		verb{use: "summary", short: "what others report, and what to do about it", json: true, flags: f.summing, run: f.summary(p)},
		verb{use: "parse FILE …", short: "report files: a mail, JSON, or JSON in gzip", json: true, bare: true, run: p.parseReports})
	c.AddCommand(p.suppressNoun())
	return c
}

// reportFlags choose reports.
type reportFlags struct {
	day             time.Time
	domain          string
	dryRun, partial bool
	days            int
}

func (f *reportFlags) ofDomain(fs *pflag.FlagSet) {
	fs.StringVar(&f.domain, "domain", "", "only this `domain`")
}

func (f *reportFlags) ofDay(usual string) func(*pflag.FlagSet) {
	return func(fs *pflag.FlagSet) {
		fs.Var((*dayFlag)(&f.day), "day", "UTC `day`, such as 2026-01-31; if empty, "+usual)
		f.ofDomain(fs)
	}
}

func (f *reportFlags) sending(fs *pflag.FlagSet) {
	f.ofDay("yesterday")(fs)
	fs.BoolVar(&f.dryRun, "dry-run", false, "print what would be sent")
	fs.BoolVar(&f.partial, "partial", false, "send what there is of a day that is not over, to try out a set-up")
}

func (f *reportFlags) summing(fs *pflag.FlagSet) {
	f.ofDomain(fs)
	fs.IntVar(&f.days, "days", 7, "how many `days` back; 31 are needed for advice on MTA-STS modes")
}

func (f *reportFlags) dayOr(usual time.Time) time.Time {
	if f.day.IsZero() {
		return usual
	}
	return f.day
}

// dayFlag is a day such as 2026-01-31.
type dayFlag time.Time

func (d *dayFlag) String() string { return "" }
func (d *dayFlag) Type() string   { return "day" }

func (d *dayFlag) Set(s string) error {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil && s != "" {
		return fmt.Errorf("%q is no day such as 2026-01-31", s)
	}
	*d = dayFlag(t)
	return nil
}

// send makes the run now, in the running server if there is one.
func (f *reportFlags) send(p *program) func(context.Context, control.Desk, []string) error {
	return func(ctx context.Context, d control.Desk, _ []string) error {
		sum, err := d.SendReports(ctx, tlsreport.SendOptions{Day: f.day, Domain: f.domain, DryRun: f.dryRun, Partial: f.partial})
		if err != nil {
			return err
		}
		if p.json {
			return printJSON(p.stdout, sum)
		}
		if len(sum.Made) == 0 {
			_, err := fmt.Fprintf(p.stdout, "nothing to report for %s\n", sum.Day)
			return err
		}
		for _, m := range sum.Made {
			fmt.Fprintf(p.stdout, "%s: %s %s %s\n", m.PolicyDomain, m.State, m.Note, strings.Join(m.RUA, " "))
			if f.dryRun && len(m.JSON) > 0 {
				fmt.Fprintf(p.stdout, "%s\n", m.JSON)
			}
		}
		return nil
	}
}

func resultColumns() cli.List[tlsresult.Row] {
	return cli.List[tlsresult.Row]{Columns: columns("DOMAIN|POLICY|POLICY DOMAIN|OK|FAILED|WHY", "POLICY DOMAIN", "WHY"), Cells: func(r *tlsresult.Row) []any {
		why := []string{}
		for _, d := range r.Details {
			why = append(why, fmt.Sprintf("%d× %s (%s)", d.Count, d.Type, d.Reason))
		}
		return []any{r.Domain, r.Type, r.PolicyDomain, r.OK, r.Failed, strings.Join(why, ", ")}
	}}
}

func sentColumns() cli.List[tlsreport.Sent] {
	return cli.List[tlsreport.Sent]{Columns: columns("ID|DAY|POLICY DOMAIN|OK|FAILED|TO", "TO", "FAILED", "OK"), Cells: func(r *tlsreport.Sent) []any {
		to := []string{}
		for _, d := range r.Deliveries {
			to = append(to, toAddress(d))
		}
		return []any{r.ID, r.Day, r.PolicyDomain, r.OK, r.Failed, strings.Join(to, ", ")}
	}}
}

// toAddress is what became of a report at one address. That a host accepted it is
// all that can be known: whether the report was read is not told to its sender.
func toAddress(d outbox.Delivery) string {
	switch d.State {
	case "accepted":
		return d.URI + " accepted by the host"
	case "failed":
		return words(d.URI, "failed:", tlsrpt.Printable(cmp.Or(d.Note, "no reason was kept")))
	}
	return d.URI + " " + d.State
}

func receivedColumns() cli.List[intake.Received] {
	return cli.List[intake.Received]{Columns: columns("ID|DAY|POLICY DOMAIN|BY|FROM|ORGANIZATION|OK|FAILED", "ORGANIZATION", "BY", "FROM"),
		Cells: func(r *intake.Received) []any {
			return []any{r.ID, day(r.Begin), r.PolicyDomain, r.Source, r.Submitter, tlsrpt.Printable(r.Organization), r.OK, r.Failed}
		}}
}

func refusedColumns() cli.List[intake.Refused] {
	return cli.List[intake.Refused]{Columns: columns("DAY|FROM|ABOUT|STORED|OCTETS|REFUSED", "OCTETS", "STORED"), Cells: func(r *intake.Refused) []any {
		return []any{r.Day, cmp.Or(r.Submitter, "everybody"), cmp.Or(r.Domain, "everything"), r.Stored, r.Octets, r.Refused}
	}}
}

func outcomeColumns() cli.List[tlsreport.Outcome] {
	return cli.List[tlsreport.Outcome]{Columns: columns("POLICY DOMAIN|AS|STATE|TO|NOTE", "TO", "AS"), Cells: func(x *tlsreport.Outcome) []any {
		kind := "domain"
		if x.Host {
			kind = "mx host"
		}
		return []any{x.PolicyDomain, kind, string(x.State), strings.Join(x.RUA, " "), tlsrpt.Printable(x.Note)}
	}}
}

func (p *program) showReport(ctx context.Context, args []string) error {
	id, err := parseID(args[0], "waxwing tlsrpt reports")
	if err != nil {
		return err
	}
	return p.onReports(func(ctx context.Context, s server.TLSReports, _ []string) error {
		r, raw, err := s.Show(ctx, id)
		if err != nil {
			return err
		}
		return p.printReport(r, raw)
	})(ctx, nil)
}

// printReport prints a report for people, or as it is.
func (p *program) printReport(r *tlsrpt.Report, raw []byte) error {
	if p.json {
		_, err := fmt.Fprintf(p.stdout, "%s\n", raw)
		return err
	}
	return p.prose(nil, func(w io.Writer) { io.WriteString(w, r.Text()) })
}

// parseReports prints report files: mails, JSON, or JSON in gzip (RPT-20).
func (p *program) parseReports(_ context.Context, files []string) error {
	failed := false
	for _, name := range files {
		err := readReports(name, func(r *tlsrpt.Report) error {
			raw, err := r.JSON()
			if err != nil {
				return err
			}
			return p.printReport(r, raw)
		})
		if err != nil {
			fmt.Fprintf(p.stderr, "%s: %v\n", name, err)
			failed = true
		}
	}
	if failed {
		return errTold
	}
	return nil
}

// maxReportFile bounds what is read of one file.
const maxReportFile = 16 << 20

// readReports calls fn for each report in a file: as for reports that come in (RPT-26).
func readReports(name string, fn func(*tlsrpt.Report) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxReportFile+1))
	if err != nil {
		return err
	}
	if len(b) > maxReportFile {
		return fmt.Errorf("larger than %d MiB: no TLS report is", maxReportFile>>20)
	}
	return tlsrpt.Find(b, tlsrpt.Limits{Input: maxReportFile}, fn)
}

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
