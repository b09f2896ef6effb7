package dnsfinding

import (
	"fmt"
	"net/netip"
	"slices"

	"waxwing/dns"
	"waxwing/internal/dnsrecords"
)

// wanted is the data of the records that are to be published for a purpose.
func (r *report) wanted(p dnsrecords.Purpose) string {
	return list(slices.DeleteFunc(dnsrecords.All(r.Wanted.Host, r.Wanted.Domain), func(x dnsrecords.Record) bool { return x.Purpose != p }),
		func(x dnsrecords.Record) string { return x.Value })
}

// findMX is where mail for the domain goes.
func (r *report) findMX() {
	domain := r.Wanted.Domain.Name.ASCII()
	subject := domain + " MX"
	mark := len(r.found)
	if failed(r, &r.MX, subject) {
		return
	}
	if r.MX.NXDomain {
		r.add(NoDomain, domain, "", "")
		return
	}
	seen := list(r.MX.Records, mxText)
	null := slices.ContainsFunc(r.MX.Records, func(m dns.MX) bool { return m.Null })
	switch {
	case len(r.MX.Records) == 0:
		r.add(MXMissing, subject, "", r.wanted(dnsrecords.Mail))
	case null && len(r.MX.Records) == 1:
		r.add(NullMX, subject, seen, r.wanted(dnsrecords.Mail))
	case null:
		r.add(NullMXMixed, subject, seen, r.wanted(dnsrecords.Mail))
	case !slices.ContainsFunc(r.MX.Records, func(m dns.MX) bool { return m.Host == r.Wanted.Host.Name }):
		r.add(MXOther, subject, seen, r.wanted(dnsrecords.Mail))
	}
	for _, m := range r.MX.Records {
		switch {
		case m.Null:
		case m.Host.IsZero():
			r.add(MXUnusable, subject, mxText(m), r.wanted(dnsrecords.Mail))
		case m.Host != r.Wanted.Host.Name:
			r.add(MXForeign, subject, mxText(m), r.wanted(dnsrecords.Mail))
		}
	}
	r.secured(r.MX.Security, ZoneInsecure, domain)
	r.ok(mark, subject, seen)
}

// findServers is who serves the domain's zone.
func (r *report) findServers() {
	s := &r.NS
	subject := r.Wanted.Domain.Name.ASCII() + " NS"
	if !s.Zone.IsZero() {
		subject = s.Zone.ASCII() + " NS"
	}
	mark := len(r.found)
	if failed(r, &s.NS, subject) {
		return
	}
	seen := list(s.NS.Records, dns.Name.String)
	with := 0
	for i := range s.AAAA {
		if failed(r, &s.AAAA[i].Addr, s.AAAA[i].Name.ASCII()+" AAAA") {
			return
		}
		if len(s.AAAA[i].Addr.Records) > 0 {
			with++
		}
	}
	switch {
	case len(s.NS.Records) < 2:
		r.add(NSFew, subject, seen, "two or more")
	case with < 2:
		r.add(NSNoIPv6, subject, seen, "two with AAAA records")
	}
	r.ok(mark, subject, seen)
}

// secured notes what DNSSEC does not secure.
func (r *report) secured(s dns.Security, w Word, subject string) {
	switch s {
	case dns.Insecure:
		r.add(w, subject, s.String(), dns.Secure.String())
	case dns.Indeterminate:
		r.add(NoDNSSEC, "the resolver", s.String(), "")
	}
}

func mxText(m dns.MX) string {
	switch {
	case m.Null:
		return fmt.Sprintf("%d .", m.Pref)
	case m.Host.IsZero():
		return fmt.Sprintf("%d (no host name)", m.Pref)
	}
	return fmt.Sprintf("%d %s.", m.Pref, m.Host)
}

// findAddresses is where a mail host is.
func (r *report) findAddresses(h *Host) {
	name := h.Name.ASCII()
	mark := len(r.found)
	bad4, bad6 := failed(r, &h.A, name+" A"), failed(r, &h.AAAA, name+" AAAA")
	if h.Named && !failed(r, &h.Alias, name+" CNAME") && len(h.Alias.Records) > 0 {
		r.add(MXAlias, name, "CNAME "+h.Alias.Records[0].ASCII()+".", "")
	}
	all := slices.Concat(h.A.Records, h.AAAA.Records)
	seen := list(all, netip.Addr.String)
	for _, a := range all {
		if dns.PrivateAddr(a) && !r.Wanted.Inside {
			r.add(AddressPrivate, name, a.String(), "")
		}
	}
	if bad4 || bad6 {
		return
	}
	if len(all) == 0 {
		r.add(NoAddress, name, "", r.wantedAddresses(h))
		return
	}
	if len(h.AAAA.Records) == 0 {
		r.add(NoIPv6, name+" AAAA", seen, "")
	}
	if h.Ours {
		r.ownAddresses(h, all)
	}
	security := h.A.Security
	if len(h.A.Records) == 0 {
		security = h.AAAA.Security
	}
	if h.TLSA.Failed() || len(h.TLSA.Records) == 0 {
		r.secured(security, HostInsecure, name)
	}
	r.ok(mark, name+" A, AAAA", seen)
}

func (r *report) wantedAddresses(h *Host) string {
	if !h.Ours {
		return ""
	}
	return list(r.Wanted.Host.Addrs, netip.Addr.String)
}

// ownAddresses compares the addresses of this host with those of the machine, as far as
// they are known.
func (r *report) ownAddresses(h *Host, all []netip.Addr) {
	name, own := h.Name.ASCII(), r.Wanted.Host.Addrs
	if len(own) == 0 {
		return
	}
	if !slices.ContainsFunc(all, func(a netip.Addr) bool { return slices.Contains(own, a) }) {
		r.add(AddressOther, name, list(all, netip.Addr.String), r.wantedAddresses(h))
		return
	}
	for _, a := range own {
		if !slices.Contains(all, a) {
			r.add(AddressMissing, name, list(all, netip.Addr.String), a.String())
		}
	}
	for _, a := range all {
		if !slices.Contains(own, a) {
			r.add(AddressExtra, name, a.String(), r.wantedAddresses(h))
		}
	}
}

// findReverse is the name of an address that mail leaves from (iprev).
func (r *report) findReverse(v *Reverse) {
	subject := v.Source.Addr.String() + " PTR"
	mark := len(r.found)
	if failed(r, &v.PTR, subject) {
		return
	}
	wanted := v.Source.EHLO.ASCII() + "."
	seen := list(v.PTR.Records, func(n dns.Name) string { return n.ASCII() + "." })
	if len(v.PTR.Records) == 0 {
		r.add(PTRMissing, subject, "", wanted)
		return
	}
	back, unseen := false, false
	for i := range v.Forward {
		f := &v.Forward[i]
		switch {
		case slices.Contains(f.Addr.Records, v.Source.Addr):
			back = true
		case f.Addr.Failed():
			unseen = true
		}
	}
	switch {
	case back && slices.Contains(v.PTR.Records, v.Source.EHLO):
	case back:
		r.add(PTRName, subject, seen, wanted)
	case unseen || len(v.Forward) == 0:
		r.add(LookupFailed, subject, seen, "")
	default:
		r.add(PTROther, subject, seen, wanted)
	}
	r.ok(mark, subject, seen)
}
