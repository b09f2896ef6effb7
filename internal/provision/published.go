package provision

import (
	"errors"
	"fmt"
	"strings"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/inventory"
	"waxwing/internal/signing"
	"waxwing/internal/stspublish"
	"waxwing/mtasts"
)

// policyOf reads a policy. Its error begins with what is wrong.
func policyOf(e inventory.Policy) (dns.Name, *mtasts.Policy, error) {
	domain, err := dns.ParseName(e.Domain)
	if err != nil {
		return domain, nil, err
	}
	age, err := config.ParseDuration(e.MaxAge)
	if err != nil {
		return domain, nil, fmt.Errorf("max_age: %w", err)
	}
	if len(e.MX) == 0 && e.Mode != string(mtasts.ModeNone) {
		return domain, nil, errors.New("mx: name the hosts that take the domain's mail")
	}
	p, err := stspublish.NewPolicy(e.Mode, age, strings.Join(e.MX, ","), domain)
	if err == nil && len(e.MX) == 0 {
		p.MX = nil
	}
	return domain, p, err
}

func policyEntry(domain dns.Name, p *mtasts.Policy) inventory.Policy {
	e := inventory.Policy{Domain: domain.ASCII(), Mode: string(p.Mode), MaxAge: config.FormatDuration(p.MaxAge)}
	for _, mx := range p.MX {
		e.MX = append(e.MX, mx.String())
	}
	return e
}

func checkPolicy(e *inventory.Policy, fault faulty) {
	domain, p, err := policyOf(*e)
	fault("", err)
	if err == nil {
		*e = policyEntry(domain, p)
	}
}

func readPolicies(in within) (out []inventory.Policy, err error) {
	all, err := in.Policies.Within(in.tx).List()
	for _, p := range all {
		out = append(out, policyEntry(p.Domain, p.Policy))
	}
	return out, err
}

func putPolicy(in within, p put[inventory.Policy]) error {
	domain, policy, err := policyOf(p.after)
	if err != nil {
		return err
	}
	return in.Policies.Within(in.tx).Put(domain, policy)
}

func removePolicy(in within, p inventory.Policy) error {
	domain, err := dns.ParseName(p.Domain)
	if err != nil {
		return err
	}
	return in.Policies.Within(in.tx).Remove(domain)
}

func checkKey(k *inventory.Key, fault faulty) {
	domain, err := cleanName(&k.Domain)
	fault("domain", err)
	if k.Selector = strings.ToLower(k.Selector); err == nil {
		_, err := domain.Prefix(k.Selector + "._domainkey")
		fault("selector", err)
	}
	fault("services", signing.CheckServices(k.Services))
	if k.PrivateKey == "" {
		return
	}
	half, err := signing.ParseHalf(k.PrivateKey, k.Services)
	switch {
	case err != nil:
		fault("private_key", err)
	case k.Record != "" && k.Record != half.Record:
		fault("record", fmt.Errorf("it is not that of the private key, which is %s", half.Record))
	default:
		k.PrivateKey, k.Record = half.Private, half.Record
	}
}

func readKeys(in within) (out []inventory.Key, err error) {
	all, err := in.Signing.Within(in.tx).Whole()
	for _, k := range all {
		out = append(out, inventory.Key{Domain: k.Domain.ASCII(), Selector: k.Selector, Services: k.Services, Retired: k.State == signing.Retired,
			SignAtOnce: k.Told, Record: k.Record, PrivateKey: k.Private})
	}
	return out, err
}

// putKey changes a key, or puts another in its place, which then waits for DNS anew.
func putKey(in within, p put[inventory.Key]) error {
	w, e := in.Signing.Within(in.tx), p.after
	domain, err := dns.ParseName(e.Domain)
	if err != nil {
		return err
	}
	old := p.before
	if p.isNew || e.PrivateKey != old.PrivateKey || e.Record != old.Record {
		if !p.isNew {
			if err := w.RemoveKey(domain, e.Selector); err != nil {
				return err
			}
		}
		half, err := signing.ParseHalf(e.PrivateKey, e.Services)
		if err != nil {
			return err
		}
		if _, err := w.AddKey(signing.NewKey{Domain: domain, Selector: e.Selector, Signer: half.Signer, Services: e.Services, Now: e.SignAtOnce}); err != nil {
			return err
		}
		old = inventory.Key{SignAtOnce: e.SignAtOnce}
	}
	if old.SignAtOnce != e.SignAtOnce {
		if err := w.SetTold(domain, e.Selector, e.SignAtOnce); err != nil {
			return err
		}
	}
	if old.Retired == e.Retired {
		return nil
	}
	state := signing.Active
	if e.Retired {
		state = signing.Retired
	}
	return w.SetState(domain, e.Selector, state)
}

func removeKey(in within, k inventory.Key) error {
	domain, err := dns.ParseName(k.Domain)
	if err != nil {
		return err
	}
	return in.Signing.Within(in.tx).RemoveKey(domain, k.Selector)
}
