package main

import (
	"context"
	"crypto"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/cli"
	"waxwing/internal/server"
	"waxwing/internal/signing"
)

// dkimNoun keeps the signing keys.
func (p *program) dkimNoun() *cobra.Command {
	var k keyFlags
	return p.noun("dkim", "the keys that outgoing mail is signed with",
		verb{use: "add DOMAIN [FLAGS]", short: "make a key and print the record to publish", json: true, flags: k.add, example: "dkim add example.org\ndkim add example.org --algorithm rsa",
			run: onOne(p, parseDomain, func(ctx context.Context, o *opened, d dns.Name) error { return p.addKey(ctx, o, d, k) })},
		verb{use: "list [DOMAIN]", short: "all keys, whether they sign, and their records", json: true, run: list(p, p.onStore, keyRows, keyColumns())},
		verb{use: "check [DOMAIN]", short: "look for the records in DNS now, and list them", json: true, run: list(p, p.onStore, checkKeys, keyColumns())},
		verb{use: "sign DOMAIN --selector S", short: "sign with a key before DNS shows its record", flags: k.choose,
			run: k.run(p, func(ctx context.Context, s *signing.Service, d dns.Name) error { return s.Tell(ctx, d, k.selector) })},
		verb{use: "retire DOMAIN --selector S", short: "sign with it no more; its record stays for a while", flags: k.choose,
			run: k.run(p, func(ctx context.Context, s *signing.Service, d dns.Name) error {
				return s.SetState(ctx, d, k.selector, signing.Retired)
			})},
		verb{use: "remove DOMAIN --selector S", short: "forget a key for good", flags: k.choose,
			run: k.run(p, func(ctx context.Context, s *signing.Service, d dns.Name) error {
				return s.RemoveKey(ctx, d, k.selector)
			})})
}

// keyFlags are a key as it is typed.
type keyFlags struct {
	selector, algorithm string
	now                 bool
}

func (k *keyFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&k.algorithm, "algorithm", "ed25519", "`name`: ed25519 or rsa")
	fs.StringVar(&k.selector, "selector", "", "`name` of the key; made from date and algorithm if empty")
	fs.BoolVar(&k.now, "now", false, "sign at once, before DNS shows the record")
}

func (k *keyFlags) choose(fs *pflag.FlagSet) {
	fs.StringVar(&k.selector, "selector", "", "`name` of the key; \"waxwing dkim list\" shows them")
}

// run is a command that works on one key.
func (k *keyFlags) run(p *program, fn func(context.Context, *signing.Service, dns.Name) error) action {
	return onOne(p, func(s string) (dns.Name, error) {
		if k.selector == "" {
			return dns.Name{}, usagef("it needs --selector; \"waxwing dkim list\" shows them")
		}
		return parseDomain(s)
	}, func(ctx context.Context, o *opened, d dns.Name) error { return fn(ctx, o.signing, d) })
}

func (p *program) addKey(ctx context.Context, o *opened, domain dns.Name, f keyFlags) error {
	key, err := newKey(f.algorithm)
	if err != nil {
		return err
	}
	if err := p.noteForeign(ctx, o, domain); err != nil {
		return err
	}
	if f.selector == "" {
		f.selector = time.Now().UTC().Format("2006-01") + "-" + f.algorithm
	}
	k, err := o.signing.AddKey(ctx, signing.NewKey{Domain: domain, Selector: f.selector, Signer: key, Now: f.now})
	if err != nil {
		return err
	}
	if k.Stage() == signing.Waiting && !p.json {
		fmt.Fprintf(p.stderr, "note: the key signs once DNS shows this record: the running server looks for it, and \"waxwing dkim check %s\" does at once\n", k.Domain)
	}
	return p.answer(k.Row(), "%s._domainkey.%s. TXT %s", k.Selector, k.Domain, zoneText(k.Record))
}

// checkTimeout bounds the lookups of "dkim check".
const checkTimeout = time.Minute

// checkKeys looks for the keys' records now, and lists the keys.
func checkKeys(ctx context.Context, o *opened, args []string) ([]signing.Row, error) {
	domain, err := oneDomain(args)
	if err != nil {
		return nil, err
	}
	resolver, err := server.Resolver(o.cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	w := &signing.Watcher{Keys: o.signing, DNS: resolver, Now: o.options.Now}
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
	return parseDomain(args[0])
}

// zoneText is a text as a zone file has it: in strings of up to 255 octets (RFC
// 1035 §3.3), which verifiers put together again (RFC 6376 §3.6.2.2). A name
// server refuses a longer one, and the record of an RSA key is longer.
func zoneText(s string) string {
	const most = 255
	var parts []string
	for len(s) > most {
		parts, s = append(parts, strconv.Quote(s[:most])), s[most:]
	}
	return strings.Join(append(parts, strconv.Quote(s)), " ")
}

// noteForeign says when a key would sign nothing: mail is signed for hosted
// domains, and for those the host's own name lies below.
func (p *program) noteForeign(ctx context.Context, o *opened, domain dns.Name) error {
	hosted, err := o.accounts.IsHosted(ctx, domain)
	if err != nil || hosted {
		return err
	}
	for h := o.cfg.Hostname; !h.IsZero(); h = h.Parent() {
		if h == domain {
			return nil
		}
	}
	fmt.Fprintf(p.stderr, "note: %s is not hosted here, so the key signs nothing until \"waxwing domain add %s\"\n", domain, domain)
	return nil
}

func newKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ed25519":
		return dkim.GenerateEd25519()
	case "rsa":
		return dkim.GenerateRSA(2048)
	}
	return nil, usagef("--algorithm is ed25519 or rsa, not %q", algorithm)
}

// inDNS is what DNS showed of a key's record, in words.
func inDNS(r *signing.Row) any {
	switch signing.Found(r.DNS) {
	case signing.NotLooked:
		return "not looked up yet"
	case signing.Shown:
		return cli.Cell{Text: "shown ", When: r.Looked}
	case signing.Missing:
		return cli.Cell{Text: "no record ", When: r.Looked}
	case signing.Other:
		return cli.Cell{Text: "wrong: " + r.Detail, Tone: cli.Bad}
	}
	return "unknown: " + r.Detail
}

func keyRows(ctx context.Context, o *opened, args []string) ([]signing.Row, error) {
	domain, err := oneDomain(args)
	if err != nil {
		return nil, err
	}
	all, err := o.signing.Keys(ctx, domain)
	var rows []signing.Row
	for _, k := range all {
		rows = append(rows, k.Row())
	}
	return rows, err
}

func keyColumns() cli.List[signing.Row] {
	return cli.List[signing.Row]{Columns: columns("DOMAIN|SELECTOR|ALGORITHM|STATE|DNS|TXT RECORD", "TXT RECORD", "ALGORITHM"), Cells: func(r *signing.Row) []any {
		state := r.State
		if state == string(signing.Waiting) {
			state = "waiting for DNS"
		}
		return []any{r.Domain.Unicode(), r.Selector, r.Algorithm, state, inDNS(r), r.Record}
	}}
}
