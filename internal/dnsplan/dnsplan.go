// Package dnsplan says what should stand in DNS for this host and the domains that it
// hosts, as the configuration, the store and the machine have it: dnsrecords makes the
// records of it, and dnscheck compares with it what stands there.
package dnsplan

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/certs"
	"waxwing/internal/clientsetup"
	"waxwing/internal/config"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/hostkeys"
	"waxwing/internal/route"
	"waxwing/internal/routes"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/stspublish"
)

// Plan is what should stand in DNS: package dnsrecords makes the records of it.
type Plan struct {
	Host    dnsrecords.Host
	Domains []dnsrecords.Domain
	// Gone are records of keys on which nobody relies any more (CRT-6): they need not stay.
	Gone []dnsrecords.Record
	// Shared: other machines have the host's name, or had it within a week. Their addresses
	// are not in the plan.
	Shared bool
}

// Records are all records of the plan, in the order of publishing.
func (p Plan) Records() []dnsrecords.Record { return dnsrecords.All(p.Host, p.Domains...) }

// Planner reads what a plan is made of: the configuration, the store and the machine.
type Planner struct {
	// Machine and Boot name this one among those of the host; zero: there is only one.
	Machine string
	Boot    hostkeys.Boot

	cfg      *config.Config
	now      func() time.Time
	accounts *accounts.Store
	keys     *signing.Service
	policies *stspublish.Service
	routes   *routes.Store
}

// New makes a Planner.
func New(cfg *config.Config, db *store.Store, now func() time.Time) *Planner {
	return &Planner{cfg: cfg, now: now, accounts: &accounts.Store{DB: db, Now: now}, keys: &signing.Service{Store: db, Now: now},
		policies: &stspublish.Service{Store: db, Now: now}, routes: &routes.Store{DB: db}}
}

// Plan says what should stand in DNS for this host and for one hosted domain, or all of
// them for the zero Name (DNS-R). It looks nothing up.
func (p *Planner) Plan(ctx context.Context, domain dns.Name) (out Plan, err error) {
	domains := []dns.Name{domain}
	if domain.IsZero() {
		all, err := p.accounts.Domains(ctx)
		if err != nil {
			return out, err
		}
		domains = nil
		for _, d := range all {
			domains = append(domains, d.Name)
		}
	} else if err := p.hosted(ctx, domain); err != nil {
		return out, err
	}
	if out.Host, err = p.host(ctx, domains); err != nil {
		return out, err
	}
	if out.Shared, err = p.shared(ctx); err != nil {
		return out, err
	}
	for _, d := range domains {
		one, err := p.domain(ctx, d)
		if err != nil {
			return out, err
		}
		out.Domains = append(out.Domains, one)
		gone, err := p.gone(ctx, d)
		if err != nil {
			return out, err
		}
		out.Gone = append(out.Gone, gone...)
	}
	return out, nil
}

// shared says whether other machines have this host's name. Only those that share a server's
// database can: a SQLite store is one machine's, and may have been another one's before.
func (p *Planner) shared(ctx context.Context) (bool, error) {
	if p.Machine == "" || p.cfg.Postgres == "" {
		return false, nil
	}
	s := hostkeys.Stages{DB: p.routes.DB, Host: p.cfg.Hostname.ASCII(), Machine: p.Machine, Boot: p.Boot, Now: p.now}
	n, err := s.Others(ctx)
	if err != nil {
		return false, fmt.Errorf("whether other machines have the name %s: %w", p.cfg.Hostname, err)
	}
	return n > 0, nil
}

// gone are the records of a domain's DKIM keys that may go, since their time is over.
func (p *Planner) gone(ctx context.Context, domain dns.Name) (out []dnsrecords.Record, err error) {
	keys, err := p.keys.Keys(ctx, domain)
	for _, k := range keys {
		if !k.Turn.Dropped.IsZero() {
			out = append(out, dnsrecords.ForKey(domain, dnsrecords.DKIMKey{Selector: k.Selector, Text: k.Record})...)
		}
	}
	return out, err
}

