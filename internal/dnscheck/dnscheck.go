// Package dnscheck looks at what stands in DNS for a hosted domain and at what answers
// where it leads, as a stranger would: all at once, and within a bound. Package
// dnsfinding decides about what it saw (DNS-C). Watch repeats that and tells of changes for the
// worse (DNS-W).
package dnscheck

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"waxwing/dmarc"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/foreign"
	"waxwing/internal/guard"
	"waxwing/internal/policy"
	"waxwing/internal/reason"
	"waxwing/internal/session"
	"waxwing/mtasts"
	"waxwing/spf"
)

// Prober connects to one address of a host and looks at it; session.Client does.
type Prober interface {
	Probe(ctx context.Context, plan delivery.Plan, addr netip.Addr) session.Probe
}

// Fetcher gets an MTA-STS policy; mtasts.Fetcher does.
type Fetcher interface {
	Fetch(ctx context.Context, domain dns.Name) (*mtasts.Policy, []byte, *mtasts.Error)
}

// Checker looks. All fields but Timeout are needed; they must not change once it is in
// use. It is safe for concurrent use.
type Checker struct {
	DNS     dns.Resolver // without a cache: what is published now is what matters
	Prober  Prober
	Fetcher Fetcher
	// Mailbox says of a report address whether it is one of a domain that is hosted here,
	// and then whether somebody has it.
	Mailbox func(ctx context.Context, address string) (hosted, there bool, err error)
	Now     func() time.Time
	Timeout time.Duration // of everything; 0: 30 s
}

// Bounds of one check. What is beyond them is not looked at, and is not found to be well.
const (
	defaultTimeout = 30 * time.Second
	contactTimeout = 20 * time.Second
	fetchTimeout   = 20 * time.Second
	maxHosts       = 10
	maxAddrs       = 8 // of one host
	maxSources     = 16
	maxNames       = 5 // of one address
	maxConsents    = 10
	maxServers     = 13
)

// Check looks at everything, and says what it found.
func (c *Checker) Check(ctx context.Context, w dnsfinding.Wanted) []dnsfinding.Finding {
	return dnsfinding.Decide(c.Look(ctx, w))
}

// Look looks at everything. It never takes longer than Timeout; what was not seen by then
// is told as not seen.
func (c *Checker) Look(ctx context.Context, w dnsfinding.Wanted) dnsfinding.Facts {
	timeout := c.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l := &look{Checker: c, ctx: ctx, domain: w.Domain.Name, host: w.Host.Name, facts: dnsfinding.Facts{Now: c.Now(), Wanted: w, DKIM: map[string]dnsfinding.Seen[string]{}, Mailboxes: map[string]bool{}}}
	l.everything()
	return l.facts
}

// look is one check under way. Each of its parts writes fields of facts that no other
// part does.
type look struct {
	*Checker
	ctx          context.Context
	domain, host dns.Name
	facts        dnsfinding.Facts
}

func (l *look) everything() {
	var all guard.Group
	f := &l.facts
	all.Go(l.lookAtServers)
	all.Go(l.lookAtHosts)
	all.Go(l.lookAtSources)
	all.Go(func() { l.text(&f.Texts.HostSPF, "", l.host) })
	all.Go(l.lookAtDKIM)
	all.Go(l.lookAtReports)
	all.Go(l.lookAtPolicy)
	all.Go(l.lookAtCAA)
	all.Go(l.lookAtServices)
	all.Go(l.lookAtSetup)
	all.Wait()
}

// seen makes a fact of a lookup.
func seen[T any](a dns.Answer[T], err error) dnsfinding.Seen[T] {
	return dnsfinding.Seen[T]{Answer: a, Asked: true, Err: err}
}

// text looks a TXT record up.
func (l *look) text(into *dnsfinding.Seen[string], labels string, name dns.Name) {
	at, err := name, error(nil)
	if labels != "" {
		at, err = name.Prefix(labels)
	}
	if err != nil {
		*into = dnsfinding.Seen[string]{Asked: true, Err: err}
		return
	}
	*into = seen(l.DNS.LookupTXT(l.ctx, at))
}

// lookAtServers looks for the name servers of the zone that the domain is in.
func (l *look) lookAtServers() {
	s := &l.facts.NS
	for s.Zone = l.domain; !s.Zone.IsZero(); s.Zone = s.Zone.Parent() {
		if s.NS = seen(l.DNS.LookupNS(l.ctx, s.Zone)); s.NS.Err != nil || len(s.NS.Records) > 0 {
			break
		}
	}
	s.AAAA = make([]dnsfinding.Forward, min(len(s.NS.Records), maxServers))
	var all guard.Group
	for i, n := range s.NS.Records[:len(s.AAAA)] {
		s.AAAA[i].Name = n
		all.Go(func() { s.AAAA[i].Addr = seen(l.DNS.LookupAAAA(l.ctx, n)) })
	}
	all.Wait()
}

