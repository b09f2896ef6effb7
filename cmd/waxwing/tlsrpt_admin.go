package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"waxwing/internal/server"
	"waxwing/internal/tlsreport"
	"waxwing/tlsrpt"
)

// summarizeReports prints what others report of our domains: by day and
// reporter, with the failures' meaning and cure, and what to do (RPT-18, RPT-19).
func summarizeReports(ctx context.Context, e env, args []string) error {
	var f storeFlags
	fs := flags(e, "tlsrpt", "summary")
	f.addJSON(fs, "summary")
	domain := fs.String("domain", "", "only this `domain`")
	days := fs.Int("days", 7, "how many `days` back; 31 are needed for advice on MTA-STS modes")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if err := only(rest); err != nil {
		return err
	}
	if *days < 1 || *days > 3650 {
		return usagef("-days is 1 to 3650, not %d", *days)
	}
	return withReports(ctx, e, f, func(s *tlsreport.Service) error {
		d, err := s.Digest(ctx, *domain, *days)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(e.stdout, d)
		}
		return printDigest(e, d)
	})
}

// withReports opens the report service.
func withReports(ctx context.Context, e env, f storeFlags, fn func(*tlsreport.Service) error) error {
	return withStore(ctx, e, f, func(o *opened) error {
		s, err := server.Reports(o.options, o.store)
		if err != nil {
			return err
		}
		return fn(s)
	})
}

func printDigest(e env, d tlsreport.Digest) error {
	if len(d.Lines) == 0 {
		_, err := fmt.Fprintf(e.stdout, "no reports about %s to %s\n", d.From, d.Until)
		return err
	}
	cells := [][]string{}
	for _, l := range d.Lines {
		by := l.Reporter
		if l.Source != "mail" {
			by += " (" + l.Source + ", not authenticated)"
		}
		policy := tlsrpt.Printable(string(l.Policy))
		if l.Mode != "" {
			policy += " " + tlsrpt.Printable(l.Mode)
		}
		cells = append(cells, []string{l.Domain, l.Day, by, policy, strconv.FormatInt(l.OK, 10), strconv.FormatInt(l.Failed, 10)})
	}
	if err := table(e, []string{"DOMAIN", "DAY", "REPORTER", "POLICY", "OK", "FAILED"}, cells); err != nil {
		return err
	}
	e, end := e.prose()
	w := e.stdout
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
		fmt.Fprint(w, "\nThere are more reports than were summed up: ask for one -domain, or fewer -days.\n")
	}
	return end()
}

// printFailures lists the failures below the table, each type explained once.
func printFailures(w io.Writer, lines []tlsreport.Line) {
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
func lookUpTLSRPT(ctx context.Context, e env, args []string) error {
	var f storeFlags
	fs := flags(e, "tlsrpt", "lookup")
	f.addJSON(fs, "lookup")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if err := wants("lookup", rest, "domain"); err != nil {
		return err
	}
	domain, err := parseDomain(rest[0])
	if err != nil {
		return err
	}
	return withReports(ctx, e, f, func(s *tlsreport.Service) error {
		p, err := s.Lookup(ctx, domain)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(e.stdout, p)
		}
		printPublished(e.stdout, p)
		return nil
	})
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

// suppressReports shows and changes which report addresses are left alone (RPT-12).
func suppressReports(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "tlsrpt suppress", args)
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "tlsrpt suppress", what)
	f.addJSON(fs, what, "list")
	days, reason := new(int), new(string)
	if what == "add" {
		fs.IntVar(days, "days", 0, "for so many `days`; 0 is until removed")
		fs.StringVar(reason, "reason", "by hand", "`why`, for those who read the list")
	}
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	address := []string{"report address"}
	if what == "list" {
		address = nil
	}
	if err := wants(what, rest, address...); err != nil {
		return err
	}
	if len(rest) > 0 && !strings.Contains(rest[0], ":") { // mailto: or https: says what it is
		if _, _, err := parseAddress(rest[0]); err != nil {
			return err
		}
	}
	if *days < 0 || *days > 36500 {
		return usagef("-days is 0 to 36500, not %d", *days)
	}
	return withReports(ctx, e, f, func(s *tlsreport.Service) error {
		switch what {
		case "add":
			until := now(f.config).AddDate(100, 0, 0)
			if *days > 0 {
				until = now(f.config).AddDate(0, 0, *days)
			}
			return s.Suppress(ctx, rest[0], until, *reason)
		case "remove":
			there, err := s.Lift(ctx, rest[0])
			if err == nil && !there {
				err = fmt.Errorf("%s is not suppressed; \"waxwing tlsrpt suppress list\" shows those that are", rest[0])
			}
			return err
		}
		return listSuppressions(ctx, e, s, f.json)
	})
}

func listSuppressions(ctx context.Context, e env, s *tlsreport.Service, asJSON bool) error {
	all, err := s.Suppressions(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, all)
	}
	cells := [][]string{}
	for _, x := range all {
		how := "by itself"
		if x.Manual {
			how = "by hand"
		}
		cells = append(cells, []string{tlsrpt.Printable(x.Address), day(x.Since), day(x.Until), how, tlsrpt.Printable(x.Reason)})
	}
	return table(e, []string{"ADDRESS", "SINCE", "UNTIL", "HOW", "WHY"}, cells)
}

// listOutcomes shows what came of each policy domain on a day.
func listOutcomes(ctx context.Context, e env, s *tlsreport.Service, o tlsreport.SendOptions, asJSON bool) error {
	all, err := s.Outcomes(ctx, o.Day, o.Domain)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, all)
	}
	cells := [][]string{}
	for _, x := range all {
		kind := "domain"
		if x.Host {
			kind = "mx host"
		}
		cells = append(cells, []string{x.PolicyDomain, kind, x.State, strings.Join(x.RUA, " "), tlsrpt.Printable(x.Note)})
	}
	return table(e, []string{"POLICY DOMAIN", "AS", "STATE", "TO", "NOTE"}, cells)
}
