package dmarc

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"waxwing/dns"
)

// Result is the result of DMARC, in the words of RFC 8601 §2.7 and RFC 9989 §9.2.
type Result string

// The results.
const (
	None      Result = "none" // DMARC does not apply
	Pass      Result = "pass"
	Fail      Result = "fail"
	TempError Result = "temperror"
)

// Identifiers are what authentication has shown of a message.
type Identifiers struct {
	From dns.Name   // the author domain
	SPF  dns.Name   // the MAIL FROM domain, if SPF passed for it; zero: it did not
	DKIM []dns.Name // the d= of each signature that is valid
	// UnknownSPF and UnknownDKIM are domains that might have passed, had no lookup failed
	// for the moment.
	UnknownSPF  dns.Name
	UnknownDKIM []dns.Name
}

// Outcome is what DMARC says of a message.
type Outcome struct {
	Result Result
	Domain dns.Name // where the policy stands; zero without one
	Record *Record  // nil without one
	// Policy is what the record asks for a message that fails, before Testing: for the
	// author domain, for a subdomain, or for one that does not exist.
	Policy Policy
	// Apply is Policy after test mode: one level below it.
	Apply Policy
	// Organizational is the author domain's.
	Organizational dns.Name
	AlignedSPF     bool
	AlignedDKIM    []dns.Name // those of the identifiers that are aligned
	Problem        string     // for TempError; Policy and Apply are set where they are known
	Secure         bool       // every answer that this rests on was Secure
}

// Check finds the policy for a message and evaluates it. It asks no more than
// it needs: nothing about identifiers where there is no policy.
func Check(ctx context.Context, r dns.Resolver, ids Identifiers) Outcome {
	c := &check{ctx: ctx, r: r, ids: ids, organizations: map[dns.Name]dns.Name{}, out: Outcome{Result: None, Secure: true}}
	if err := c.run(); err != nil {
		c.out.Result, c.out.Problem = TempError, err.Error()
	}
	return c.out
}

type check struct {
	ctx           context.Context
	r             dns.Resolver
	ids           Identifiers
	organizations map[dns.Name]dns.Name // by domain, once known
	out           Outcome
}

func (c *check) run() error {
	w, err := WalkTree(c.ctx, c.r, c.ids.From)
	if err != nil {
		c.hint(w)
		if r := c.out.Record; r != nil && c.align(r) == nil && c.out.Result == Pass {
			c.rests(false)
			return nil // by the author domain itself, which needs no walk (RFC 9989 §4.10.2)
		}
		return err
	}
	c.rests(w.Secure)
	c.out.Organizational = w.Organizational()
	c.organizations[c.ids.From] = c.out.Organizational
	found, ok := w.Policy()
	if !ok || !found.Record.Usable {
		return nil
	}
	c.out.Domain, c.out.Record = found.Domain, found.Record
	p, err := c.policy(found)
	c.asks(p, found.Record)
	if failed := c.align(found.Record); failed != nil || c.out.Result == Pass {
		return failed // what passes does so whatever the policy is
	}
	return err
}

// hint notes the policy as far as it is known where a lookup of the walk failed, so that a
// name below a domain whose DNS is broken is no way around that domain's policy. A record
// above that asks for nothing settles nothing: the one that was not found might.
func (c *check) hint(w Walk) {
	found, ok := w.Policy()
	if !ok || !found.Record.Usable {
		return
	}
	r := found.Record
	p := r.Policy
	if found.Domain != c.ids.From {
		p = max(cmp.Or(r.Subdomains, r.Policy), r.NonExistent) // the stricter one
		if p == PolicyNone {
			return
		}
	}
	c.out.Domain, c.out.Record = found.Domain, r
	c.asks(p, r)
}

// asks notes the policy that a record asks for.
func (c *check) asks(p Policy, r *Record) {
	c.out.Policy, c.out.Apply = p, p
	if r.Testing {
		c.out.Apply = p.milder()
	}
}

