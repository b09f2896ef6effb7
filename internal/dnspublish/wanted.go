package dnspublish

import (
	"slices"
	"time"

	"waxwing/dns"
	"waxwing/internal/dnsplan"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/publication"
	"waxwing/internal/zones"
)

// want is a record set that should stand in DNS.
type want struct {
	publication.Key
	scope   dns.Name // the hosted domain that it is for; zero: the host
	purpose dnsrecords.Purpose
	set     publication.Set
}

// wants makes record sets of a plan, in the order of publishing. What somebody else sets
// (PTR) is not among them.
func wants(plan dnsplan.Plan) ([]want, error) {
	scopes := scopesOf(plan)
	var out []want
	for _, r := range plan.Records() {
		if r.Elsewhere {
			continue
		}
		value, err := zones.Canonical(r.Type, r.Value)
		if err != nil {
			return nil, err
		}
		k := publication.Key{Name: r.Name, Type: r.Type}
		i := slices.IndexFunc(out, func(w want) bool { return w.Key == k })
		if i < 0 {
			i = len(out)
			out = append(out, want{Key: k, scope: scopes[k], purpose: r.Purpose, set: publication.Set{TTL: r.TTL}})
		}
		out[i].set.Values = append(out[i].set.Values, value)
		out[i].set.Signed = out[i].set.Signed || r.Signed
	}
	return out, nil
}

// scopesOf says for which domain each set is: the zero Name for those of the host, or of
// several domains.
func scopesOf(plan dnsplan.Plan) map[publication.Key]dns.Name {
	scopes := map[publication.Key]dns.Name{}
	note := func(all []dnsrecords.Record, scope dns.Name) {
		for _, r := range all {
			k := publication.Key{Name: r.Name, Type: r.Type}
			if old, known := scopes[k]; known && old != scope {
				scope = dns.Name{}
			}
			scopes[k] = scope
		}
	}
	note(dnsrecords.ForHost(plan.Host), dns.Name{})
	for _, d := range plan.Domains {
		note(dnsrecords.ForDomain(d, plan.Host), d.Name)
	}
	return scopes
}

// stay is for how long records stay that are not wanted any more, by what they are for
// (CRT-6): caches have TLSA records, mail that a DKIM key signed is under way, and an
// address may be missing only until an interface is up again.
func stay(p dnsrecords.Purpose) publication.Stay {
	switch p {
	case dnsrecords.HostTLSA:
		return publication.Stay{Least: 24 * time.Hour, Times: 2, Beside: true}
	case dnsrecords.DKIM:
		return publication.Stay{Least: 14 * 24 * time.Hour, Times: 2}
	case dnsrecords.Address:
		return publication.Stay{Least: 24 * time.Hour}
	}
	return publication.Stay{}
}
