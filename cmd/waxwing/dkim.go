package main

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/signing"
)

// runDKIM keeps the signing keys.
func runDKIM(ctx context.Context, e env, args []string) error {
	what, args, err := verb(args, "add", "list", "retire", "remove")
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "dkim "+what)
	f.add(fs)
	algorithm := fs.String("algorithm", "ed25519", "of a new key: ed25519 or rsa")
	selector := fs.String("selector", "", "of the key; made from date and algorithm if empty")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	domain := dns.Name{}
	if len(rest) == 1 {
		if domain, err = dns.ParseName(rest[0]); err != nil {
			return usagef("%v", err)
		}
	}
	if len(rest) > 1 || what != "list" && len(rest) == 0 {
		return usagef("%s needs one domain", what)
	}
	return withStore(ctx, e, f, func(o *opened) error {
		switch what {
		case "list":
			return listKeys(ctx, e, o, domain, f.json)
		case "add":
			return addKey(ctx, e, o, domain, *selector, *algorithm)
		case "retire":
			err = o.signing.SetState(ctx, domain, *selector, signing.Retired)
		default:
			err = o.signing.RemoveKey(ctx, domain, *selector)
		}
		if err != nil {
			return fmt.Errorf("DKIM key %s of %s: %w", *selector, domain, err)
		}
		return nil
	})
}

func addKey(ctx context.Context, e env, o *opened, domain dns.Name, selector, algorithm string) error {
	key, err := newKey(algorithm)
	if err != nil {
		return err
	}
	if selector == "" {
		selector = time.Now().UTC().Format("2006-01") + "-" + algorithm
	}
	k, err := o.signing.AddKey(ctx, domain, selector, key)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s._domainkey.%s. TXT %q\n", k.Selector, k.Domain, k.Record)
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

func listKeys(ctx context.Context, e env, o *opened, domain dns.Name, asJSON bool) error {
	all, err := o.signing.Keys(ctx, domain)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(e.stdout, all)
	}
	rows := [][]string{}
	for _, k := range all {
		rows = append(rows, []string{k.Domain.Unicode(), k.Selector, k.Algorithm, string(k.State), k.Record})
	}
	return table(e.stdout, []string{"DOMAIN", "SELECTOR", "ALGORITHM", "STATE", "TXT RECORD"}, rows)
}