func (p *Planner) hosted(ctx context.Context, domain dns.Name) error {
	hosted, err := p.accounts.IsHosted(ctx, domain)
	if err == nil && !hosted {
		err = fmt.Errorf("%s is not hosted here: \"waxwing domain list\" shows the domains that are", domain)
	}
	return err
}

// host is the machine, as the configuration and its interfaces have it.
func (p *Planner) host(ctx context.Context, domains []dns.Name) (dnsrecords.Host, error) {
	cfg := p.cfg
	h := dnsrecords.Host{Name: cfg.Hostname, Addrs: publicAddrs(cfg, net.InterfaceAddrs), Reports: cfg.ReportsTo(config.TLSReports, cfg.Hostname).Local}
	keys, err := p.hostKeys(ctx)
	if err != nil {
		return h, err
	}
	h.Keys = keys
	ca, err := p.authority(ctx)
	if err != nil {
		return h, err
	}
	for _, name := range ca.Names {
		h.CAA = append(h.CAA, dnsrecords.IssueValue(name, ca.Account, ca.Methods))
	}
	table, err := p.routes.Table(ctx)
	if err != nil {
		return h, err
	}
	for _, d := range domains {
		for _, s := range waysOf(&table.Ways, cfg, d).sources {
			if !slices.Contains(h.Addrs, s.Addr) && !slices.Contains(h.Outgoing, s.Addr) {
				h.Outgoing = append(h.Outgoing, s.Addr)
			}
		}
	}
	return h, nil
}

// authority is the one that this server asks for certificates, as CAA knows it; it has no
// names where none is asked, or one whose names are not known.
func (p *Planner) authority(ctx context.Context) (dnsfinding.Authority, error) {
	cfg := p.cfg
	ca := dnsfinding.Authority{Names: dnsrecords.AuthorityNames(cfg.ACME.Directory), Methods: cfg.Challenges()}
	if len(ca.Names) == 0 {
		return ca, nil
	}
	account, err := (&certs.Store{DB: p.routes.DB, Now: p.now}).Account(ctx, certs.Account{Directory: cfg.ACME.Directory})
	ca.Account = account.Location
	return ca, err
}

// publicAddrs are the addresses that the mail listeners have to the world: those of
// loopback and private networks only where mail goes there as well.
func publicAddrs(cfg *config.Config, interfaces func() ([]net.Addr, error)) []netip.Addr {
	return slices.DeleteFunc(cfg.OwnAddrs(interfaces), func(a netip.Addr) bool { return !public(cfg, a) })
}

func public(cfg *config.Config, a netip.Addr) bool {
	return !a.IsLoopback() && !a.IsLinkLocalUnicast() && (cfg.Delivery.AllowPrivate || !dns.PrivateAddr(a))
}

// hostKeys are the keys of the host's certificates: those made beforehand, in use,
// next and old (CRT-1, CRT-6). Where the certificate is from files it is that one's, and
// of those made beforehand the first of each algorithm counts as in use, unless the
// certificate is for none of them; the others come next.
func (p *Planner) hostKeys(ctx context.Context) ([]dnsrecords.Key, error) {
	cfg := p.cfg
	if cfg.UsesHostKeys() && cfg.TLS.CertFile == "" {
		s := hostkeys.Stages{DB: p.routes.DB, Host: cfg.Hostname.ASCII(), Dir: cfg.HostKeysDir(), Now: p.now}
		return s.Published(ctx)
	}
	made, err := hostkeys.Read(cfg.HostKeysDir())
	if err != nil {
		return nil, err
	}
	var file []byte
	if cert, key, _ := cfg.TLSFiles(); cert != "" {
		if file, err = keyOf(&certs.Files{Cert: cert, Key: key}); err != nil {
			return nil, err
		}
	}
	isFile := func(k hostkeys.Key) bool { return bytes.Equal(k.SPKI, file) }
	foreign := file != nil && !slices.ContainsFunc(made, isFile)
	var out []dnsrecords.Key
	if foreign {
		out = append(out, dnsrecords.Key{SPKI: file})
	}
	used := map[hostkeys.Algorithm]bool{}
	for _, k := range made {
		out = append(out, dnsrecords.Key{SPKI: k.SPKI, Next: (foreign || used[k.Algorithm]) && !isFile(k)})
		used[k.Algorithm] = true
	}
	return out, nil
}

