package security

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/posture"
	"waxwing/internal/reportbox"
	"waxwing/internal/server"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsreport/intake"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// tlsrptNoun shows and sends TLS reports (RFC 8460).
func (p *program) tlsrptNoun() *cobra.Command {
	var f reportFlags
	tls := sort{tlsreport.Family(), func(r *server.Rooms) *outbox.Box { return r.TLSReport.Box }, func(r *server.Rooms) *reportbox.Box { return r.TLSIntake.Box }}
	c := p.Noun("tlsrpt", "TLS reports, both ways", append(p.bothWays(tls, &f),
		cli.Verb{Use: "results [--day D]", Short: "what was counted on a day", JSON: true, Flags: f.ofDay("today"), Run: command.List(p.Call, p.onReports,
			func(ctx context.Context, s *server.Rooms, _ []string) ([]tlsresult.Row, error) {
				return s.TLSReport.Results(ctx, f.dayOr(p.Now()), f.domain)
			}, tlsresult.Listing())},
		cli.Verb{Use: "destinations [DOMAIN]", Short: "what deliveries have shown of the domains that mail goes to", JSON: true, Example: "tlsrpt destinations\ntlsrpt destinations example.net", Run: command.List(p.Call, p.onReports,
			func(ctx context.Context, s *server.Rooms, args []string) ([]posture.Destination, error) {
				return s.Posture.Newest(ctx, strings.Join(args, ""), 1000)
			}, posture.Listing())},
		cli.Verb{Use: "lookup DOMAIN", Short: "where a domain wants its reports", JSON: true, Example: "tlsrpt lookup example.net", Run: p.lookUpTLSRPT},
		cli.Verb{Use: "show ID", Short: "a report, with the meaning of each failure and its cure", JSON: true, Run: p.showReport},
		cli.Verb{Use: "summary", Short: "what others report, and what to do about it", JSON: true, Flags: f.summing, Run: f.summary(p)},
		cli.Verb{Use: "parse FILE …", Short: "report files: a mail, JSON, or JSON in gzip", JSON: true, Bare: true, Run: p.parseReports})...)
	c.AddCommand(p.suppressNoun(tls))
	return c
}

func (p *program) showReport(ctx context.Context, args []string) error {
	return p.onReport("tlsrpt", args[0], func(ctx context.Context, s *server.Rooms, id delivery.ID) error {
		r, raw, err := s.TLSReport.Show(ctx, id)
		if errors.Is(err, outbox.ErrNoReport) {
			r, raw, err = s.TLSIntake.Show(ctx, id)
		}
		if err != nil {
			return err
		}
		return p.printReport(r.Text(), raw)
	})(ctx, nil)
}

// parseReports prints report files: mails, JSON, or JSON in gzip (RPT-20).
func (p *program) parseReports(_ context.Context, files []string) error {
	return p.eachFile(files, func(data []byte) error {
		return tlsrpt.Find(data, tlsrpt.Limits{Input: reportbox.MaxFile}, func(r *tlsrpt.Report) error {
			raw, err := r.JSON()
			if err != nil {
				return err
			}
			return p.printReport(r.Text(), raw)
		})
	})
}

// summary prints what others report of our domains: by day and reporter, with the
// failures' meaning and cure, and what to do (RPT-18, RPT-19).
func (f *reportFlags) summary(p *program) cli.Action {
	return func(ctx context.Context, _ []string) error {
		if err := f.checkDays(); err != nil {
			return err
		}
		return p.onReports(func(ctx context.Context, s *server.Rooms, _ []string) error {
			d, err := s.TLSIntake.Digest(ctx, f.domain, f.days)
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

// lookUpTLSRPT shows where a domain wants its TLS reports.
func (p *program) lookUpTLSRPT(ctx context.Context, args []string) error {
	domain, err := cli.ParseDomain(args[0])
	if err != nil {
		return err
	}
	return p.onReports(func(ctx context.Context, s *server.Rooms, _ []string) error {
		found, err := s.TLSReport.Lookup(ctx, domain)
		if err != nil {
			return err
		}
		return p.Prose(found, found.Print)
	})(ctx, nil)
}
