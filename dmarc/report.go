package dmarc

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"waxwing/dns"
)

// Destination is a report address after the check of RFC 9990 §4.
type Destination struct {
	URI     string
	Problem string // why nothing may be sent to it; "": it may
}

// Destinations checks the report addresses of a record that stands at domain: one outside of
// its organization counts only where its host agrees. tag is "rua", or "ruf" (RFC 9991 §5).
// The error is that of a lookup that failed for the moment.
func Destinations(ctx context.Context, r dns.Resolver, domain dns.Name, uris []string, tag string) ([]Destination, error) {
	var out []Destination
	var own dns.Name // organizational domain of domain, once it is needed
	for _, uri := range uris {
		host, err := uriHost(uri)
		if err != nil {
			out = append(out, Destination{uri, err.Error()})
			continue
		}
		if host == domain {
			out = append(out, Destination{URI: uri})
			continue
		}
		if own.IsZero() {
			if own, err = organization(ctx, r, domain); err != nil {
				return nil, err
			}
		}
		theirs, err := organization(ctx, r, host)
		if err != nil {
			return nil, err
		}
		if theirs == own {
			out = append(out, Destination{URI: uri})
			continue
		}
		all, err := external(ctx, r, domain, uri, tag)
		if err != nil {
			return nil, err
		}
		out = append(out, all...)
	}
	return unique(out), nil
}

func unique(all []Destination) []Destination {
	var out []Destination
	for _, d := range all {
		if !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}

func organization(ctx context.Context, r dns.Resolver, domain dns.Name) (dns.Name, error) {
	w, err := WalkTree(ctx, r, domain)
	if err != nil {
		return dns.Name{}, fmt.Errorf("find the organizational domain of %s: %w", domain, err)
	}
	return w.Organizational(), nil
}

// external asks whether the host of an address takes reports about domain (RFC 9990 §4), and where it wants
// them instead.
func external(ctx context.Context, r dns.Resolver, domain dns.Name, uri, tag string) ([]Destination, error) {
	var name dns.Name
	host, err := uriHost(uri)
	if err == nil {
		name, err = host.Prefix("_dmarc")
	}
	if err == nil {
		name, err = name.Prefix("_report")
	}
	if err == nil {
		name, err = dns.ParseLax(domain.ASCII() + "." + name.ASCII())
	}
	if err != nil {
		return []Destination{{uri, fmt.Sprintf("whether %s takes reports about %s cannot be asked: %s", host, domain, err)}}, nil
	}
	a, err := r.LookupTXT(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("look up whether %s takes reports: %w", host, err)
	}
	agrees := false
	var instead []string
	for _, text := range a.Records {
		rec, err := Parse(text)
		if err != nil {
			continue
		}
		agrees = true
		if tag == "ruf" {
			instead = append(instead, rec.RUF...)
		} else {
			instead = append(instead, rec.RUA...)
		}
	}
	switch {
	case !agrees:
		return []Destination{{uri, fmt.Sprintf("%s does not say that it takes reports about %s (no v=DMARC1 at %s)", host, domain, name)}}, nil
	case len(instead) == 0:
		return []Destination{{URI: uri}}, nil
	}
	var out []Destination
	for _, other := range instead {
		if at, err := uriHost(other); err != nil || at != host {
			return []Destination{{uri, fmt.Sprintf("%s names the address %s, which is of another host", name, other)}}, nil
		}
		out = append(out, Destination{URI: other})
	}
	return out, nil
}

// uriHost is the host of a report address: of mailto, the domain.
func uriHost(uri string) (dns.Name, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return dns.Name{}, err
	}
	host := u.Hostname()
	if strings.EqualFold(u.Scheme, "mailto") {
		host = u.Opaque[strings.LastIndexByte(u.Opaque, '@')+1:]
	}
	n, err := dns.ParseName(host)
	if err != nil {
		return n, fmt.Errorf("%s: %w", uri, err)
	}
	return n, nil
}
