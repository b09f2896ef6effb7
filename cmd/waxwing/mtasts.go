package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/dns"
	"waxwing/internal/cli"
	"waxwing/internal/explain"
	"waxwing/internal/server"
	"waxwing/internal/stspolicy"
	"waxwing/internal/stspublish"
	"waxwing/mtasts"
	"waxwing/tlsrpt"
)

// mtastsNoun looks at the policies of other domains, and keeps those that this server
// serves for its own (STS-11).
func (p *program) mtastsNoun() *cobra.Command {
	var f policyFlags
	return p.noun("mtasts", "MTA-STS: policies of others in the cache, and our own",
		verb{use: "list", short: "the policies of other domains that are cached here", json: true, run: list(p, p.onStore, cachedRows,
			cli.List[stspolicy.Row]{Columns: columns("DOMAIN|MODE|ID|MX|VALID UNTIL|FAILURE", "ID", "VALID UNTIL"), Cells: func(r *stspolicy.Row) []any {
				return []any{r.Domain.ASCII(), r.Mode, r.ID, strings.Join(r.MX, " "), r.ValidUntil, r.Failure}
			}})},
		verb{use: "lookup DOMAIN", short: "look a policy up as a stranger would, past the cache", json: true, example: "mtasts lookup example.net", run: p.lookupPolicy},
		verb{use: "refresh DOMAIN", short: "look up and fetch a cached policy anew", json: true, run: onOne(p, parseDomain, p.refreshPolicy)},
		verb{use: "forget DOMAIN", short: "take a policy out of the cache", run: onOne(p, parseDomain, forgetPolicy)},
		verb{use: "publish DOMAIN", short: "serve a policy for a domain of ours, print its records", json: true, flags: f.flags,
			example: "mtasts publish example.org --mode testing", run: onOne(p, parseDomain, func(ctx context.Context, o *opened, d dns.Name) error {
				return p.publishPolicy(ctx, o, d, f)
			})},
		verb{use: "published", short: "the policies that this server serves", json: true, run: list(p, p.onStore, publishedRows,
			cli.List[stspublish.Row]{Columns: columns("DOMAIN|MODE|MX|TXT RECORD|SINCE", "SINCE"), Cells: func(r *stspublish.Row) []any {
				return []any{r.Domain, r.Mode, strings.Join(r.MX, " "), r.Record, r.Changed}
			}})},
		verb{use: "unpublish DOMAIN", short: "serve a policy no more", run: onOne(p, parseDomain, p.unpublishPolicy)})
}

func cachedRows(ctx context.Context, o *opened, _ []string) ([]stspolicy.Row, error) {
	all, err := (&stspolicy.Cache{Store: o.store}).List(ctx)
	var rows []stspolicy.Row
	for i := range all {
		rows = append(rows, all[i].Row())
	}
	return rows, err
}

// refreshPolicy looks a domain's policy up and fetches it, whatever is cached. That a
// domain has none is an answer, and no failure.
func (p *program) refreshPolicy(ctx context.Context, o *opened, domain dns.Name) error {
	cache, err := server.STSCache(o.options, o.store)
	if err != nil {
		return err
	}
	finding, err := cache.Refresh(ctx, domain)
	var failed *mtasts.Error
	none := finding.Policy == nil && (err == nil || errors.As(err, &failed) && failed.Word == mtasts.NoRecord)
	if err != nil && !none {
		return fmt.Errorf("%s: %w", domain, err)
	}
	row := stspolicy.Row{Domain: domain, ID: finding.ID, Fetched: finding.Fetched}
	text := fmt.Sprintf("%s has no MTA-STS", domain)
	if failed != nil {
		row.Failure = failed.Error()
		text += ": " + failed.Detail
	}
	if policy := finding.Policy; policy != nil {
		row.Mode, row.MX = string(policy.Mode), policy.Patterns()
		row.ValidUntil = finding.Fetched.Add(policy.MaxAge)
		text = fmt.Sprintf("%s: mode %s, id %s, mx %s", domain, policy.Mode, finding.ID, strings.Join(row.MX, " "))
	}
	return p.answer(row, "%s", text)
}

func forgetPolicy(ctx context.Context, o *opened, domain dns.Name) error {
	there, err := (&stspolicy.Cache{Store: o.store}).Forget(ctx, domain)
	if err == nil && !there {
		err = fmt.Errorf("no policy of %s is cached; \"waxwing mtasts list\" shows those that are", domain)
	}
	return err
}

// lookupPolicy looks a domain's MTA-STS up as a stranger would, past the cache.
func (p *program) lookupPolicy(ctx context.Context, args []string) error {
	domain, err := parseDomain(args[0])
	if err != nil {
		return err
	}
	o, err := loadOptions(p.config)
	if err != nil {
		return err
	}
	look, err := server.Looking(o, 0)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	a := explain.FindSTS(ctx, look.DNS, look.Fetcher, look.Finder, domain)
	if p.json {
		err = printJSON(p.stdout, a)
	} else {
		printMTASTS(p.stdout, &a)
	}
	if err == nil {
		err = a.Trouble()
	}
	return err
}

