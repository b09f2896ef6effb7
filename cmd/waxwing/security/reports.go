package security

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/desk"
	"waxwing/internal/outbox"
	"waxwing/internal/reportbox"
	"waxwing/internal/server"
	"waxwing/internal/upkeep"
)

// What the commands about reports of both sorts have in common.

// sort is a sort of reports: that of TLS or of DMARC.
type sort struct {
	outbox.Family
	out func(*server.Rooms) *outbox.Box
	in  func(*server.Rooms) *reportbox.Box
}

// bothWays are the verbs about reports that go out and that come in.
func (p *program) bothWays(s sort, f *reportFlags) []cli.Verb {
	return []cli.Verb{
		{Use: "send [--day D]", Short: "make the daily run now, or show what it would send", JSON: true, Flags: f.sending, Run: p.OnDesk(f.send(p, s)),
			Example: s.Noun + " send --dry-run\n" + s.Noun + " send --partial --domain example.net"},
		{Use: "sent", Short: "the reports sent, and whether hosts accepted them", JSON: true, Flags: f.ofDomain, Run: command.List(p.Call, p.onReports,
			func(ctx context.Context, r *server.Rooms, _ []string) ([]outbox.Sent, error) {
				return s.out(r).Sent(ctx, outbox.Filter{Domain: f.domain})
			}, s.SentListing())},
		{Use: "outcomes [--day D]", Short: "each policy domain of a day: reported, or why not", JSON: true, Flags: f.ofDay("yesterday"), Run: command.List(p.Call, p.onReports,
			func(ctx context.Context, r *server.Rooms, _ []string) ([]outbox.Outcome, error) {
				return s.out(r).Outcomes(ctx, f.dayOr(p.Now().Add(-24*time.Hour)), f.domain)
			}, s.OutcomeListing())},
		{Use: "reports [--domain D]", Short: "the reports received", JSON: true, Flags: f.ofDomain, Run: command.List(p.Call, p.onReports,
			func(ctx context.Context, r *server.Rooms, _ []string) ([]reportbox.Received, error) {
				return s.in(r).Reports(ctx, outbox.Filter{Domain: f.domain})
			}, reportbox.Listing())},
		{Use: "refused", Short: "whose reports were beyond a day's limits", JSON: true, Run: command.List(p.Call, p.onReports,
			func(ctx context.Context, r *server.Rooms, _ []string) ([]reportbox.Refused, error) {
				return s.in(r).RefusedReports(ctx)
			}, reportbox.RefusedListing())},
	}
}

// onReport is onReports for a report by its id.
func (p *program) onReport(noun, arg string, fn func(context.Context, *server.Rooms, delivery.ID) error) cli.Action {
	return func(ctx context.Context, _ []string) error {
		id, err := cli.ParseID(arg, "waxwing "+noun+" reports")
		if err != nil {
			return err
		}
		return p.onReports(func(ctx context.Context, r *server.Rooms, _ []string) error { return fn(ctx, r, id) })(ctx, nil)
	}
}

// printReport prints a report for people, or as it is.
func (p *program) printReport(text string, raw []byte) error {
	if p.JSON {
		_, err := fmt.Fprintf(p.Stdout, "%s\n", raw)
		return err
	}
	return p.Prose(nil, func(w io.Writer) { io.WriteString(w, text) })
}

// eachFile has each file read; one that cannot be does not keep the others from it.
func (p *program) eachFile(files []string, fn func(data []byte) error) error {
	failed := false
	for _, name := range files {
		data, err := reportbox.ReadFile(name)
		if err == nil {
			err = fn(data)
		}
		if err != nil {
			fmt.Fprintf(p.Stderr, "%s: %v\n", name, err)
			failed = true
		}
	}
	if failed {
		return cli.ErrTold
	}
	return nil
}

// onReports is what a command does with the reports in the store.
func (p *program) onReports(fn func(context.Context, *server.Rooms, []string) error) cli.Action {
	return p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
		s, err := server.Reports(o.Options, o.Store)
		if err != nil {
			return err
		}
		return fn(ctx, s, args)
	})
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
		fs.Var((*cli.Day)(&f.day), "day", "UTC `day`, such as 2026-01-31; if empty, "+usual)
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

func (f *reportFlags) checkDays() error {
	if f.days < 1 || f.days > 3650 {
		return cli.Usagef("--days is 1 to 3650, not %d", f.days)
	}
	return nil
}

func (f *reportFlags) dayOr(usual time.Time) time.Time {
	if f.day.IsZero() {
		return usual
	}
	return f.day
}

// send makes the run now, in the running server if there is one.
func (f *reportFlags) send(p *program, s sort) func(context.Context, desk.Desk, []string) error {
	return func(ctx context.Context, d desk.Desk, _ []string) error {
		sum, err := d.SendReports(ctx, s.Noun, outbox.SendOptions{Day: f.day, Domain: f.domain, DryRun: f.dryRun, Partial: f.partial})
		if err != nil {
			return err
		}
		if p.JSON {
			return p.PrintJSON(sum)
		}
		sum.Print(p.Stdout) // reports of a dry run as they are: no line is broken
		return nil
	}
}

// suppressNoun shows and changes which report addresses are left alone (RPT-12).
func (p *program) suppressNoun(of sort) *cobra.Command {
	var days int
	var reason string
	return p.Noun("suppress", "report addresses that are left alone",
		cli.Verb{Use: "list", Short: "who is left alone, until when, and why", JSON: true, Run: command.List(p.Call, p.onReports,
			func(ctx context.Context, s *server.Rooms, _ []string) ([]outbox.Suppression, error) {
				return of.out(s).Suppressions(ctx)
			}, outbox.SuppressionListing())},
		cli.Verb{Use: "add ADDRESS [--days N] [--reason WHY]", Short: "leave one alone", Example: of.Noun + " suppress add mailto:reports@example.net --days 30",
			Flags: func(fs *pflag.FlagSet) {
				fs.IntVar(&days, "days", 0, "for so many `days`; 0 is until removed")
				fs.StringVar(&reason, "reason", "by hand", "`why`, for those who read the list")
			}, Run: p.onReportAddress(func(ctx context.Context, s *server.Rooms, address string) error {
				if days < 0 || days > 36500 {
					return cli.Usagef("--days is 0 to 36500, not %d", days)
				}
				until := p.Now().AddDate(100, 0, 0)
				if days > 0 {
					until = p.Now().AddDate(0, 0, days)
				}
				return of.out(s).Suppress(ctx, address, until, reason)
			})},
		cli.Verb{Use: "remove ADDRESS", Short: "send to it again", Run: p.onReportAddress(func(ctx context.Context, s *server.Rooms, address string) error {
			there, err := of.out(s).Lift(ctx, address)
			if err == nil && !there {
				err = fmt.Errorf("%s is not suppressed; \"waxwing %s suppress list\" shows those that are", address, of.Noun)
			}
			return err
		})})
}

// onReportAddress is onReports for commands with a report address.
func (p *program) onReportAddress(fn func(context.Context, *server.Rooms, string) error) cli.Action {
	return func(ctx context.Context, args []string) error {
		if !strings.Contains(args[0], ":") { // mailto: or https: says what it is
			if _, _, err := cli.ParseAddress(args[0]); err != nil {
				return err
			}
		}
		return p.onReports(func(ctx context.Context, s *server.Rooms, _ []string) error { return fn(ctx, s, args[0]) })(ctx, nil)
	}
}
