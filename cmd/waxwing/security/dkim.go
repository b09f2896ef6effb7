package security

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/dns"
	"waxwing/internal/anchors"
	"waxwing/internal/cli"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/resolver"
	"waxwing/internal/signing"
	"waxwing/internal/upkeep"
)

// dkimNoun keeps the signing keys.
func (p *program) dkimNoun() *cobra.Command {
	var k keyFlags
	return p.Noun("dkim", "the keys that outgoing mail is signed with",
		cli.Verb{Use: "add DOMAIN [FLAGS]", Short: "make a key and print the record to publish", JSON: true, Flags: k.add, Example: "dkim add example.org\ndkim add example.org --algorithm rsa",
			Run: command.OnOne(p.Call, cli.ParseDomain, func(ctx context.Context, o *upkeep.Opened, d dns.Name) error { return p.addKey(ctx, o, d, k) })},
		cli.Verb{Use: "list [DOMAIN]", Short: "all keys, whether they sign, and their records", JSON: true, Run: command.List(p.Call, p.OnStore, keyRows, signing.Listing())},
		cli.Verb{Use: "check [DOMAIN]", Short: "look for the records in DNS now, and list them", JSON: true, Run: command.List(p.Call, p.OnStore, checkKeys, signing.Listing())},
		cli.Verb{Use: "sign DOMAIN --selector S", Short: "sign with a key before DNS shows its record", Flags: k.choose,
			Run: k.run(p, func(ctx context.Context, s *signing.Service, d dns.Name) error { return s.Tell(ctx, d, k.selector) })},
		cli.Verb{Use: "rollover DOMAIN [FLAGS]", Short: "make the next key, which takes over once DNS has shown its record for long enough", JSON: true, Flags: k.roll,
			Long:    "The key in use signs until every server of the zone has shown the next one's record for twice its TTL. Its own record stays for\nat least 14 days after that, since mail that it signed may be checked as late. \"waxwing dkim list\" shows each stage and what is awaited.",
			Example: "dkim rollover example.org", Run: command.OnOne(p.Call, cli.ParseDomain, func(ctx context.Context, o *upkeep.Opened, d dns.Name) error { return p.rollKeys(ctx, o, d, k) })},
		cli.Verb{Use: "retire DOMAIN --selector S", Short: "sign with it no more; its record stays for a while", Flags: k.choose,
			Run: k.run(p, func(ctx context.Context, s *signing.Service, d dns.Name) error {
				return s.SetState(ctx, d, k.selector, signing.Retired)
			})},
		cli.Verb{Use: "remove DOMAIN --selector S", Short: "forget a key for good", Flags: k.choose,
			Run: k.run(p, func(ctx context.Context, s *signing.Service, d dns.Name) error {
				return s.RemoveKey(ctx, d, k.selector)
			})})
}

// keyFlags are a key as it is typed.
type keyFlags struct {
	selector, algorithm string
	after               string // of a roll-over: the algorithm of the keys that get a next one
	now                 bool
}

func (k *keyFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&k.algorithm, "algorithm", "ed25519", "`name`: ed25519 or rsa")
	fs.StringVar(&k.selector, "selector", "", "`name` of the key; made from date and algorithm if empty")
	fs.BoolVar(&k.now, "now", false, "sign at once, before DNS shows the record")
}

func (k *keyFlags) roll(fs *pflag.FlagSet) {
	fs.StringVar(&k.after, "algorithm", "", "`name`: ed25519 or rsa; empty: a key after each one that signs")
}

func (k *keyFlags) choose(fs *pflag.FlagSet) {
	fs.StringVar(&k.selector, "selector", "", "`name` of the key; \"waxwing dkim list\" shows them")
}

// run is a command that works on one key.
func (k *keyFlags) run(p *program, fn func(context.Context, *signing.Service, dns.Name) error) cli.Action {
	return command.OnOne(p.Call, func(s string) (dns.Name, error) {
		if k.selector == "" {
			return dns.Name{}, cli.Usagef("it needs --selector; \"waxwing dkim list\" shows them")
		}
		return cli.ParseDomain(s)
	}, func(ctx context.Context, o *upkeep.Opened, d dns.Name) error { return fn(ctx, o.Signing, d) })
}

