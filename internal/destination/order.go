package destination

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/smtp"
)

// candidate is a host that may take the mail.
type candidate struct {
	name dns.Name
	pref uint16
}

// The enhanced codes of RFC 3463 §3, RFC 7505 §4.2 that failures carry.
var (
	badDomain   = smtp.Enhanced{Class: 5, Subject: 1, Detail: 2}
	nullMX      = smtp.Enhanced{Class: 5, Subject: 1, Detail: 10}
	noAddress   = smtp.Enhanced{Class: 5, Subject: 4, Detail: 4}
	routingLoop = smtp.Enhanced{Class: 5, Subject: 4, Detail: 6}
	dnsFailed   = smtp.Enhanced{Class: 4, Subject: 4, Detail: 3}
)

func permanent(word reason.Word, e smtp.Enhanced, format string, args ...any) *delivery.Failure {
	return &delivery.Failure{Word: word, Permanent: true, Enhanced: e, Text: fmt.Sprintf(format, args...)}
}

// lookupFailure is a failed lookup: always temporary (RFC 7672 §2.1.2).
func lookupFailure(err error) *delivery.Failure {
	f := &delivery.Failure{Word: reason.DNSError, Enhanced: dnsFailed, Text: err.Error()}
	if e, ok := errors.AsType[*dns.Error](err); ok {
		f.Word = e.Word()
		if len(e.EDE) > 0 {
			f.EDE = e.EDE[0].Code
		}
	}
	return f
}

// candidates reads the MX answer (DST-1, pure): the hosts it names, or the
// domain itself where it has no MX, or why there are none.
func candidates(domain dns.Name, mx dns.Answer[dns.MX]) ([]candidate, *delivery.Failure) {
	switch {
	case mx.NXDomain:
		return nil, permanent(reason.NoSuchDomain, badDomain, "the domain %s does not exist", domain)
	case len(mx.Records) == 0:
		return []candidate{{name: domain}}, nil
	}
	var out []candidate
	null := false
	for _, m := range mx.Records {
		null = null || m.Null
		if m.Null || m.Host.IsZero() {
			continue
		}
		out = append(out, candidate{m.Host, m.Pref})
	}
	switch {
	case len(out) > 0:
		// RFC 7505 §3: a null MX beside others is a mistake; the others count.
		return out, nil
	case null:
		return nil, permanent(reason.NullMX, nullMX, "the domain %s takes no mail (null MX)", domain)
	}
	return nil, permanent(reason.MXUnusable, noAddress, "none of the MX records of %s names a host", domain)
}

// order sorts by preference, shuffles equal ones, drops ourselves and what is
// not better than us, and keeps the best limit (DST-2, DST-4). Pure but for shuffle.
func order(cs []candidate, limit int, self func(dns.Name, []netip.Addr) bool, shuffle func(int, func(i, j int))) ([]candidate, *delivery.Failure) {
	out := slices.Clone(cs)
	shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	slices.SortStableFunc(out, func(a, b candidate) int { return int(a.pref) - int(b.pref) })
	seen := make(map[dns.Name]bool)
	out = slices.DeleteFunc(out, func(c candidate) bool {
		double := seen[c.name]
		seen[c.name] = true
		return double
	})
	for _, c := range out {
		if self(c.name, nil) {
			out = slices.DeleteFunc(out, func(o candidate) bool { return o.pref >= c.pref })
			if len(out) == 0 {
				return nil, selfFailure(c.name)
			}
			break
		}
	}
	return out[:min(len(out), limit)], nil
}

func selfFailure(name dns.Name) *delivery.Failure {
	return permanent(reason.MXSelf, routingLoop, "the best host for the domain is %s, this server, which does not take its mail", name)
}
