package security

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"waxwing/arf"
	"waxwing/cmd/waxwing/command"
	"waxwing/dmarcrpt"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/dmarcreport"
	"waxwing/internal/dmarcreport/intake"
	"waxwing/internal/dmarcresult"
	"waxwing/internal/outbox"
	"waxwing/internal/reportbox"
	"waxwing/internal/server"
)

// dmarcNoun shows and sends DMARC reports (RFC 9990).
func (p *program) dmarcNoun() *cobra.Command {
	var f reportFlags
	dmarc := sort{dmarcreport.Family(), func(r *server.Rooms) *outbox.Box { return r.DMARCReport.Box }, func(r *server.Rooms) *reportbox.Box { return r.DMARCIntake.Box }}
	c := p.Noun("dmarc", "DMARC reports, both ways", append(p.bothWays(dmarc, &f),
		cli.Verb{Use: "results [--day D]", Short: "what was counted on a day", JSON: true, Flags: f.ofDay("today"), Run: command.List(p.Call, p.onReports,
			func(ctx context.Context, r *server.Rooms, _ []string) ([]dmarcresult.Row, error) {
				return r.DMARCReport.Results(ctx, f.dayOr(p.Now()), f.domain)
			}, dmarcresult.Listing())},
		cli.Verb{Use: "failures [--domain D]", Short: "the failure reports received, about single messages", JSON: true, Flags: f.ofDomain, Run: command.List(p.Call, p.onReports,
			func(ctx context.Context, r *server.Rooms, _ []string) ([]reportbox.Received, error) {
				return r.DMARCIntake.Failures.Reports(ctx, outbox.Filter{Domain: f.domain})
			}, reportbox.FailureListing())},
		cli.Verb{Use: "lookup DOMAIN", Short: "where a domain wants its reports", JSON: true, Example: "dmarc lookup example.net", Run: p.lookUpDMARC},
		cli.Verb{Use: "show ID", Short: "a report, sent or received", JSON: true, Run: p.showDMARC},
		cli.Verb{Use: "summary", Short: "what others report, by source, and what to do about it", JSON: true, Flags: f.summing, Run: f.dmarcSummary(p)},
		cli.Verb{Use: "parse FILE …", Short: "report files: a mail, XML, or XML in gzip or zip", JSON: true, Bare: true, Run: p.parseDMARC})...)
	c.AddCommand(p.suppressNoun(dmarc))
	return c
}

// lookUpDMARC shows where a domain wants its DMARC reports.
func (p *program) lookUpDMARC(ctx context.Context, args []string) error {
	domain, err := cli.ParseDomain(args[0])
	if err != nil {
		return err
	}
	return p.onReports(func(ctx context.Context, r *server.Rooms, _ []string) error {
		found, err := r.DMARCReport.Lookup(ctx, domain)
		if err != nil {
			return err
		}
		return p.Prose(found, found.Print)
	})(ctx, nil)
}

func (p *program) showDMARC(ctx context.Context, args []string) error {
	return p.onReport("dmarc", args[0], func(ctx context.Context, s *server.Rooms, id delivery.ID) error {
		file, err := s.DMARCReport.Body(ctx, id)
		if errors.Is(err, outbox.ErrNoReport) {
			file, err = s.DMARCIntake.Failures.File(ctx, id)
		}
		if errors.Is(err, reportbox.ErrNoReport) {
			file, err = s.DMARCIntake.File(ctx, id)
		}
		if err != nil {
			return err
		}
		if failure, err := arf.ReadFile(file); err == nil {
			return p.printFailure(failure)
		}
		r, err := dmarcrpt.Read(file)
		if err != nil {
			return err
		}
		return p.printDMARC(r)
	})(ctx, nil)
}

// printFailure prints a failure report, in JSON with the header that it shows.
func (p *program) printFailure(r *arf.Report) error {
	raw, err := json.MarshalIndent(struct {
		*arf.Report
		Original string `json:"original,omitempty"`
	}{r, string(r.Original)}, "", "  ")
	if err != nil {
		return err
	}
	return p.printReport(r.Text(), raw)
}

func (p *program) printDMARC(r *dmarcrpt.Report) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return p.printReport(r.Text(), raw)
}

// parseDMARC prints report files.
func (p *program) parseDMARC(_ context.Context, files []string) error {
	return p.eachFile(files, func(data []byte) error {
		if r, err := arf.Parse(data); err == nil {
			return p.printFailure(r)
		}
		return dmarcrpt.Find(data, p.printDMARC)
	})
}

// dmarcSummary prints what others report of our domains, by source, and what to do (DMR-3).
func (f *reportFlags) dmarcSummary(p *program) cli.Action {
	return func(ctx context.Context, _ []string) error {
		if err := f.checkDays(); err != nil {
			return err
		}
		return p.onReports(func(ctx context.Context, s *server.Rooms, _ []string) error {
			d, err := s.DMARCIntake.Digest(ctx, f.domain, f.days)
			if err != nil {
				return err
			}
			if len(d.Lines) == 0 || p.JSON {
				return p.Answer(d, "no reports about %s to %s", d.From, d.Until)
			}
			if err := cli.Show(p.Program, d.Lines, intake.LineListing()); err != nil {
				return err
			}
			return p.Prose(nil, d.PrintAdvice)
		})(ctx, nil)
	}
}
