package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/server"
	"waxwing/internal/stspublish"
	"waxwing/mtasts"
)

// runPublish keeps the policies that this server serves for its own domains
// (STS-11).
func runPublish(ctx context.Context, e env, what string, args []string) error {
	var f storeFlags
	fs := flags(e, "mtasts", what)
	f.addJSON(fs, what, "publish", "published")
	mode, age, mx := new(string), new(time.Duration), new(string)
	if what == "publish" {
		fs.StringVar(mode, "mode", "testing", "`mode` of the policy: testing, enforce or none")
		fs.DurationVar(age, "max-age", 7*24*time.Hour, "how long senders may keep the policy, a `time` such as 168h")
		fs.StringVar(mx, "mx", "", "the `hosts` that take mail, with commas between; \"*.example.org\" is any one label; this server's name if empty")
	}
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	var domain dns.Name
	if what == "published" {
		err = only(rest)
	} else if err = wants(what, rest, "domain"); err == nil {
		domain, err = parseDomain(rest[0])
	}
	if err != nil {
		return err
	}
	return withStore(ctx, e, f, func(o *opened) error {
		s, err := server.STSPublish(o.options, o.store)
		if err != nil {
			return err
		}
		switch what {
		case "published":
			return listPublished(ctx, e, s, f.json)
		case "unpublish":
			if err := s.Remove(ctx, domain); err != nil {
				return fmt.Errorf("%s: %w", domain, err)
			}
			_, err := fmt.Fprintf(e.stdout, "The policy of %s is not served any more. Senders may hold it until its max_age is over: publish mode none first, and take the record _mta-sts.%s away last.\n", domain, domain)
			return err
		}
		hosted, err := o.accounts.IsHosted(ctx, domain)
		if err != nil {
			return err
		}
		if !hosted {
			return fmt.Errorf("%s is not hosted here: \"waxwing domain add %s\" first", domain, domain)
		}
		p, err := policyFrom(*mode, *age, or(*mx, o.cfg.Hostname.ASCII()))
		if err != nil {
			return err
		}
		got, err := s.Set(ctx, domain, p)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(e.stdout, newPublishedRow(got))
		}
		return tellPublished(e, got)
	})
}

// policyFrom reads the flags of a policy.
func policyFrom(mode string, age time.Duration, mx string) (*mtasts.Policy, error) {
	p := &mtasts.Policy{Mode: mtasts.Mode(mode), MaxAge: age}
	if !slices.Contains([]mtasts.Mode{mtasts.ModeTesting, mtasts.ModeEnforce, mtasts.ModeNone}, p.Mode) {
		return nil, usagef("-mode is testing, enforce or none, not %q", mode)
	}
	if age < 24*time.Hour || age > mtasts.MaxAge {
		return nil, usagef("-max-age is between a day and %d days: shorter ones protect hardly anybody (RFC 8461 §3.2)", int(mtasts.MaxAge/(24*time.Hour)))
	}
	for h := range strings.SplitSeq(mx, ",") {
		rest, wildcard := strings.CutPrefix(strings.TrimSpace(h), "*.")
		name, err := dns.ParseName(rest)
		if err != nil {
			return nil, usagef("-mx: %v", err)
		}
		p.MX = append(p.MX, mtasts.Pattern{Wildcard: wildcard, Name: name})
	}
	return p, nil
}

// tellPublished prints a policy, and what has to stand in DNS for it.
func tellPublished(e env, got stspublish.Published) error {
	domain := got.Domain
	fmt.Fprintf(e.stdout, "Served at https://mta-sts.%s/.well-known/mta-sts.txt by the listeners of kind \"https\", with a certificate for mta-sts.%s:\n\n%s\n",
		domain, domain, strings.ReplaceAll(got.Text, "\r\n", "\n"))
	_, err := fmt.Fprintf(e.stdout, "Publish in DNS, the address first, the TXT record last:\n\n  mta-sts.%s.   A/AAAA   this server\n  _mta-sts.%s.  TXT      %q\n", domain, domain, got.Record())
	return err
}

// publishedRow is one policy as -json prints it.
type publishedRow struct {
	Domain  string    `json:"domain"`
	Mode    string    `json:"mode"`
	MX      []string  `json:"mx"`
	ID      string    `json:"id"`
	Record  string    `json:"record"`
	Changed time.Time `json:"changed"`
}

func newPublishedRow(p stspublish.Published) publishedRow {
	return publishedRow{Domain: p.Domain.ASCII(), Mode: string(p.Policy.Mode), MX: p.Policy.Patterns(), ID: p.ID, Record: p.Record(), Changed: p.Changed}
}

func listPublished(ctx context.Context, e env, s *stspublish.Service, asJSON bool) error {
	all, err := s.List(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b stspublish.Published) int { return strings.Compare(a.Domain.ASCII(), b.Domain.ASCII()) })
	rows := []publishedRow{}
	cells := [][]string{}
	for _, p := range all {
		r := newPublishedRow(p)
		rows = append(rows, r)
		cells = append(cells, []string{r.Domain, r.Mode, strings.Join(r.MX, " "), r.Record, moment(r.Changed)})
	}
	if asJSON {
		return printJSON(e.stdout, rows)
	}
	return table(e, []string{"DOMAIN", "MODE", "MX", "TXT RECORD", "SINCE"}, cells)
}