// lookAtHosts looks at what the MX records name, and at the host itself.
func (l *look) lookAtHosts() {
	f := &l.facts
	f.MX = seen(l.DNS.LookupMX(l.ctx, l.domain))
	f.Hosts = []dnsfinding.Host{{Name: l.host, Ours: true}}
	for _, m := range f.MX.Records {
		if m.Null || m.Host.IsZero() {
			continue
		}
		i := slices.IndexFunc(f.Hosts, func(h dnsfinding.Host) bool { return h.Name == m.Host })
		if i < 0 && len(f.Hosts) < maxHosts {
			i, f.Hosts = len(f.Hosts), append(f.Hosts, dnsfinding.Host{Name: m.Host})
		}
		if i >= 0 {
			f.Hosts[i].Named = true
		}
	}
	var all guard.Group
	for i := range f.Hosts {
		all.Go(func() { l.lookAtHost(&f.Hosts[i]) })
	}
	all.Wait()
}

func (l *look) lookAtHost(h *dnsfinding.Host) {
	var all guard.Group
	all.Go(func() { h.A = seen(l.DNS.LookupA(l.ctx, h.Name)) })
	all.Go(func() { h.AAAA = seen(l.DNS.LookupAAAA(l.ctx, h.Name)) })
	all.Go(func() { h.Alias = seen(l.DNS.LookupCNAME(l.ctx, h.Name)) })
	all.Go(func() {
		name, err := h.Name.Prefix("_25._tcp")
		if err != nil {
			h.TLSA = dnsfinding.Seen[dns.TLSA]{Asked: true, Err: err}
			return
		}
		h.TLSA = seen(l.DNS.LookupTLSA(l.ctx, name))
	})
	all.Wait()
	addrs := slices.Concat(h.A.Records, h.AAAA.Records)
	h.Contacts = make([]dnsfinding.Contact, len(addrs))
	for i, a := range addrs {
		h.Contacts[i].Addr = a
		// Whoever has the domain's DNS may not have this machine connect to its own network
		// (DST-4); that such an address stands there is found anyway.
		if i < maxAddrs && (h.Ours || l.facts.Wanted.Inside || !dns.PrivateAddr(a)) {
			all.Go(func() { h.Contacts[i] = l.contact(h.Name, a) })
		}
	}
	all.Wait()
}

// contact looks at what answers at an address. It begins TLS as a sender of mail would,
// and notes what was presented whether it holds or not.
func (l *look) contact(host dns.Name, addr netip.Addr) dnsfinding.Contact {
	ctx, cancel := context.WithTimeout(l.ctx, contactTimeout)
	defer cancel()
	plan := policy.Look(delivery.Plan{Host: delivery.Host{Name: delivery.MXHost{Name: host}, Addrs: []netip.Addr{addr}}, PKIXName: host})
	p := l.Prober.Probe(ctx, plan, addr)
	broken := p.Err != nil || p.TLSFailure != nil && len(p.Chain) == 0 && p.StartTLS
	name := ""
	if p.Greeting != nil {
		name, _, _ = strings.Cut(p.Greeting.Lines[0], " ")
	}
	return dnsfinding.Contact{Addr: addr, Asked: !broken || l.ctx.Err() == nil, Err: p.Err, Name: foreign.Line(foreign.Clip(name, 255)), StartTLS: p.StartTLS, TLS: p.TLSFailure, Chain: p.Chain, PKIX: p.PKIX}
}

// lookAtSources looks at the addresses that mail leaves from: their names, and what SPF
// says of them (DNS-C2). Where the machine's own are not known, they are those that DNS
// gives for its name.
func (l *look) lookAtSources() {
	f := &l.facts
	l.text(&f.Texts.SPF, "", l.domain)
	sources := slices.Clone(f.Wanted.Sources)
	if !slices.ContainsFunc(sources, func(s dnsfinding.Source) bool { return s.Transport == "" }) {
		sources = append(sources, l.published()...)
	}
	sources = sources[:min(len(sources), maxSources)]
	f.Sources = make([]dnsfinding.Reverse, len(sources))
	f.SPF = make([]dnsfinding.SPF, 0, 2*len(sources))
	var all guard.Group
	for i, s := range sources {
		f.Sources[i].Source = s
		all.Go(func() { l.reverse(&f.Sources[i]) })
		for _, helo := range []bool{false, true} {
			if helo && s.EHLO == l.domain {
				continue
			}
			f.SPF = append(f.SPF, dnsfinding.SPF{Source: s, Helo: helo})
			into := &f.SPF[len(f.SPF)-1]
			all.Go(func() { l.spf(into) })
		}
	}
	all.Wait()
}

