package destination

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// dane looks for the TLSA records of a host whose addresses are known
// (DANE-3, RFC 7672 §2.2.2).
func (f *Finder) dane(ctx context.Context, h *hostFacts, t target) delivery.DANE {
	bases, ask := bases(h)
	if ask {
		// The addresses are Insecure behind an alias; the alias itself may be Secure.
		switch err := f.aliasSecure(ctx, h.name, &h.lookups); {
		case errors.Is(err, errNotSecure):
			return delivery.DANE{}
		case err != nil:
			return failed(h.name, err)
		}
		bases = []dns.Name{h.name}
	}
	if t.secure && len(bases) == 0 && h.security() == dns.Indeterminate {
		return failed(h.name, errors.New("the DNSSEC state of its addresses is not known"))
	}
	for _, base := range bases {
		name, err := base.Prefix(fmt.Sprintf("_%d._tcp", f.port()))
		if err != nil {
			// Too long a name to have TLSA records.
			continue
		}
		a, err := f.DNS.LookupTLSA(ctx, name)
		h.lookups.add(name, "TLSA", a.Security, describe(a, err, dns.TLSA.String))
		if d := daneOf(base, a, err); d.State != delivery.DANENone {
			d.References = references(base, t)
			return d
		}
	}
	return delivery.DANE{}
}

func (f *Finder) port() int {
	if f.Port > 0 {
		return f.Port
	}
	return 25
}

// bases is the candidates for the TLSA base domain, in order (DANE-3, pure):
// the expanded name and the name itself where the addresses are Secure. askAlias:
// only a CNAME lookup of the host can tell.
func bases(h *hostFacts) (names []dns.Name, askAlias bool) {
	for _, a := range h.answers() {
		switch {
		case a.Security == dns.Secure:
			if a.Canonical() != h.name {
				return []dns.Name{a.Canonical(), h.name}, false
			}
			return []dns.Name{h.name}, false
		case a.Security == dns.Insecure && len(a.Chain) > 0:
			askAlias = true
		}
	}
	return nil, askAlias
}

// daneOf is DANE-4 (pure).
func daneOf(base dns.Name, a dns.Answer[dns.TLSA], err error) delivery.DANE {
	switch {
	case err != nil:
		return failed(base, err)
	case a.Security == dns.Insecure || a.Security == dns.Secure && len(a.Records) == 0:
		return delivery.DANE{}
	case a.Security != dns.Secure:
		return failed(base, fmt.Errorf("the DNSSEC state of its TLSA records is %s", a.Security))
	}
	usable, unusable := dane.Usable(a.Records)
	d := delivery.DANE{State: delivery.DANEUsable, Base: base, Records: usable}
	for _, r := range a.Records {
		d.Strings = append(d.Strings, r.String())
	}
	if len(usable) == 0 {
		d.State = delivery.DANEUnusable
		d.Fail = &delivery.Failure{
			Word: reason.TLSAUnusable,
			Text: fmt.Sprintf("none of the %d TLSA records of %s can be used for SMTP", unusable, base),
		}
	}
	return d
}

// failed is a host that must not be used now (RFC 7672 §2.1.2).
func failed(base dns.Name, err error) delivery.DANE {
	f := lookupFailure(err)
	if _, ok := errors.AsType[*dns.Error](err); !ok {
		f.Word = reason.DNSIndeterminate
	}
	f.Text = fmt.Sprintf("whether %s has TLSA records cannot be found out: %s", base, f.Text)
	return delivery.DANE{State: delivery.DANEFailed, Base: base, Fail: f}
}

// references is the names a DANE-TA certificate may carry (DANE-5, RFC 7672
// §3.2.2): the base, and where the next hop was Secure, the domain and its expansion.
func references(base dns.Name, t target) []dns.Name {
	out := []dns.Name{base}
	add := func(n dns.Name) {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	if t.secure {
		add(t.domain)
		add(t.expanded)
	} else if !t.hasMX {
		// Without MX the base is the domain or where its own alias leads.
		add(t.domain)
	}
	return out
}
