package server

import (
	"context"
	"crypto/x509"
	"log/slog"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/acme"
	"waxwing/internal/alert"
	"waxwing/internal/allowance"
	"waxwing/internal/anchors"
	"waxwing/internal/annotations"
	"waxwing/internal/apikeys"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/dmarcfailure"
	"waxwing/internal/dmarcreport"
	dmarcintake "waxwing/internal/dmarcreport/intake"
	"waxwing/internal/dmarcresult"
	"waxwing/internal/dnscheck"
	"waxwing/internal/dnspublish"
	"waxwing/internal/evidence"
	"waxwing/internal/guard"
	"waxwing/internal/handshakes"
	"waxwing/internal/holds"
	"waxwing/internal/home"
	"waxwing/internal/jmapserver/uploads"
	"waxwing/internal/mailboxes"
	"waxwing/internal/metrics"
	"waxwing/internal/milters"
	"waxwing/internal/posture"
	"waxwing/internal/queue"
	"waxwing/internal/rejects"
	"waxwing/internal/resolver"
	"waxwing/internal/routes"
	"waxwing/internal/search"
	"waxwing/internal/session"
	"waxwing/internal/sifting"
	"waxwing/internal/signing"
	"waxwing/internal/smtptrace"
	"waxwing/internal/store"
	"waxwing/internal/stspolicy"
	"waxwing/internal/stspublish"
	"waxwing/internal/suppression"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsreport/intake"
	"waxwing/internal/transport"
	"waxwing/internal/trends"
	"waxwing/internal/verify"
	"waxwing/internal/webhooks"
)

// Rooms are what a server is made of, its faces apart. None is nil.
type Rooms struct {
	Store *store.Store
	DNS   *dns.Client
	// Chains proves answers to be shown (VAL-14).
	Chains       func(ctx context.Context, name string, qtype uint16) (resolver.Chain, error)
	Accounts     *accounts.Store
	Sieve        *sifting.Room
	APIKeys      *apikeys.Store
	Allowance    *allowance.Store
	Mailboxes    *mailboxes.Store
	Annotations  *annotations.Store
	Signing      *signing.Service
	STS          *stspolicy.Cache
	STSPublish   *stspublish.Service
	Sessions     func() *session.Client // a new client for mail hosts, which shares connections with all others
	Direct       *transport.Direct
	Routes       *routes.Store
	Router       *transport.Router
	Holds        *holds.Store
	Suppression  *suppression.Store
	Webhooks     *webhooks.Service
	Posture      *posture.Recorder
	Queue        *queue.Queue
	Trends       *trends.Recorder
	TLSReport    *tlsreport.Service
	DMARCReport  *dmarcreport.Service
	DMARCResults *dmarcresult.Recorder
	// DMARCFailures sends failure reports, where the configuration wants it.
	DMARCFailures *dmarcfailure.Service
	Alerts        *alert.Service
	TLSIntake     *intake.Service
	DMARCIntake   *dmarcintake.Service
	DNSWatch      *dnscheck.Watch
	DNSPublish    *dnspublish.Service
	PutOff        *verify.PutOff
	Metrics       *metrics.Metrics
	// Certificates looks after the host's certificates and keys.
	Certificates *acme.Service
	Junk         *evidence.Room
	Rejects      *rejects.Store
	Search       *search.Store
	Uploads      *uploads.Store
	Handshakes   *handshakes.Watch
	home         *home.Home
}

// builder makes rooms: a method each, whose parameters are the rooms that it needs, so
// that the compiler knows the order. A room that has to run, to be closed and so on
// says so to the plan.
type builder struct {
	Options // complete
	cfg     *config.Config
	live    *live
	metrics *metrics.Metrics
	guard   *guard.Guard
	traces  *smtptrace.Hub
	roots   *x509.CertPool // trusted when we are the client; nil: the system's
	owner   string         // of leases; "": the host name

	milterPlaces milters.Places
	milterLast   *milters.Last
	plan
}