// published are the addresses of the host's name.
func (l *look) published() []dnsfinding.Source {
	if l.facts.Wanted.Relayed {
		return nil
	}
	var out []dnsfinding.Source
	a, _ := l.DNS.LookupA(l.ctx, l.host) // what fails here is told where the host is looked at
	aaaa, _ := l.DNS.LookupAAAA(l.ctx, l.host)
	for _, addr := range slices.Concat(a.Records, aaaa.Records) {
		out = append(out, dnsfinding.Source{Addr: addr, EHLO: l.facts.Wanted.EHLO})
	}
	return out
}

func (l *look) spf(into *dnsfinding.SPF) {
	q := spf.Query{IP: into.Source.Addr, Helo: into.Source.EHLO.ASCII()}
	if !into.Helo {
		q.MailFrom = "postmaster@" + l.domain.ASCII()
	}
	c := spf.Checker{Resolver: l.DNS, Receiver: l.host.ASCII(), Now: l.Now}
	into.Outcome = c.Check(l.ctx, q)
	into.Asked = l.ctx.Err() == nil
}

func (l *look) reverse(r *dnsfinding.Reverse) {
	r.PTR = seen(l.DNS.LookupPTR(l.ctx, r.Source.Addr))
	for _, name := range r.PTR.Records[:min(len(r.PTR.Records), maxNames)] {
		lookUp := l.DNS.LookupAAAA
		if r.Source.Addr.Is4() {
			lookUp = l.DNS.LookupA
		}
		r.Forward = append(r.Forward, dnsfinding.Forward{Name: name, Addr: seen(lookUp(l.ctx, name))})
	}
}

func (l *look) lookAtDKIM() {
	keys := l.facts.Wanted.Domain.DKIM
	found := make([]dnsfinding.Seen[string], len(keys))
	var all guard.Group
	for i, k := range keys {
		all.Go(func() { l.text(&found[i], k.Selector+"._domainkey", l.domain) })
	}
	all.Wait()
	for i, k := range keys {
		l.facts.DKIM[k.Selector] = found[i]
	}
}

// lookAtReports looks at DMARC and TLSRPT, and at the addresses that they name.
func (l *look) lookAtReports() {
	f := &l.facts
	var all guard.Group
	all.Go(func() { l.text(&f.Texts.DMARC, "_dmarc", l.domain) })
	all.Go(func() { l.text(&f.Texts.TLSRPT, "_smtp._tls", l.domain) })
	all.Go(func() { l.text(&f.Texts.HostTLSRPT, "_smtp._tls", l.host) })
	all.Wait()
	addresses := dnsfinding.Addresses(f.Texts.DMARC.Records)
	f.Consent = make([]dnsfinding.Consent, 0, maxConsents)
	for _, a := range addresses {
		to := dnsfinding.At(a)
		if to.IsZero() || to.Under(l.domain) || l.domain.Under(to) || len(f.Consent) == maxConsents {
			continue
		}
		f.Consent = append(f.Consent, dnsfinding.Consent{Address: a})
		into := &f.Consent[len(f.Consent)-1]
		all.Go(func() { l.consent(into, to) })
	}
	all.Wait()
	for _, a := range slices.Concat(addresses, dnsfinding.TLSRPTAddresses(f.Texts.TLSRPT.Records), dnsfinding.TLSRPTAddresses(f.Texts.HostTLSRPT.Records)) {
		if hosted, there, err := l.Mailbox(l.ctx, a); err == nil && hosted {
			f.Mailboxes[a] = there
		}
	}
}

// consent looks for the record with which an address in another domain agrees.
func (l *look) consent(into *dnsfinding.Consent, to dns.Name) {
	labels := l.domain.ASCII() + "._report._dmarc"
	into.Name, _ = to.Prefix(labels)
	l.text(&into.Text, labels, to)
	theirs, err := dmarc.WalkTree(l.ctx, l.DNS, to)
	own, err2 := dmarc.WalkTree(l.ctx, l.DNS, l.domain)
	if errors.Join(err, err2) == nil {
		into.Organization, into.Own = theirs.Organizational(), own.Organizational()
	}
}