func (p *program) addKey(ctx context.Context, o *upkeep.Opened, domain dns.Name, f keyFlags) error {
	key, err := signing.MakeKey(f.algorithm)
	if err != nil {
		return cli.Usagef("--%v", err)
	}
	if err := p.noteForeign(ctx, o, domain); err != nil {
		return err
	}
	if f.selector == "" {
		f.selector = signing.DefaultSelector(o.Options.Now(), f.algorithm)
	}
	k, err := o.Signing.AddKey(ctx, signing.NewKey{Domain: domain, Selector: f.selector, Signer: key, Now: f.now})
	if err != nil {
		return err
	}
	if k.Stage() == signing.Waiting && !p.JSON {
		fmt.Fprintf(p.Stderr, "note: the key signs once DNS shows this record: the running server looks for it, and \"waxwing dkim check %s\" does at once\n", k.Domain)
	}
	line := dnsrecords.Lines(dnsrecords.ForKey(k.Domain, dnsrecords.DKIMKey{Selector: k.Selector, Text: k.Record}))
	return p.Answer(k.Row(), "%s", strings.TrimSuffix(line, "\n"))
}

// rollKeys begins a roll-over, and says what is to be published.
func (p *program) rollKeys(ctx context.Context, o *upkeep.Opened, domain dns.Name, f keyFlags) error {
	made, err := o.Signing.Rollover(ctx, domain, f.after)
	if err != nil {
		return err
	}
	if p.JSON {
		rows := []signing.Row{}
		for _, k := range made {
			rows = append(rows, k.Row())
		}
		return p.PrintJSON(rows)
	}
	published := "publish this record"
	if o.Config.DNS.Update.Publish {
		published = "the running server publishes this record where dns.update.zones has its zone"
	}
	fmt.Fprintf(p.Stderr, "note: %s; the key takes over once every server of the zone has shown it for long enough: \"waxwing dkim list %s\" says what is awaited\n", published, domain)
	for _, k := range made {
		if _, err := fmt.Fprint(p.Stdout, dnsrecords.Lines(dnsrecords.ForKey(k.Domain, dnsrecords.DKIMKey{Selector: k.Selector, Text: k.Record}))); err != nil {
			return err
		}
	}
	return nil
}

// checkTimeout bounds the lookups of "dkim check".
const checkTimeout = time.Minute

// checkKeys looks for the keys' records now, and lists the keys.
func checkKeys(ctx context.Context, o *upkeep.Opened, args []string) ([]signing.Row, error) {
	domain, err := oneDomain(args)
	if err != nil {
		return nil, err
	}
	resolver, err := resolver.New(o.Config, anchors.Stored(o.Store))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	w := &signing.Watcher{Keys: o.Signing, DNS: resolver, Now: o.Options.Now}
	if _, err := w.Look(ctx, domain, ""); err != nil {
		return nil, err
	}
	return keyRows(ctx, o, args)
}

// oneDomain reads the domain that may stand as an argument.
func oneDomain(args []string) (dns.Name, error) {
	if len(args) == 0 {
		return dns.Name{}, nil
	}
	return cli.ParseDomain(args[0])
}

// noteForeign says when a key would sign nothing: mail is signed for hosted
// domains, and for those the host's own name lies below.
func (p *program) noteForeign(ctx context.Context, o *upkeep.Opened, domain dns.Name) error {
	hosted, err := o.Accounts.IsHosted(ctx, domain)
	if err != nil || hosted {
		return err
	}
	for h := o.Config.Hostname; !h.IsZero(); h = h.Parent() {
		if h == domain {
			return nil
		}
	}
	fmt.Fprintf(p.Stderr, "note: %s is not hosted here, so the key signs nothing until \"waxwing domain add %s\"\n", domain, domain)
	return nil
}

func keyRows(ctx context.Context, o *upkeep.Opened, args []string) ([]signing.Row, error) {
	domain, err := oneDomain(args)
	if err != nil {
		return nil, err
	}
	return o.Signing.Rows(ctx, domain)
}