// keyOf is the digest of the key of a certificate in files.
func keyOf(f *certs.Files) ([]byte, error) {
	if err := f.Load(); err != nil {
		return nil, err
	}
	pair, err := f.Get(nil)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(pair.Leaf.RawSubjectPublicKeyInfo)
	return sum[:], nil
}

// waysOut are the ways that a domain's mail may leave by, as far as SPF is concerned
// (DNS-C2).
type waysOut struct {
	own     bool                // from the machine's own addresses
	sources []dnsfinding.Source // from others
	relays  []string            // by somebody else's
}

func waysOf(w *route.Ways, cfg *config.Config, domain dns.Name) (out waysOut) {
	for _, name := range w.Possible(domain) {
		t, known := w.Transports[name]
		addrs := slices.Concat(t.Sources, t.Public)
		switch {
		case name == route.LocalName, t.Kind == route.Local, t.Kind == route.Fail:
		case name == route.DirectName, t.Kind == route.Direct && len(addrs) == 0:
			out.own = true
		case !known, t.Relays(), len(addrs) == 0:
			out.relays = append(out.relays, name)
		}
		for _, a := range addrs {
			if !t.Relays() && public(cfg, a) {
				out.sources = append(out.sources, dnsfinding.Source{Addr: a, EHLO: cmp.Or(t.EHLO, greets(cfg)), Transport: name})
			}
		}
	}
	return out
}

// greets is the name that this server greets with.
func greets(cfg *config.Config) dns.Name { return cmp.Or(cfg.Delivery.EHLO, cfg.Hostname) }

// domain is one hosted domain.
func (p *Planner) domain(ctx context.Context, name dns.Name) (dnsrecords.Domain, error) {
	d := dnsrecords.Domain{Name: name, DMARC: "quarantine", TLSReports: p.cfg.ReportsTo(config.TLSReports, name).Local + "@" + name.ASCII()}
	keys, err := p.keys.Keys(ctx, name)
	if err != nil {
		return d, err
	}
	for _, k := range keys {
		if k.Published() {
			d.DKIM = append(d.DKIM, dnsrecords.DKIMKey{Selector: k.Selector, Text: k.Record})
		}
	}
	if p.cfg.Incoming.Verify { // then reports are taken in at every domain (DMR-6)
		d.DMARCTo = p.cfg.ReportsTo(config.DMARCReports, name).Local + "@" + name.ASCII()
		if p.cfg.DMARC.AskFailures { // DMR-4
			d.FailuresTo = d.DMARCTo
		}
	}
	for _, local := range []string{p.cfg.ReportsTo(config.DMARCReports, name).Local, "postmaster"} {
		if d.DMARCTo != "" {
			break
		}
		if _, err := p.accounts.Resolve(ctx, local, name); err == nil {
			d.DMARCTo = local + "@" + name.ASCII()
			break
		} else if !errors.Is(err, accounts.ErrNoSuchAddress) {
			return d, err
		}
	}
	policy, err := p.policies.Get(ctx, name)
	switch {
	case err == nil:
		d.STSID = policy.ID
	case !errors.Is(err, stspublish.ErrNone):
		return d, err
	}
	_, elsewhere, err := p.accounts.Keeps(ctx, name)
	if err != nil {
		return d, err
	}
	settings := clientsetup.Of(p.cfg, clientsetup.Domain{Name: name, Elsewhere: elsewhere})
	for _, x := range clientsetup.Services(settings) {
		d.Services = append(d.Services, dnsrecords.ServicePort{Label: x.Label, Port: x.Port})
	}
	if clientsetup.Documents(settings) {
		d.Setup = clientsetup.Labels()
	}
	return d, nil
}

