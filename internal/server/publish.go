package server

import (
	"context"
	"errors"
	"fmt"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/alert"
	"waxwing/internal/anchors"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/dnsplan"
	"waxwing/internal/dnspublish"
	"waxwing/internal/guard"
	"waxwing/internal/hostkeys"
	"waxwing/internal/routes"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/stspublish"
	"waxwing/internal/zones"
	"waxwing/mtasts"
)

// dnsPublish makes the room that keeps records published (CRT-5). It runs where the
// configuration leaves them to it.
func (b *builder) dnsPublish(db *store.Store, policies *stspublish.Service, alerts *alert.Service) (*dnspublish.Service, error) {
	resolver, err := b.lookups(anchors.Stored(db))
	if err != nil {
		return nil, err
	}
	resolver.Cache = nil // what is published now is what matters
	fetcher := b.fetcher(resolver)
	s := &dnspublish.Service{
		DB: db, Host: b.cfg.Hostname, Zones: b.cfg.DNS.Update.Zones, Updater: updater(b.cfg.DNS.Update, b.Options),
		Asker: &zones.Asker{DNS: resolver, Guard: b.guard}, DNS: resolver,
		Plan: func(ctx context.Context) (dnsplan.Plan, error) {
			return dnsPlanner(b.Options, db).Plan(ctx, dns.Name{})
		},
		Served:  func(ctx context.Context, domain dns.Name) error { return policyServed(ctx, policies, fetcher, domain) },
		Areas:   []string{accounts.Area, signing.Area, stspublish.Area, hostkeys.Area, routes.Area, certs.Area, dnspublish.Area},
		Metrics: b.metrics, Now: b.Now, Log: b.area(config.LogDNS),
		Tell: func(ctx context.Context, n dnspublish.Notice) error {
			return alerts.Tell(ctx, alert.Notice{What: n.What, Event: n.Event, Subject: n.Subject, Text: n.Text})
		}}
	if b.cfg.DNS.Update.Publish {
		b.run("DNS records", guard.Watcher, s.Run)
	}
	return s, nil
}

// policyServed is nil if strangers fetch the MTA-STS policy of a domain as it stands here:
// before that its record is not published (CRT-3).
func policyServed(ctx context.Context, policies *stspublish.Service, fetcher *mtasts.Fetcher, domain dns.Name) error {
	p, err := policies.Get(ctx, domain)
	if err != nil {
		return err
	}
	_, text, ferr := fetcher.Fetch(ctx, domain)
	if ferr != nil {
		return ferr
	}
	return stspublish.Announce(p, string(text))
}

// Publishing makes the room that publishes records, for commands.
func Publishing(o Options, db *store.Store) (*dnspublish.Service, error) {
	if !o.Config.DNS.Update.On() {
		return nil, errors.New("nothing says how records are written: set dns.update.server or dns.update.command, and dns.update.zones")
	}
	r, err := commandRooms(o, db)
	if err != nil {
		return nil, fmt.Errorf("publishing of records: %w", err)
	}
	return r.DNSPublish, nil
}
