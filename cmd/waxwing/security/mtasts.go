package security

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/dns"
	"waxwing/internal/cli"
	"waxwing/internal/explain"
	"waxwing/internal/server"
	"waxwing/internal/stspolicy"
	"waxwing/internal/stspublish"
	"waxwing/internal/upkeep"
)

// mtastsNoun looks at the policies of other domains, and keeps those that this server
// serves for its own (STS-11).
func (p *program) mtastsNoun() *cobra.Command {
	var f policyFlags
	return p.Noun("mtasts", "MTA-STS: policies of others in the cache, and our own",
		cli.Verb{Use: "list", Short: "the policies of other domains that are cached here", JSON: true, Run: command.List(p.Call, p.OnStore, cachedPolicies, stspolicy.Listing())},
		cli.Verb{Use: "lookup DOMAIN", Short: "look a policy up as a stranger would, past the cache", JSON: true, Example: "mtasts lookup example.net", Run: p.lookupPolicy},
		cli.Verb{Use: "refresh DOMAIN", Short: "look up and fetch a cached policy anew", JSON: true, Run: command.OnOne(p.Call, cli.ParseDomain, p.refreshPolicy)},
		cli.Verb{Use: "forget DOMAIN", Short: "take a policy out of the cache", Run: command.OnOne(p.Call, cli.ParseDomain, forgetPolicy)},
		cli.Verb{Use: "publish DOMAIN", Short: "serve a policy for a domain of ours, print its records", JSON: true, Flags: f.flags,
			Example: "mtasts publish example.org --mode testing", Run: command.OnOne(p.Call, cli.ParseDomain, func(ctx context.Context, o *upkeep.Opened, d dns.Name) error {
				return p.publishPolicy(ctx, o, d, f)
			})},
		cli.Verb{Use: "published", Short: "the policies that this server serves", JSON: true, Run: command.List(p.Call, p.OnStore, publishedPolicies, stspublish.Listing())},
		cli.Verb{Use: "unpublish DOMAIN", Short: "serve a policy no more", Run: command.OnOne(p.Call, cli.ParseDomain, p.unpublishPolicy)})
}

func cachedPolicies(ctx context.Context, o *upkeep.Opened, _ []string) ([]stspolicy.Row, error) {
	return (&stspolicy.Cache{Store: o.Store}).Rows(ctx)
}

// refreshPolicy looks a domain's policy up and fetches it, whatever is cached. That a
// domain has none is an answer, and no failure.
func (p *program) refreshPolicy(ctx context.Context, o *upkeep.Opened, domain dns.Name) error {
	cache, err := server.STSCache(o.Options, o.Store)
	if err != nil {
		return err
	}
	row, err := cache.Refreshed(ctx, domain)
	if err != nil {
		return err
	}
	return p.Answer(row, "%s", row)
}

func forgetPolicy(ctx context.Context, o *upkeep.Opened, domain dns.Name) error {
	there, err := (&stspolicy.Cache{Store: o.Store}).Forget(ctx, domain)
	if err == nil && !there {
		err = fmt.Errorf("no policy of %s is cached; \"waxwing mtasts list\" shows those that are", domain)
	}
	return err
}

// lookupPolicy looks a domain's MTA-STS up as a stranger would, past the cache.
func (p *program) lookupPolicy(ctx context.Context, args []string) error {
	domain, err := cli.ParseDomain(args[0])
	if err != nil {
		return err
	}
	o, err := p.LoadOptions()
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
	if err = p.Prose(a, a.Print); err == nil {
		err = a.Trouble()
	}
	return err
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

// publishPolicy serves a policy, and says what has to stand in DNS for it.
func (p *program) publishPolicy(ctx context.Context, o *upkeep.Opened, domain dns.Name, f policyFlags) error {
	s, err := server.STSPublish(o.Options, o.Store)
	if err != nil {
		return err
	}
	hosted, err := o.Accounts.IsHosted(ctx, domain)
	if err != nil {
		return err
	}
	if !hosted {
		return fmt.Errorf("%s is not hosted here: \"waxwing domain add %s\" first", domain, domain)
	}
	policy, err := stspublish.NewPolicy(f.mode, f.age, f.mx, o.Config.Hostname)
	if err != nil {
		return cli.Usagef("--%v", err)
	}
	got, err := s.Set(ctx, domain, policy)
	if err != nil {
		return err
	}
	return p.Answer(got.Row(), "%s", got.Instruction(o.Config.Hostname))
}

func (p *program) unpublishPolicy(ctx context.Context, o *upkeep.Opened, domain dns.Name) error {
	s, err := server.STSPublish(o.Options, o.Store)
	if err != nil {
		return err
	}
	if err := s.Remove(ctx, domain); err != nil {
		return fmt.Errorf("%s: %w", domain, err)
	}
	_, err = fmt.Fprintf(p.Stdout, "The policy of %s is not served any more. Senders may hold it until its max_age is over: publish mode none first, and take the record _mta-sts.%s away last.\n", domain, domain)
	return err
}

func publishedPolicies(ctx context.Context, o *upkeep.Opened, _ []string) ([]stspublish.Row, error) {
	s, err := server.STSPublish(o.Options, o.Store)
	if err != nil {
		return nil, err
	}
	return s.Rows(ctx)
}
