package security

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/dns"
	"waxwing/internal/cli"
	"waxwing/internal/datadir"
	"waxwing/internal/dnscheck"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/dnspublish"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/resolver"
	"waxwing/internal/server"
	"waxwing/internal/text"
	"waxwing/internal/upkeep"
)

// dnsNoun says what to publish (DNS-R), and tests the resolver (DNS-6).
func (p *program) dnsNoun() *cobra.Command {
	var r recordsFlags
	var c checkFlags
	var a applyFlags
	return p.Noun("dns", "what stands in DNS: what to publish, and is it right",
		cli.Verb{Use: "records [DOMAIN] [FLAGS]", Short: "the records to publish for a hosted domain and this host", JSON: true, Flags: r.flags,
			Long:    "They are printed in the order in which they are to be published: what others rest on first, and last the MTA-STS record,\nwhich makes senders strict. Without a domain: those of all domains. Nothing is published by this command.",
			Example: "dns records example.org\ndns records example.org --zone >> example.org.zone",
			Run:     p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error { return p.dnsRecords(ctx, o, args, r) })},
		cli.Verb{Use: "apply [DOMAIN] [FLAGS]", Short: "write what is missing or changed into DNS, as [dns.update] says", JSON: true, Flags: a.flags,
			Long:    "It compares what should stand in DNS with what the zone's own servers show, writes what is due, and says what they show then.\nOnly records that Waxwing has made, or was told to take over, are changed or removed; what others made or changed is told and left alone.\nThe exit code is 1 where something that is due could not be written.",
			Example: "dns apply --dry-run\ndns apply example.org\ndns apply --take-over example.org/MX --take-over example.org/TXT",
			Run:     p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error { return p.dnsApply(ctx, o, args, a) })},
		cli.Verb{Use: "published", Short: "the records in DNS that are Waxwing's, and those left to others", JSON: true, Run: command.List(p.Call, p.OnStore, publishedRecords, dnspublish.Listing())},
		cli.Verb{Use: "release NAME/TYPE", Short: "leave a record set to others from now on; it stays as it is", Example: "dns release _submissions._tcp.example.org/SRV",
			Run: command.OnOne(p.Call, parseSet, releaseSet)},
		cli.Verb{Use: "check [DOMAIN] [FLAGS]", Short: "is what hosted domains publish right, and does it work", JSON: true, Flags: c.flags,
			Long:    "Everything is looked at as a stranger would, within 30 seconds a domain: the records, every mail host's address with its certificate,\nthe MTA-STS policy, and what SPF says of each address that mail leaves from. Without a domain: all of them.\nThe exit code is 1 only for faults; advice and what could not be seen leave it at 0.",
			Example: "dns check example.org\ndns check --all",
			Run:     p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error { return p.dnsCheck(ctx, o, args, c) })},
		cli.Verb{Use: "findings [DOMAIN]", Short: "what the checks that the server makes twice a day found last", JSON: true, Run: command.List(p.Call, p.OnStore, dnsFindings,
			dnscheck.Listing())},
		cli.Verb{Use: "lookup NAME TYPE", Short: "a record set, and the chain of trust that DNSSEC has for it", JSON: true,
			Long:    "Waxwing asks the configured resolvers and proves the answer itself, whatever resolver.dnssec says: zone by zone the DS records, the key\nthat was used and until when its signatures are valid, and then the records, or the proof that there are none.\nThe exit code is 1 where the answer is bogus, or could not be had.",
			Example: "dns lookup _25._tcp.mx.example.org TLSA\ndns lookup example.org MX --json",
			Run:     p.dnsLookup},
		cli.Verb{Use: "selftest", Short: "test the configured resolvers as at the server's start", JSON: true, Run: p.selfTest})
}

type recordsFlags struct{ zone bool }

func (r *recordsFlags) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&r.zone, "zone", false, "as lines of a zone file, which a name server takes as they are")
}

func (p *program) dnsRecords(ctx context.Context, o *upkeep.Opened, args []string, f recordsFlags) error {
	domain, err := oneDomain(args)
	if err != nil {
		return err
	}
	plan, err := server.PlanDNS(ctx, o.Options, o.Store, domain)
	if err != nil {
		return err
	}
	hint := ""
	if len(plan.Host.Addrs) == 0 {
		hint = fmt.Sprintf("no address of this machine is public: publish A and AAAA records of %s with those under which the world reaches it, and have PTR records set for them", plan.Host.Name)
	}
	records := plan.Records()
	if f.zone && !p.JSON {
		if hint != "" {
			hint = "; " + hint + "\n"
		}
		_, err := io.WriteString(p.Stdout, hint+dnsrecords.Snippet(records, domain))
		return err
	}
	var rows []dnsrecords.Row
	for _, r := range records {
		rows = append(rows, r.Row())
	}
	err = cli.Show(p.Program, rows, dnsrecords.Listing())
	if err == nil && !p.JSON {
		if hint != "" {
			fmt.Fprintf(p.Stderr, "note: %s\n", hint)
		}
		_, err = fmt.Fprintln(p.Stdout, "\nPublish them from the top; --zone prints them as lines of a zone file, in full.")
	}
	return err
}

func dnsFindings(ctx context.Context, o *upkeep.Opened, args []string) ([]dnscheck.Row, error) {
	domains, err := oneOrAll(ctx, o, args)
	if err != nil {
		return nil, err
	}
	return dnscheck.Rows(ctx, o.Store, domains)
}

// oneOrAll is the domain that may stand as an argument, or all that are hosted.
func oneOrAll(ctx context.Context, o *upkeep.Opened, args []string) ([]dns.Name, error) {
	one, err := oneDomain(args)
	if err != nil || !one.IsZero() {
		return []dns.Name{one}, err
	}
	all, err := o.Accounts.Domains(ctx)
	var names []dns.Name
	for _, d := range all {
		names = append(names, d.Name)
	}
	return names, err
}

type checkFlags struct{ all bool }

func (c *checkFlags) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&c.all, "all", false, "say also what is well")
}

func (p *program) dnsCheck(ctx context.Context, o *upkeep.Opened, args []string, f checkFlags) error {
	domains, err := oneOrAll(ctx, o, args)
	if err != nil {
		return err
	}
	check, err := server.CheckingDNS(o.Options, o.Store)
	if err != nil {
		return err
	}
	rows, faults := []dnscheck.Shown{}, 0
	for _, d := range domains {
		found, err := check.Domain(ctx, d)
		if err != nil {
			return err
		}
		row := dnscheck.NewShown(d, found)
		rows = append(rows, row)
		faults += row.Count(dnsfinding.Fault)
		if !p.JSON {
			if err := p.Prose(nil, func(w io.Writer) { row.Print(w, f.all) }); err != nil {
				return err
			}
		}
	}
	if p.JSON {
		if err := p.PrintJSON(rows); err != nil {
			return err
		}
	}
	if faults > 0 {
		return fmt.Errorf("%s: each is told with its cure", text.Count(faults, "fault"))
	}
	return nil
}

func (p *program) selfTest(ctx context.Context, _ []string) error {
	cfg, err := p.LoadConfig()
	if err != nil {
		return err
	}
	c, err := resolver.New(cfg, datadir.Anchors(cfg))
	if err != nil {
		return err
	}
	result := resolver.Tested{SelfTestResult: c.SelfTest(ctx, resolver.SelfTestNames(cfg)), Negative: resolver.Negatives(cfg, time.Now())}
	err = p.Prose(result, result.Print)
	if err == nil && !result.DANE() {
		err = errors.New("no resolver is good enough for DANE: its findings stand above")
	}
	return err
}