// SetupNames are all names below hosted domains at which mail programs ask this host for their
// settings (CLI-1), whether they lead here or not.
func (p *Planner) SetupNames(ctx context.Context) (out []dns.Name, err error) {
	all, err := p.accounts.Domains(ctx)
	for _, d := range all {
		if !clientsetup.Documents(clientsetup.Of(p.cfg, clientsetup.Domain{Name: d.Name, Elsewhere: d.Transport != ""})) {
			continue
		}
		for _, label := range clientsetup.Labels() {
			if n, err := d.Name.Prefix(label); err == nil && n != p.cfg.Hostname {
				out = append(out, n)
			}
		}
	}
	return out, err
}

// Wanted is what the check of a hosted domain compares with.
func (p *Planner) Wanted(ctx context.Context, domain dns.Name) (dnsfinding.Wanted, error) {
	plan, err := p.Plan(ctx, domain)
	if err != nil {
		return dnsfinding.Wanted{}, err
	}
	cfg := p.cfg
	w := dnsfinding.Wanted{Host: plan.Host, Domain: plan.Domains[0], EHLO: greets(cfg), Inside: cfg.Delivery.AllowPrivate, Signing: map[string]bool{}}
	ca, err := p.authority(ctx)
	if err != nil {
		return w, err
	}
	if len(ca.Names) > 0 {
		w.CAs = []dnsfinding.Authority{ca}
	}
	keys, err := p.keys.Keys(ctx, domain)
	if err != nil {
		return w, err
	}
	for _, k := range keys {
		w.Signing[k.Selector] = k.Stage() == signing.Signing
		if k.State != signing.Active { // its record may stay, and may be missing
			w.Domain.DKIM = slices.DeleteFunc(w.Domain.DKIM, func(d dnsrecords.DKIMKey) bool { return d.Selector == k.Selector })
		}
	}
	policy, err := p.policies.Get(ctx, domain)
	if err == nil {
		w.Policy = policy.Text
	} else if !errors.Is(err, stspublish.ErrNone) {
		return w, err
	}
	table, err := p.routes.Table(ctx)
	if err != nil {
		return w, err
	}
	ways := waysOf(&table.Ways, cfg, domain)
	w.Smarthosts, w.Relayed = ways.relays, !ways.own
	if ways.own {
		for _, a := range plan.Host.Addrs {
			w.Sources = append(w.Sources, dnsfinding.Source{Addr: a, EHLO: w.EHLO})
		}
	}
	w.Sources = append(w.Sources, ways.sources...)
	return w, nil
}

// Mailbox says whether a report address is one of a domain of ours, and somebody's.
func (p *Planner) Mailbox(ctx context.Context, address string) (hosted, there bool, err error) {
	i := strings.LastIndexByte(address, '@')
	domain := dnsfinding.At(address)
	if i < 1 || domain.IsZero() {
		return false, false, nil
	}
	hosted, err = p.accounts.IsHosted(ctx, domain)
	if err != nil || !hosted && domain != p.cfg.Hostname {
		return false, false, err
	}
	for _, of := range []config.ReportSort{config.TLSReports, config.DMARCReports} { // taken in at every domain (RPT-14)
		taken := of == config.TLSReports || p.cfg.Incoming.Verify
		for _, at := range []dns.Name{{}, domain} {
			if taken && strings.EqualFold(address[:i], p.cfg.ReportsTo(of, at).Local) {
				return true, true, nil
			}
		}
	}
	_, err = p.accounts.Resolve(ctx, address[:i], domain)
	if errors.Is(err, accounts.ErrNoSuchAddress) || errors.Is(err, accounts.ErrNotHosted) {
		return true, false, nil
	}
	return true, err == nil, err
}