func printMTASTS(w io.Writer, a *explain.FoundSTS) {
	if a.Record != "" {
		fmt.Fprintf(w, "_mta-sts.%s TXT (%s): %q\n", a.Domain, a.Security, a.Record)
	}
	if a.Word != "" {
		what := "its MTA-STS cannot be used"
		if a.Word == string(mtasts.NoRecord) {
			what = "it has no MTA-STS"
		}
		fmt.Fprintf(w, "%s: %s: %s: %s\n", a.Domain, what, a.Word, a.Failure)
	}
	if a.Policy != "" {
		fmt.Fprintf(w, "https://mta-sts.%s/.well-known/mta-sts.txt:\n", a.Domain)
		for l := range strings.SplitSeq(strings.TrimSpace(a.Policy), "\n") {
			fmt.Fprintf(w, "  %s\n", tlsrpt.Printable(strings.TrimRight(l, "\r")))
		}
	}
	if a.HostsBad != "" {
		fmt.Fprintf(w, "hosts: %s\n", a.HostsBad)
	}
	for _, h := range a.Hosts {
		if h.Matches == "" {
			fmt.Fprintf(w, "MX %s: not in the policy\n", h.Host)
		} else {
			fmt.Fprintf(w, "MX %s: matches %s\n", h.Host, h.Matches)
		}
	}
}

// policyFlags are a policy as it is typed.
type policyFlags struct {
	mode, mx string
	age      time.Duration
}

func (f *policyFlags) flags(fs *pflag.FlagSet) {
	fs.StringVar(&f.mode, "mode", "testing", "`mode` of the policy: testing, enforce or none")
	fs.DurationVar(&f.age, "max-age", 7*24*time.Hour, "how long senders may keep the policy, a `time` such as 168h")
	fs.StringVar(&f.mx, "mx", "", "the `hosts` that take mail, with commas between; \"*.example.org\" is any one label; this server's name if empty")
}

// policy reads the flags; host takes the mail where they name none.
func (f *policyFlags) policy(host dns.Name) (*mtasts.Policy, error) {
	p := &mtasts.Policy{Mode: mtasts.Mode(f.mode), MaxAge: f.age}
	if !slices.Contains([]mtasts.Mode{mtasts.ModeTesting, mtasts.ModeEnforce, mtasts.ModeNone}, p.Mode) {
		return nil, usagef("--mode is testing, enforce or none, not %q", f.mode)
	}
	if f.age < 24*time.Hour || f.age > mtasts.MaxAge {
		return nil, usagef("--max-age is between a day and %d days: shorter ones protect hardly anybody (RFC 8461 §3.2)", int(mtasts.MaxAge/(24*time.Hour)))
	}
	if f.mx == "" {
		p.MX = []mtasts.Pattern{{Name: host}}
		return p, nil
	}
	for h := range strings.SplitSeq(f.mx, ",") {
		rest, wildcard := strings.CutPrefix(strings.TrimSpace(h), "*.")
		name, err := dns.ParseName(rest)
		if err != nil {
			return nil, parseFlag("mx", err)
		}
		p.MX = append(p.MX, mtasts.Pattern{Wildcard: wildcard, Name: name})
	}
	return p, nil
}

// publishPolicy serves a policy, and says what has to stand in DNS for it.
func (p *program) publishPolicy(ctx context.Context, o *opened, domain dns.Name, f policyFlags) error {
	s, err := server.STSPublish(o.options, o.store)
	if err != nil {
		return err
	}
	hosted, err := o.accounts.IsHosted(ctx, domain)
	if err != nil {
		return err
	}
	if !hosted {
		return fmt.Errorf("%s is not hosted here: \"waxwing domain add %s\" first", domain, domain)
	}
	policy, err := f.policy(o.cfg.Hostname)
	if err != nil {
		return err
	}
	got, err := s.Set(ctx, domain, policy)
	if err != nil {
		return err
	}
	return p.answer(got.Row(), `Served at https://mta-sts.%[1]s/.well-known/mta-sts.txt by the listeners of kind "https", with a certificate for mta-sts.%[1]s:

%[2]s
Publish in DNS, the address first, the TXT record last:

  mta-sts.%[1]s.   A/AAAA   this server
  _mta-sts.%[1]s.  TXT      %[3]q`, domain, strings.ReplaceAll(got.Text, "\r\n", "\n"), got.Record())
}

func (p *program) unpublishPolicy(ctx context.Context, o *opened, domain dns.Name) error {
	s, err := server.STSPublish(o.options, o.store)
	if err != nil {
		return err
	}
	if err := s.Remove(ctx, domain); err != nil {
		return fmt.Errorf("%s: %w", domain, err)
	}
	_, err = fmt.Fprintf(p.stdout, "The policy of %s is not served any more. Senders may hold it until its max_age is over: publish mode none first, and take the record _mta-sts.%s away last.\n", domain, domain)
	return err
}

func publishedRows(ctx context.Context, o *opened, _ []string) ([]stspublish.Row, error) {
	s, err := server.STSPublish(o.options, o.store)
	if err != nil {
		return nil, err
	}
	all, err := s.List(ctx)
	var rows []stspublish.Row
	for _, x := range all {
		rows = append(rows, x.Row())
	}
	slices.SortFunc(rows, func(a, b stspublish.Row) int { return strings.Compare(a.Domain, b.Domain) })
	return rows, err
}
