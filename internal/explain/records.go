package explain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/tlsrpt"
)

// maxReportDomains bounds the domains whose report record is looked up.
const maxReportDomains = 11

// records looks up what the plan does not need, and people want to see: the
// records of MTA-STS and TLS reporting. The resolver has the first in its cache.
func (x *Explainer) records(ctx context.Context, d delivery.RecipientDomain, dec delivery.Decision, e *Explanation) {
	if x.DNS == nil {
		return
	}
	x.txt(ctx, "_mta-sts", d.Name, e)
	for _, domain := range reportDomains(d.Name, dec) {
		a, err := x.txt(ctx, "_smtp._tls", domain, e)
		e.TLSRPT = append(e.TLSRPT, tlsRPT(domain, a, err))
	}
}

// reportDomains are the domains that TLS reports about this mail would go to:
// the recipient's, and those of hosts with TLSA records (RFC 8460 §3).
func reportDomains(d dns.Name, dec delivery.Decision) []dns.Name {
	all := []dns.Name{d}
	for _, p := range dec.Plans {
		for _, r := range p.Reports {
			if !slices.Contains(all, r.Domain) && len(all) < maxReportDomains {
				all = append(all, r.Domain)
			}
		}
	}
	return all
}

// txt looks a TXT record up and notes it as a lookup.
func (x *Explainer) txt(ctx context.Context, prefix string, d dns.Name, e *Explanation) (dns.Answer[string], error) {
	name, err := d.Prefix(prefix)
	if err != nil {
		return dns.Answer[string]{}, nil // too long a name for such a record
	}
	a, err := x.DNS.LookupTXT(ctx, name)
	l := Lookup{Name: name.ASCII(), Type: "TXT", Security: a.Security.String()}
	var de *dns.Error
	switch {
	case err != nil:
		l.Result = err.Error()
		if errors.As(err, &de) {
			l.Security = de.Security.String()
		}
	case a.NXDomain:
		l.Result = "no such name"
	case len(a.Records) == 0:
		l.Result = "no records"
	default:
		l.Result = strings.Join(quoted(a.Records), ", ")
	}
	e.Lookups = append(e.Lookups, l)
	return a, err
}

// maxShown bounds the records shown of one answer, and the octets of each.
const maxShown, maxOctets = 10, 300

func quoted(records []string) []string {
	var out []string
	for _, r := range records[:min(len(records), maxShown)] {
		if len(r) > maxOctets {
			r = r[:maxOctets] + "…"
		}
		out = append(out, fmt.Sprintf("%q", r))
	}
	if n := len(records) - maxShown; n > 0 {
		out = append(out, fmt.Sprintf("and %d more", n))
	}
	return out
}

// The words of TLSRPT.Failure that are not of DNS.
const (
	rptNone        = "none"
	rptMultiple    = "multiple"
	rptSyntax      = "syntax"
	rptUnsupported = "unsupported"
)

// tlsRPT reads a domain's answer. It is pure.
func tlsRPT(domain dns.Name, a dns.Answer[string], err error) TLSRPT {
	r := TLSRPT{Domain: domain.ASCII()}
	if err != nil {
		r.Failure, r.Detail = string(reason.DNSError), err.Error()
		var de *dns.Error
		if errors.As(err, &de) {
			r.Failure = string(de.Word())
		}
		return r
	}
	rec, err := tlsrpt.ParseRecord(a.Records)
	switch {
	case errors.Is(err, tlsrpt.ErrNoRecord):
		r.Failure = rptNone
	case errors.Is(err, tlsrpt.ErrMultiple):
		r.Failure, r.Detail = rptMultiple, err.Error()
	case err != nil:
		r.Failure, r.Detail = rptSyntax, err.Error()
	case len(rec.RUA) == 0:
		r.Failure, r.Detail = rptUnsupported, strings.Join(rec.Unsupported, ", ")
	default:
		r.RUA = rec.RUA
	}
	return r
}
