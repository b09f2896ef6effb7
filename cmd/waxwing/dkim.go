package main

import (
	"context"
	"crypto"
	"fmt"
	"strconv"
	"strings"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/server"
	"waxwing/internal/signing"
)

func dkimActions() []action {
	return []action{
		{"add", "DOMAIN [FLAGS]", "make a key and print the record to publish"},
		{"list", "[DOMAIN]", "all keys, whether they sign, and their records"},
		{"check", "[DOMAIN]", "look for the records in DNS now, and list them"},
		{"sign", "DOMAIN -selector S", "sign with a key before DNS shows its record"},
		{"retire", "DOMAIN -selector S", "sign with it no more; its record stays for a while"},
		{"remove", "DOMAIN -selector S", "forget a key for good"},
	}
}

// runDKIM keeps the signing keys.
func runDKIM(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "dkim", args)
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "dkim", what)
	f.addJSON(fs, what, "add", "list", "check")
	algorithm, selector, now := new(string), new(string), new(bool)
	switch what {
	case "add":
		fs.StringVar(algorithm, "algorithm", "ed25519", "`name`: ed25519 or rsa")
		fs.StringVar(selector, "selector", "", "`name` of the key; made from date and algorithm if empty")
		fs.BoolVar(now, "now", false, "sign at once, before DNS shows the record")
	case "retire", "remove", "sign":
		fs.StringVar(selector, "selector", "", "`name` of the key; \"waxwing dkim list\" shows them")
	}
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	domain := dns.Name{}
	if what != "list" && what != "check" || len(rest) > 0 {
		if err := wants(what, rest, "domain"); err != nil {
			return err
		}
		if domain, err = parseDomain(rest[0]); err != nil {
			return err
		}
	}
	if (what == "retire" || what == "remove" || what == "sign") && *selector == "" {
		return usagef("%s needs -selector; \"waxwing dkim list\" shows them", what)
	}
	return withStore(ctx, e, f, func(o *opened) error {
		switch what {
		case "list":
			return listKeys(ctx, e, o, domain, f.json)
		case "check":
			return checkKeys(ctx, e, o, domain, f.json)
		case "sign":
			return o.signing.Tell(ctx, domain, *selector)
		case "add":
			return addKey(ctx, e, o, newKeyCall{domain, *selector, *algorithm, *now, f.json})
		case "retire":
			err = o.signing.SetState(ctx, domain, *selector, signing.Retired)
		default:
			err = o.signing.RemoveKey(ctx, domain, *selector)
		}
		return err
	})
}

// newKeyCall is one call of "dkim add".
type newKeyCall struct {
	domain              dns.Name
	selector, algorithm string
	now, json           bool
}

func addKey(ctx context.Context, e env, o *opened, c newKeyCall) error {
	key, err := newKey(c.algorithm)
	if err != nil {
		return err
	}
	if err := noteForeign(ctx, e, o, c.domain); err != nil {
		return err
	}
	if c.selector == "" {
		c.selector = time.Now().UTC().Format("2006-01") + "-" + c.algorithm
	}
	k, err := o.signing.AddKey(ctx, signing.NewKey{Domain: c.domain, Selector: c.selector, Signer: key, Now: c.now})
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(e.stdout, newKeyRow(k))
	}
	if k.Stage() == signing.Waiting {
		fmt.Fprintf(e.stderr, "note: the key signs once DNS shows this record: the running server looks for it, and \"waxwing dkim check %s\" does at once\n", k.Domain)
	}
	_, err = fmt.Fprintf(e.stdout, "%s._domainkey.%s. TXT %s\n", k.Selector, k.Domain, zoneText(k.Record))
	return err
}

// checkTimeout bounds the lookups of "dkim check".
const checkTimeout = time.Minute

// checkKeys looks for the keys' records now.
func checkKeys(ctx context.Context, e env, o *opened, domain dns.Name, asJSON bool) error {
	resolver, err := server.Resolver(o.cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	w := &signing.Watcher{Keys: o.signing, DNS: resolver, Now: o.options.Now}
	if _, err := w.Look(ctx, domain, ""); err != nil {
		return err
	}
	return listKeys(ctx, e, o, domain, asJSON)
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
func noteForeign(ctx context.Context, e env, o *opened, domain dns.Name) error {
	hosted, err := o.accounts.IsHosted(ctx, domain)
	if err != nil || hosted {
		return err
	}
	for h := o.cfg.Hostname; !h.IsZero(); h = h.Parent() {
		if h == domain {
			return nil
		}
	}
	fmt.Fprintf(e.stderr, "note: %s is not hosted here, so the key signs nothing until \"waxwing domain add %s\"\n", domain, domain)
	return nil
}

func newKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ed25519":
		return dkim.GenerateEd25519()
	case "rsa":
		return dkim.GenerateRSA(2048)
	}
	return nil, usagef("-algorithm is ed25519 or rsa, not %q", algorithm)
}

// keyRow is one DKIM key as -json prints it.
type keyRow struct {
	Domain    dns.Name  `json:"domain"`
	Selector  string    `json:"selector"`
	Algorithm string    `json:"algorithm"`
	Services  []string  `json:"services,omitempty"`
	State     string    `json:"state"` // waiting (for DNS), signing, retired
	Created   time.Time `json:"created"`
	Record    string    `json:"record"`           // the TXT record to publish
	DNS       string    `json:"dns,omitempty"`    // what it showed last: shown, missing, other, failed
	Detail    string    `json:"detail,omitempty"` // why that is not shown
	Looked    time.Time `json:"looked,omitzero"`
	Since     time.Time `json:"shown_since,omitzero"`
}

func newKeyRow(k signing.Key) keyRow {
	return keyRow{k.Domain, k.Selector, k.Algorithm, k.Services, string(k.Stage()), k.Created, k.Record,
		string(k.Sight.Found), k.Sight.Detail, k.Sight.Looked, k.Sight.First}
}

// inDNS is what DNS showed of a key's record, in words.
func inDNS(s signing.Sight) string {
	switch s.Found {
	case signing.NotLooked:
		return "not looked up yet"
	case signing.Shown:
		return "shown " + moment(s.Looked)
	case signing.Missing:
		return "no record " + moment(s.Looked)
	case signing.Other:
		return "wrong: " + s.Detail
	}
	return "unknown: " + s.Detail
}

func listKeys(ctx context.Context, e env, o *opened, domain dns.Name, asJSON bool) error {
	all, err := o.signing.Keys(ctx, domain)
	if err != nil {
		return err
	}
	rows := [][]string{}
	objects := []keyRow{}
	for _, k := range all {
		objects = append(objects, newKeyRow(k))
		state := string(k.Stage())
		if k.Stage() == signing.Waiting {
			state = "waiting for DNS"
		}
		rows = append(rows, []string{k.Domain.Unicode(), k.Selector, k.Algorithm, state, inDNS(k.Sight), k.Record})
	}
	if asJSON {
		return printJSON(e.stdout, objects)
	}
	return table(e, []string{"DOMAIN", "SELECTOR", "ALGORITHM", "STATE", "DNS", "TXT RECORD"}, rows, "TXT RECORD", "ALGORITHM")
}
