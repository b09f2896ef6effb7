package server

import (
	"context"
	"net"
	"net/http"
	"time"

	"waxwing/dns"
	"waxwing/internal/checkup"
	"waxwing/internal/cli"
	"waxwing/internal/config"
	"waxwing/internal/desk"
	"waxwing/internal/dnspublish"
	"waxwing/internal/evidence"
	"waxwing/internal/explain"
	"waxwing/internal/guard"
	"waxwing/internal/health"
	"waxwing/internal/listing"
	"waxwing/internal/login"
	"waxwing/internal/setup"
	"waxwing/internal/store"
	"waxwing/internal/web/admin"
	"waxwing/internal/web/admin/people"
	"waxwing/internal/web/admin/publishing"
	"waxwing/internal/web/admin/ways"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/gate"
	"waxwing/internal/web/scrape"
)

// metricsConnections are those of scrapers at one time, and of whoever else comes.
const metricsConnections = 100

func (f *front) metrics(l net.Listener, c config.Listen) (serve, error) {
	f.rooms.Metrics.Build(f.Version)
	room := &scrape.Room{Config: f.cfg, Metrics: f.rooms.Metrics, Store: f.rooms.Store, Disk: f.disk, Now: f.Now}
	gated := f.gated(l, c, guard.Metrics)
	gated.Limits.Connections = metricsConnections
	srv := gate.Bounded(f.area(config.LogMetrics), &http.Server{Handler: gate.Guarded(f.guard, guard.Metrics, room.Handler()), WriteTimeout: time.Minute})
	return func(ctx context.Context) error { return gate.ServePlain(ctx, srv, gated) }, nil
}

// admin serves all pages on a loopback address, without TLS.
func (f *front) admin(l net.Listener, c config.Listen) (serve, error) {
	mux := &gate.Mux{}
	mux.Handle("GET /{$}", http.RedirectHandler(admin.Path, http.StatusSeeOther))
	f.people(mux, true)
	srv := gate.Bounded(f.area(config.LogHTTP), &http.Server{Handler: gate.Secured(false, gate.Guarded(f.guard, guard.HTTP, mux)), WriteTimeout: time.Minute})
	gated := f.gated(l, c, guard.HTTP)
	return func(ctx context.Context) error { return gate.ServePlain(ctx, srv, gated) }, nil
}

func (f *front) adminRooms() admin.Rooms {
	r := f.rooms
	look := checkup.Room{Config: f.cfg, Now: f.Now, DNSSEC: r.dnssec, Running: func(context.Context) error { return nil },
		OnStore:    func(_ context.Context, fn func(*store.Store) error) error { return fn(r.Store) },
		Publishing: dnspublish.Health(f.cfg.Hostname),
		Certificates: func(ctx context.Context, _ *store.Store) ([]health.Certificate, error) {
			return r.Certificates.Issued(ctx)
		}}
	return admin.Rooms{DB: r.Store, Desk: r.desk(), Accounts: r.Accounts, TLSReport: r.TLSReport, TLSIntake: r.TLSIntake, DMARCReport: r.DMARCReport, DMARCIntake: r.DMARCIntake, Explainer: r.explainer(r.Store),
		Status: func(ctx context.Context) listing.Status {
			return listing.StatusOf(f.cfg.Hostname.ASCII(), look.Look(ctx))
		}, Trends: r.Trends, Posture: r.Posture, Alerts: r.Alerts, Levels: f.Levels, Subjects: f.subjects()}
}

// subjects are the admin pages that change what accounts, domains and ways are.
func (f *front) subjects() []deeds.Subject {
	r := f.rooms
	residents := &people.Room{Path: admin.Path, Accounts: r.Accounts, Allowance: r.Allowance, Journal: &login.Journal{DB: r.Store, Now: f.Now}, Contacts: r.Junk.Correspondents, Keys: r.APIKeys,
		Suppression: r.Suppression, Webhooks: r.Webhooks, Routes: r.Routes, Factors: f.factors, Sessions: f.web, Classifier: r.Junk.Classifier, Teacher: &evidence.Teacher{DB: r.Store, Boxes: r.Mailboxes, Now: f.Now, Log: f.area(config.LogHTTP)}, Rejects: r.Rejects, Secret: cli.NewPassword, Now: f.Now}
	ours := &publishing.Room{Path: admin.Path, Host: f.cfg.Hostname, DB: r.Store, Accounts: r.Accounts, Signing: r.Signing, DNS: r.DNS, STS: r.STSPublish, Certificates: r.Certificates, Now: f.Now,
		Plan: dnsPlanner(f.Options, r.Store).Plan, Check: r.DNSWatch.Check, Leaving: func(ctx context.Context, d dns.Name) (setup.Leaving, error) {
			return desk.Leaving(ctx, f.cfg, r.Store, d)
		}}
	out := &ways.Room{Path: admin.Path, Config: f.live.Load, Accounts: r.Accounts, Routes: r.Routes, Router: r.Router, Holds: r.Holds, STS: r.STS}
	return []deeds.Subject{residents.Subject(), ours.Subject(), out.Subject()}
}

// explainer says what would happen to a mail.
func (r *Rooms) explainer(db *store.Store) *explain.Explainer {
	return &explain.Explainer{Planner: r.Direct, DNS: r.DNS, Prober: r.Sessions(), Fetcher: r.STS.Fetcher, Routes: r.Routes, Seen: r.Posture.Domain, LastFailure: explain.LastFailure(db), Chain: r.Chains, DNSSEC: r.dnssec, Now: r.Direct.Now}
}
