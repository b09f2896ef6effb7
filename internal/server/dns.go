package server

import (
	"context"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/alert"
	"waxwing/internal/anchors"
	"waxwing/internal/config"
	"waxwing/internal/dnscheck"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/dnsplan"
	"waxwing/internal/guard"
	"waxwing/internal/session"
	"waxwing/internal/store"
)

// PlanDNS says what should stand in DNS for this host and for one hosted domain, or
// all of them for the zero Name (DNS-R). It looks nothing up.
func PlanDNS(ctx context.Context, o Options, db *store.Store, domain dns.Name) (dnsplan.Plan, error) {
	o.complete()
	return dnsPlanner(o, db).Plan(ctx, domain)
}

func dnsPlanner(o Options, db *store.Store) *dnsplan.Planner {
	p := dnsplan.New(o.Config, db, o.Now)
	p.Machine, p.Boot = machineName(o.Config), boot(o.Now())
	return p
}

// DNSCheck looks at what hosted domains have in DNS (DNS-C).
type DNSCheck struct {
	planner *dnsplan.Planner
	checker *dnscheck.Checker
}

// CheckingDNS makes what looks, for commands; it needs no running server.
func CheckingDNS(o Options, db *store.Store) (*DNSCheck, error) {
	b, err := newBuilder(o)
	if err != nil {
		return nil, err
	}
	return b.dnsCheck(db, b.sessions())
}

func (b *builder) dnsCheck(db *store.Store, sessions func() *session.Client) (*DNSCheck, error) {
	resolver, err := b.lookups(anchors.Stored(db))
	if err != nil {
		return nil, err
	}
	resolver.Cache = nil // what is published now is what matters
	p := dnsPlanner(b.Options, db)
	probe := sessions()
	probe.Pool, probe.Resume = nil, nil
	return &DNSCheck{planner: p, checker: &dnscheck.Checker{DNS: resolver, Prober: probe, Now: b.Now, Mailbox: p.Mailbox, Fetcher: b.fetcher(resolver)}}, nil
}

// dnsWatch has every hosted domain checked twice a day, and the operator told of changes
// for the worse (DNS-W).
func (b *builder) dnsWatch(db *store.Store, users *accounts.Store, sessions func() *session.Client, alerts *alert.Service) (*dnscheck.Watch, error) {
	check, err := b.dnsCheck(db, sessions)
	if err != nil {
		return nil, err
	}
	w := &dnscheck.Watch{DB: db, Check: check.Domain, Now: b.Now, Log: b.area(config.LogDNS),
		Domains: func(ctx context.Context) (names []dns.Name, err error) {
			all, err := users.Domains(ctx)
			for _, d := range all {
				names = append(names, d.Name)
			}
			return names, err
		},
		Tell: func(ctx context.Context, n dnscheck.Notice) error {
			return alerts.Tell(ctx, alert.Notice{What: n.What, Event: "dns.worse", Subject: n.Subject, Text: n.Text})
		},
		Count: func(l dnsfinding.Level, n int) { b.metrics.DNSFindings(string(l), n) }}
	b.run("DNS of hosted domains", guard.Watcher, w.Run)
	return w, nil
}

// Domain looks at one hosted domain.
func (c *DNSCheck) Domain(ctx context.Context, domain dns.Name) ([]dnsfinding.Finding, error) {
	w, err := c.planner.Wanted(ctx, domain)
	if err != nil {
		return nil, err
	}
	return c.checker.Check(ctx, w), nil
}
