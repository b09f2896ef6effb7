package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/control"
	"waxwing/internal/server"
	"waxwing/internal/tlsreport"
	"waxwing/tlsrpt"
)

func tlsrptActions() []action {
	return []action{
		{"results", "[-day D]", "what was counted on a day"},
		{"send", "[-day D]", "make the daily run now, or show what it would send"},
		{"sent", "", "the reports sent, and whether hosts accepted them"},
		{"outcomes", "[-day D]", "each policy domain of a day: reported, or why not"},
		{"lookup", "DOMAIN", "where a domain wants its reports"},
		{"suppress", "ACTION …", "report addresses that are left alone"},
		{"reports", "[-domain D]", "the reports received"},
		{"refused", "", "whose reports were beyond a day's limits"},
		{"show", "ID", "a report, with the meaning of each failure and its cure"},
		{"summary", "", "what others report, and what to do about it"},
		{"parse", "FILE …", "report files: a mail, JSON, or JSON in gzip"},
	}
}

// suppressActions are those of "tlsrpt suppress".
func suppressActions() []action {
	return []action{
		{"list", "", "who is left alone, until when, and why"},
		{"add", "ADDRESS [-days N] [-reason WHY]", "leave one alone"},
		{"remove", "ADDRESS", "send to it again"},
	}
}

// runTLSRPT shows and sends TLS reports (RFC 8460).
func runTLSRPT(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "tlsrpt", args)
	if err != nil {
		return err
	}
	switch what {
	case "summary":
		return summarizeReports(ctx, e, args)
	case "lookup":
		return lookUpTLSRPT(ctx, e, args)
	case "suppress":
		return suppressReports(ctx, e, args)
	}
	var f storeFlags
	fs := flags(e, "tlsrpt", what)
	if what == "parse" {
		fs.BoolVar(&f.json, "json", false, "print JSON")
	} else {
		f.addJSON(fs, what)
	}
	var c reportCall
	c.flags(fs, what)
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if what == "parse" {
		return parseReports(e, rest, f.json)
	}
	if err := wants(what, rest, map[string][]string{"show": {"report's id"}}[what]...); err != nil {
		return err
	}
	o, err := c.options(what, now(f.config))
	if err != nil {
		return err
	}
	if what == "send" {
		return withDesk(ctx, e, f, func(d control.Desk) error { return sendReports(ctx, e, d, o, f.json) })
	}
	return withStore(ctx, e, f, func(op *opened) error {
		service, err := server.Reports(op.options, op.store)
		if err != nil {
			return err
		}
		switch what {
		case "results":
			return listResults(ctx, e, service, o, f.json)
		case "sent":
			return listSent(ctx, e, service, o.Domain, f.json)
		case "outcomes":
			return listOutcomes(ctx, e, service, o, f.json)
		case "reports":
			return listReports(ctx, e, service, o.Domain, f.json)
		case "refused":
			return listRefused(ctx, e, service, f.json)
		}
		return showReport(ctx, e, service, rest[0], f.json)
	})
}

// reportCall is a day's reports as the flags choose them.
type reportCall struct {
	day string
	o   tlsreport.SendOptions
}

// flags are those that an action looks at.
func (c *reportCall) flags(fs *flag.FlagSet, what string) {
	switch what {
	case "results":
		fs.StringVar(&c.day, "day", "", "UTC `day`, such as 2026-01-31; if empty, today")
	case "send", "outcomes":
		fs.StringVar(&c.day, "day", "", "UTC `day`, such as 2026-01-31; if empty, yesterday")
	}
	switch what {
	case "results", "send", "sent", "outcomes", "reports":
		fs.StringVar(&c.o.Domain, "domain", "", "only this `domain`")
	}
	if what == "send" {
		fs.BoolVar(&c.o.DryRun, "dry-run", false, "print what would be sent")
		fs.BoolVar(&c.o.Partial, "partial", false, "send what there is of a day that is not over, to try out a set-up")
	}
}

func (c *reportCall) options(what string, now time.Time) (tlsreport.SendOptions, error) {
	var err error
	switch {
	case c.day == "" && what == "results":
		c.o.Day = now
	case c.day == "" && what == "outcomes":
		c.o.Day = now.Add(-24 * time.Hour)
	case c.day != "":
		if c.o.Day, err = time.Parse(time.DateOnly, c.day); err != nil {
			return c.o, usagef("-day: %q is no day such as 2026-01-31", c.day)
		}
	}
	return c.o, nil
}

// sendReports makes the run now, in the running server if there is one.
func sendReports(ctx context.Context, e env, d control.Desk, o tlsreport.SendOptions, asJSON bool) error {
	sum, err := d.SendReports(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, sum)
	}
	if len(sum.Made) == 0 {
		_, err := fmt.Fprintf(e.stdout, "nothing to report for %s\n", sum.Day)
		return err
	}
	for _, m := range sum.Made {
		fmt.Fprintf(e.stdout, "%s: %s %s %s\n", m.PolicyDomain, m.State, m.Note, strings.Join(m.RUA, " "))
		if o.DryRun && len(m.JSON) > 0 {
			fmt.Fprintf(e.stdout, "%s\n", m.JSON)
		}
	}
	return nil
}

