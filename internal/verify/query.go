package verify

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/disposition"
	"waxwing/internal/junk"
	"waxwing/spf"
)

// Query is what the facts that are kept with messages are searched for: all conditions hold (AUT-2).
type Query []Condition

// Condition is one fact by its name, and the value that it has to have.
type Condition struct {
	name, value string
	domain      dns.Name     // of names that are domains
	network     netip.Prefix // of client
}

// Kept is what is kept with a message; Facts nil: nobody looked who sent it, Junk nil: nobody weighed it.
type Kept struct {
	Facts *Facts
	Junk  *junk.Decision
}

// fact is one name of a condition.
type fact struct {
	values []string // that it can have; nil: any
	domain bool     // its value is a domain, which stands for those below it too
	holds  func(c *Condition, k Kept) bool
}

var (
	spfResults    = []string{string(spf.None), string(spf.Neutral), string(spf.Pass), string(spf.Fail), string(spf.SoftFail), string(spf.TempError), string(spf.PermError)}
	otherResults  = []string{"none", "pass", "fail", "policy", "temperror", "permerror"}
	dispositions  = []string{disposition.Deliver.String(), disposition.Junk.String(), disposition.Reject.String(), disposition.Defer.String()}
	junkDecisions = []string{junk.Inbox.String(), junk.Junk.String(), junk.Reject.String()}
)

// facts are the names by which messages are searched.
var facts = map[string]fact{
	"decided": {values: dispositions, holds: func(c *Condition, k Kept) bool { return k.Facts.Decision.Action.String() == c.value }},
	"reason":  {holds: reasoned},
	"client":  {holds: func(c *Condition, k Kept) bool { return c.network.Contains(k.Facts.IP.Unmap()) }},
	"helo": {holds: func(c *Condition, k Kept) bool {
		return strings.EqualFold(strings.TrimSuffix(k.Facts.HELO, "."), c.value)
	}},
	"sender": {domain: true, holds: func(c *Condition, k Kept) bool { return c.names(domainOf(Client{Sender: k.Facts.Sender})) }},
	"author": {domain: true, holds: func(c *Condition, k Kept) bool {
		return anyOf(k.Facts.DMARC, func(d DMARC) bool { return c.under(d.From) })
	}},
	"signed": {domain: true, holds: func(c *Condition, k Kept) bool {
		return anyOf(k.Facts.DKIM, func(s Signature) bool { return s.Result == dkim.Pass && c.under(s.Domain) })
	}},
	"iprev": {values: otherResults, holds: func(c *Condition, k Kept) bool { return k.Facts.IPRev.Result == c.value }},
	"spf": {values: spfResults, holds: func(c *Condition, k Kept) bool {
		n := len(k.Facts.SPF) // the last one is of the reverse-path, where it has a domain
		return n > 0 && string(k.Facts.SPF[n-1].Result) == c.value
	}},
	"dkim": {values: otherResults, holds: func(c *Condition, k Kept) bool {
		return len(k.Facts.DKIM) == 0 && c.value == "none" || anyOf(k.Facts.DKIM, func(s Signature) bool { return string(s.Result) == c.value })
	}},
	"dmarc": {values: otherResults, holds: func(c *Condition, k Kept) bool {
		return k.Facts.Author != "" && c.value == "permerror" || anyOf(k.Facts.DMARC, func(d DMARC) bool { return string(d.Result) == c.value })
	}},
	"arc": {values: otherResults, holds: func(c *Condition, k Kept) bool {
		if k.Facts.ARC == nil {
			return c.value == "none"
		}
		return string(k.Facts.ARC.Result) == c.value
	}},
	"dnssec": {values: []string{"yes", "no"}, holds: func(c *Condition, k Kept) bool {
		insecure := len(k.Facts.DMARC) == 0 || anyOf(k.Facts.DMARC, func(d DMARC) bool { return !d.Secure })
		return insecure == (c.value == "no")
	}},
	"junk": {values: junkDecisions, holds: func(c *Condition, k Kept) bool { return k.Junk != nil && k.Junk.Action.String() == c.value }},
}

// FactNames are the names of conditions, for people.
func FactNames() []string { return slices.Sorted(maps.Keys(facts)) }

// ParseCondition reads a condition such as "dmarc=fail" or "client=192.0.2.0/24".
func ParseCondition(s string) (Condition, error) {
	name, value, ok := strings.Cut(s, "=")
	f, known := facts[name]
	switch {
	case !ok || value == "":
		return Condition{}, fmt.Errorf("%q is no fact with its value, such as dmarc=fail", s)
	case !known:
		return Condition{}, fmt.Errorf("there is no fact %q: %s", name, strings.Join(FactNames(), ", "))
	case f.values != nil && !slices.Contains(f.values, value):
		return Condition{}, fmt.Errorf("%s is never %q: it is %s", name, value, strings.Join(f.values, ", "))
	}
	c := Condition{name: name, value: value}
	var err error
	switch {
	case f.domain:
		c.domain, err = dns.ParseName(value)
	case name == "client":
		c.network, err = network(value)
	}
	if err != nil {
		return Condition{}, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// network reads an address, or a network such as 192.0.2.0/24.
func network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address nor a network such as 192.0.2.0/24", s)
	}
	return p.Masked(), nil
}

// Matches reports that all conditions hold of what is kept with a message. Of one about which nobody
// found anything out, none does.
func (q Query) Matches(k Kept) bool {
	if k.Facts == nil {
		return false
	}
	for i := range q {
		if !facts[q[i].name].holds(&q[i], k) {
			return false
		}
	}
	return true
}

// reasoned is whether a word is among the reasons of what was decided.
func reasoned(c *Condition, k Kept) bool {
	d := k.Facts.Decision
	return string(d.Word) == c.value || string(d.Override) == c.value ||
		k.Junk != nil && anyOf(k.Junk.Evidence, func(e junk.Evidence) bool { return string(e.Word) == c.value })
}

func (c *Condition) under(n dns.Name) bool { return n == c.domain || n.Under(c.domain) }

func (c *Condition) names(domain string) bool {
	n, err := dns.ParseName(domain)
	return err == nil && c.under(n)
}

func anyOf[T any](all []T, is func(T) bool) bool { return slices.ContainsFunc(all, is) }