func newBuilder(o Options) (*builder, error) {
	o.complete()
	b := &builder{Options: o, cfg: o.Config, live: &live{now: o.Now}, metrics: metrics.New(), traces: &smtptrace.Hub{Now: o.Now}, roots: o.Roots, milterPlaces: milters.NewPlaces(o.Config.Milters), milterLast: &milters.Last{Now: o.Now}}
	b.live.Store(o.Config)
	b.guard = &guard.Guard{Log: o.Log, Count: b.metrics.Panicked}
	if _, _, file := b.cfg.TLSFiles(); b.roots == nil && file != "" {
		var err error
		if b.roots, err = certs.Roots(file, b.cfg.TLS.LocalCA); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// area is the log of one room.
func (b *builder) area(a config.LogArea) *slog.Logger { return b.Log.With("area", string(a)) }

// rooms makes them all, on a store that is open.
func (b *builder) rooms(db *store.Store) (*Rooms, error) {
	lookups, err := b.resolver(db)
	if err != nil {
		return nil, err
	}
	chains, err := resolver.Chains(b.cfg, lookups, anchors.Stored(db))
	if err != nil {
		return nil, err
	}
	users, quota, boxes, keys := b.accounts(db), b.allowance(db), b.mailboxes(db), b.signing(db, lookups)
	home := b.home(users, keys)

	sessions := b.sessions()
	sts, published := b.stsCache(db, lookups), b.stsPublish(db, lookups)
	direct := b.direct(home, lookups, sts, sessions)
	relay, err := b.reportRelay(lookups, sessions)
	if err != nil {
		return nil, err
	}
	table := b.routes(db)
	filters := b.sifting(users, quota, boxes, keys)
	router := b.router(table, users, filters, &transport.Builder{Direct: direct, DNS: lookups, Session: sessions, Now: b.Now}, relay)

	holds, suppressed, seen := b.holds(db), b.suppression(db), b.posture(db)
	trend := b.trends(db)
	q := b.queue(db, queueNeeds{home, router, boxes, holds, suppressed, seen, trend})
	out, dmarcOut := b.tlsReports(db, home, lookups, q), b.dmarcReports(db, home, lookups, q)
	alerts := b.alerts(db, home, lookups, q)
	events := b.webhooks(db, lookups, alerts)
	q.Webhooks = events.Store
	failures, err := b.dmarcFailures(db, dmarcOut)
	if err != nil {
		return nil, err
	}
	in, dmarcIn := b.tlsIntake(home, lookups, out, alerts), b.dmarcIntake(home, lookups, dmarcOut)

	certificates, err := b.certificates(db, lookups, alerts, published)
	if err != nil {
		return nil, err
	}

	b.panics(db)
	b.watcher(db, q)
	b.exceptions(alerts)
	watch, err := b.dnsWatch(db, users, sessions, alerts)
	if err != nil {
		return nil, err
	}
	publish, err := b.dnsPublish(db, published, alerts)
	if err != nil {
		return nil, err
	}
	kept := &rejects.Store{DB: db, Boxes: boxes, Now: b.Now}
	b.everyHour("messages that were refused long ago were not removed", kept.Tidy)
	return &Rooms{
		Store: db, DNS: lookups, Chains: chains, Accounts: users, Sieve: filters, APIKeys: b.apiKeys(db), Allowance: quota, Mailboxes: boxes, Annotations: b.annotations(db), Signing: keys,
		STS: sts, STSPublish: published, Sessions: sessions, Direct: direct, Routes: table, Router: router,
		Holds: holds, Suppression: suppressed, Webhooks: events, Posture: seen, Queue: q, Trends: trend,
		TLSReport: out, DMARCReport: dmarcOut, DMARCResults: b.dmarcResults(db), DMARCFailures: failures, Alerts: alerts, TLSIntake: in, DMARCIntake: dmarcIn, DNSWatch: watch, DNSPublish: publish, PutOff: b.putOff(db), Junk: b.junk(db, lookups, boxes), Rejects: kept, Search: b.search(db, boxes), Uploads: b.uploads(db), Handshakes: b.handshakes(db, alerts), Metrics: b.metrics, Certificates: certificates, home: home,
	}, nil
}

// server makes the rooms and the faces. What was opened when an error comes is in the
// plan, to be closed.
func (b *builder) server(ctx context.Context) (*Server, error) {
	db, err := datadir.ServeStore(ctx, b.cfg, store.Options{Log: b.Log, Guard: b.guard, Commit: b.Commit})
	if err != nil {
		return nil, err
	}
	b.onClose(db)
	spool, err := datadir.MakeSpool(b.cfg)
	if err != nil {
		return nil, err
	}
	rooms, err := b.rooms(db)
	if err != nil {
		return nil, err
	}
	front, err := b.front(ctx, rooms, spool)
	if err != nil {
		return nil, err
	}
	for _, open := range []func() error{
		front.listen,
		front.sendmail,
		front.companion,
		front.control,
	} {
		if err := open(); err != nil {
			return nil, err
		}
	}
	return &Server{Rooms: rooms, log: b.Log, guard: b.guard, live: b.live, disk: front.disk, plan: b.plan}, nil
}