func listResults(ctx context.Context, e env, s *tlsreport.Service, o tlsreport.SendOptions, asJSON bool) error {
	rows, err := s.Results(ctx, o.Day, o.Domain)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, rows)
	}
	cells := [][]string{}
	for _, r := range rows {
		why := []string{}
		for _, d := range r.Details {
			why = append(why, fmt.Sprintf("%d× %s (%s)", d.Count, d.Type, d.Reason))
		}
		cells = append(cells, []string{r.Domain, string(r.Type), r.PolicyDomain, strconv.FormatInt(r.OK, 10), strconv.FormatInt(r.Failed, 10), strings.Join(why, ", ")})
	}
	return table(e, []string{"DOMAIN", "POLICY", "POLICY DOMAIN", "OK", "FAILED", "WHY"}, cells)
}

func listSent(ctx context.Context, e env, s *tlsreport.Service, domain string, asJSON bool) error {
	all, err := s.Sent(ctx, tlsreport.Filter{Domain: domain})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, all)
	}
	cells := [][]string{}
	for _, r := range all {
		to := []string{}
		for _, d := range r.Deliveries {
			to = append(to, toAddress(d))
		}
		cells = append(cells, []string{r.ID.String(), r.Day, r.PolicyDomain, strconv.FormatInt(r.OK, 10), strconv.FormatInt(r.Failed, 10), strings.Join(to, ", ")})
	}
	return table(e, []string{"ID", "DAY", "POLICY DOMAIN", "OK", "FAILED", "TO"}, cells)
}

// toAddress is what became of a report at one address. That a host accepted it is
// all that can be known: whether the report was read is not told to its sender.
func toAddress(d tlsreport.Delivery) string {
	switch d.State {
	case "accepted":
		return d.URI + " accepted by the host"
	case "failed":
		return words(d.URI, "failed:", tlsrpt.Printable(or(d.Note, "no reason was kept")))
	}
	return d.URI + " " + d.State
}

func listReports(ctx context.Context, e env, s *tlsreport.Service, domain string, asJSON bool) error {
	all, err := s.Reports(ctx, tlsreport.Filter{Domain: domain})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, all)
	}
	cells := [][]string{}
	for _, r := range all {
		cells = append(cells, []string{r.ID.String(), day(r.Begin), r.PolicyDomain, r.Source, r.Submitter, tlsrpt.Printable(r.Organization), strconv.FormatInt(r.OK, 10), strconv.FormatInt(r.Failed, 10)})
	}
	return table(e, []string{"ID", "DAY", "POLICY DOMAIN", "BY", "FROM", "ORGANIZATION", "OK", "FAILED"}, cells, "ORGANIZATION", "BY", "FROM")
}

func listRefused(ctx context.Context, e env, s *tlsreport.Service, asJSON bool) error {
	all, err := s.RefusedReports(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, all)
	}
	cells := [][]string{}
	for _, r := range all {
		from, about := r.Submitter, r.Domain
		if from == "" {
			from = "everybody"
		}
		if about == "" {
			about = "everything"
		}
		cells = append(cells, []string{r.Day, from, about, strconv.FormatInt(r.Stored, 10), strconv.FormatInt(r.Octets, 10), strconv.FormatInt(r.Refused, 10)})
	}
	return table(e, []string{"DAY", "FROM", "ABOUT", "STORED", "OCTETS", "REFUSED"}, cells)
}

func showReport(ctx context.Context, e env, s *tlsreport.Service, idText string, asJSON bool) error {
	id, err := parseID(idText, "waxwing tlsrpt reports")
	if err != nil {
		return err
	}
	r, raw, err := s.Show(ctx, id)
	if err != nil {
		return err
	}
	return printReport(e, r, raw, asJSON)
}

func printReport(e env, r *tlsrpt.Report, raw []byte, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintf(e.stdout, "%s\n", raw)
		return err
	}
	e, end := e.prose()
	if _, err := io.WriteString(e.stdout, r.Text()); err != nil {
		return err
	}
	return end()
}

// parseReports prints report files: mails, JSON, or JSON in gzip (RPT-20).
func parseReports(e env, files []string, asJSON bool) error {
	if len(files) == 0 {
		return usagef("parse needs the files to read")
	}
	failed := false
	for _, name := range files {
		err := readReports(name, func(r *tlsrpt.Report) error {
			raw, err := r.JSON()
			if err != nil {
				return err
			}
			return printReport(e, r, raw, asJSON)
		})
		if err != nil {
			fmt.Fprintf(e.stderr, "%s: %v\n", name, err)
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