// lookAtPolicy gets the MTA-STS policy as a stranger would.
func (l *look) lookAtPolicy() {
	f := &l.facts
	l.text(&f.Texts.STS, "_mta-sts", l.domain)
	if f.Texts.STS.Err == nil && len(f.Texts.STS.Records) == 0 && f.Wanted.Policy == "" {
		return
	}
	host, err := l.domain.Prefix("mta-sts")
	if err != nil {
		f.Policy = dnsfinding.Policy{Asked: true, Err: &mtasts.Error{Word: reason.STSNoPolicy, Detail: err.Error()}}
		return
	}
	f.Policy.A = l.anyAddress(host)
	ctx, cancel := context.WithTimeout(l.ctx, fetchTimeout)
	defer cancel()
	p, text, failed := l.Fetcher.Fetch(ctx, l.domain)
	f.Policy.Policy, f.Policy.Text, f.Policy.Err = p, string(text), failed
	f.Policy.Asked = failed == nil || l.ctx.Err() == nil
}

// anyAddress are a name's addresses of both families.
func (l *look) anyAddress(name dns.Name) dnsfinding.Seen[netip.Addr] {
	a := seen(l.DNS.LookupA(l.ctx, name))
	aaaa := seen(l.DNS.LookupAAAA(l.ctx, name))
	if len(a.Records) == 0 && len(aaaa.Records) > 0 || a.Err == nil && aaaa.Err != nil && len(a.Records) == 0 {
		return aaaa
	}
	return a
}

// lookAtCAA climbs from each name that this server has a certificate for.
func (l *look) lookAtCAA() {
	names := []dns.Name{l.host}
	if n, err := l.domain.Prefix("mta-sts"); err == nil && l.facts.Wanted.Policy != "" {
		names = append(names, n)
	}
	names = append(names, l.setupNames()...)
	l.facts.CAA = make([]dnsfinding.Climb, len(names))
	var all guard.Group
	for i, n := range names {
		l.facts.CAA[i].Name = n
		all.Go(func() { l.climb(&l.facts.CAA[i]) })
	}
	all.Wait()
}

// climb is RFC 8659 §3: the records of the nearest name that has some.
func (l *look) climb(c *dnsfinding.Climb) {
	for n := c.Name; !n.IsZero(); n = n.Parent() {
		s := seen(l.DNS.LookupCAA(l.ctx, n))
		c.Lookups = append(c.Lookups, s)
		if s.Err != nil || len(s.Records) > 0 {
			return
		}
	}
}

func (l *look) lookAtServices() {
	wanted := l.facts.Wanted.Domain.Services
	l.facts.Services = make([]dnsfinding.Service, len(wanted))
	var all guard.Group
	for i, s := range wanted {
		l.facts.Services[i].Wanted = s
		all.Go(func() { l.facts.Services[i].SRV = l.service(s) })
	}
	all.Wait()
}

func (l *look) service(s dnsrecords.ServicePort) dnsfinding.Seen[dns.SRV] {
	name, err := l.domain.Prefix(s.Label + "._tcp")
	if err != nil {
		return dnsfinding.Seen[dns.SRV]{Asked: true, Err: err}
	}
	return seen(l.DNS.LookupSRV(l.ctx, name))
}

// setupNames are the names at which mail programs ask for their settings (CLI-1).
func (l *look) setupNames() (out []dns.Name) {
	for _, label := range l.facts.Wanted.Domain.Setup {
		if n, err := l.domain.Prefix(label); err == nil && n != l.host {
			out = append(out, n)
		}
	}
	return out
}

func (l *look) lookAtSetup() {
	names := l.setupNames()
	l.facts.Setup = make([]dnsfinding.Setup, len(names))
	var all guard.Group
	for i, n := range names {
		l.facts.Setup[i].Name = n
		all.Go(func() { l.facts.Setup[i].A = l.bothFamilies(n) })
	}
	all.Wait()
}

// bothFamilies are all addresses of a name. Where one family was not seen, the other counts
// only if it has some.
func (l *look) bothFamilies(name dns.Name) dnsfinding.Seen[netip.Addr] {
	a, aaaa := seen(l.DNS.LookupA(l.ctx, name)), seen(l.DNS.LookupAAAA(l.ctx, name))
	if a.Err != nil {
		a, aaaa = aaaa, a
	}
	if a.Err == nil && aaaa.Err == nil {
		a.Records = slices.Concat(a.Records, aaaa.Records)
	} else if a.Err == nil && len(a.Records) == 0 {
		return aaaa
	}
	return a
}