func (c *check) rests(secure bool) { c.out.Secure = c.out.Secure && secure }

// policy is RFC 9989 §4.10.1: p for the domain itself, np or sp below it. With an error it
// is the stricter of the two.
func (c *check) policy(f Found) (Policy, error) {
	r := f.Record
	if f.Domain == c.ids.From {
		return r.Policy, nil
	}
	sub := r.Subdomains
	if sub == "" {
		sub = r.Policy
	}
	if r.NonExistent == "" || r.NonExistent == sub {
		return sub, nil
	}
	exists, err := c.exists(c.ids.From)
	switch {
	case err != nil:
		return max(sub, r.NonExistent), err // the stricter one: the words are in that order
	case !exists:
		sub = r.NonExistent
	}
	return sub, nil
}

// exists is RFC 9989 §3.2.13: a domain without A, AAAA and MX records does not.
func (c *check) exists(domain dns.Name) (bool, error) {
	mx, err := c.r.LookupMX(c.ctx, domain)
	if err != nil || len(mx.Records) > 0 {
		c.rests(mx.Security == dns.Secure)
		return true, err
	}
	for _, look := range []func() (int, dns.Security, error){
		func() (int, dns.Security, error) {
			a, err := c.r.LookupA(c.ctx, domain)
			return len(a.Records), a.Security, err
		},
		func() (int, dns.Security, error) {
			a, err := c.r.LookupAAAA(c.ctx, domain)
			return len(a.Records), a.Security, err
		},
	} {
		n, s, err := look()
		c.rests(s == dns.Secure)
		if err != nil || n > 0 {
			return true, err
		}
	}
	c.rests(mx.Security == dns.Secure)
	return false, nil
}

// align sets the result: pass if any identifier is aligned. A failed lookup
// matters only where no other identifier passes.
func (c *check) align(r *Record) error {
	var failed error
	ok := func(id dns.Name, strict bool) bool {
		if id.IsZero() {
			return false
		}
		aligned, err := c.aligned(id, strict)
		if err != nil {
			failed = fmt.Errorf("is %s aligned with %s: %w", id, c.ids.From, err)
		}
		return aligned
	}
	c.out.AlignedSPF = ok(c.ids.SPF, r.StrictSPF)
	for _, id := range c.ids.DKIM {
		if !slices.Contains(c.out.AlignedDKIM, id) && ok(id, r.StrictDKIM) {
			c.out.AlignedDKIM = append(c.out.AlignedDKIM, id)
		}
	}
	if c.out.AlignedSPF || len(c.out.AlignedDKIM) > 0 {
		c.out.Result = Pass
		return nil
	}
	c.out.Result = Fail
	unknown := func(id dns.Name) bool { return ok(id, r.StrictDKIM) }
	switch {
	case failed != nil:
		return failed
	case ok(c.ids.UnknownSPF, r.StrictSPF):
		failed = fmt.Errorf("SPF of %s is not known for the moment", c.ids.UnknownSPF)
	case slices.ContainsFunc(c.ids.UnknownDKIM, unknown):
		failed = fmt.Errorf("a signature of %s could not be verified for the moment", c.ids.From)
	}
	return failed
}

// aligned is RFC 9989 §4.4: the same name, or relaxed, the same organizational domain.
func (c *check) aligned(id dns.Name, strict bool) (bool, error) {
	if id == c.ids.From || strict {
		return id == c.ids.From, nil
	}
	if id != c.out.Organizational && !id.Under(c.out.Organizational) {
		return false, nil // its organizational domain is another, whatever DNS says: a stranger's cannot make this fail
	}
	org, known := c.organizations[id]
	if !known {
		w, err := WalkTree(c.ctx, c.r, id)
		if err != nil {
			return false, err
		}
		c.rests(w.Secure)
		org = w.Organizational()
		c.organizations[id] = org
	}
	return org == c.out.Organizational, nil
}
