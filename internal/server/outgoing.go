package server

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"io"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/destination"
	"waxwing/internal/guard"
	"waxwing/internal/home"
	"waxwing/internal/routes"
	"waxwing/internal/session"
	"waxwing/internal/sifting"
	"waxwing/internal/store"
	"waxwing/internal/stspolicy"
	"waxwing/internal/stspublish"
	"waxwing/internal/transport"
	"waxwing/message"
	"waxwing/mtasts"
)

// Rooms that find, decide and carry.

// tlsSessions is how many TLS sessions with mail hosts are kept for resumption.
const tlsSessions = 1000

// sessions returns what makes clients for mail hosts. All share connections (SES-6), TLS
// sessions and the count of what is under way at an address.
func (b *builder) sessions() func() *session.Client {
	d := b.cfg.Delivery
	pool := pool(d, b.guard)
	b.onClose(pool)
	crowd := &session.Crowd{All: d.Concurrency, Now: b.Now}
	resume := tls.NewLRUClientSessionCache(tlsSessions)
	helo := cmp.Or(d.EHLO, b.cfg.Hostname).ASCII()
	return func() *session.Client {
		return &session.Client{Dialer: b.Dialer, HELO: helo, Roots: b.roots, Port: int(d.Port),
			Pool: pool, Crowd: crowd, Resume: resume, Convert: convert, Now: b.Now, Log: b.area(config.LogSession),
			Transcript: b.traces.Outgoing}
	}
}

// pool keeps connections as the configuration says (SES-6).
func pool(d config.Delivery, g *guard.Guard) *session.Pool {
	return &session.Pool{Guard: g, MaxMessages: d.KeepMessages, Idle: d.KeepIdle, MaxIdle: d.KeepConnections}
}

// convert rewrites a message for its way on (SES-8, INB-13). It reads it into
// memory, bounded by what the listeners accept.
func convert(c delivery.Content, need message.Need) (delivery.Content, error) {
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := message.Convert(&out, text, need); err != nil {
		return nil, err
	}
	return delivery.Bytes(out.Bytes()), nil
}

func (b *builder) fetcher(resolver *dns.Client) *mtasts.Fetcher {
	return &mtasts.Fetcher{Resolver: resolver, Dial: b.Dialer.DialContext, Roots: b.roots, AllowPrivate: b.cfg.Delivery.AllowPrivate, Now: b.Now, Guard: b.guard}
}

func (b *builder) stsCache(db *store.Store, resolver *dns.Client) *stspolicy.Cache {
	c := &stspolicy.Cache{Store: db, DNS: resolver, Fetcher: b.fetcher(resolver), Now: b.Now, Log: b.area(config.LogMTASTS), Guard: b.guard, Fetched: b.metrics.PolicyFetched}
	b.run("MTA-STS refresh", guard.Refresh, c.Run)
	return c
}

func (b *builder) stsPublish(db *store.Store, resolver *dns.Client) *stspublish.Service {
	return &stspublish.Service{Store: db, DNS: resolver, Now: b.Now}
}

func (b *builder) direct(home *home.Home, resolver *dns.Client, sts *stspolicy.Cache, sessions func() *session.Client) *transport.Direct {
	d := b.cfg.Delivery
	return &transport.Direct{
		Finder:      &destination.Finder{DNS: resolver, Self: home.IsSelf, AllowPrivate: d.AllowPrivate, MaxHosts: d.MaxHosts},
		STS:         sts,
		Session:     sessions(),
		NoPlaintext: d.Plaintext == config.PlaintextForbid,
		Minimum:     b.live.minimum,
		Exception:   b.live.exception,
		Now:         b.Now,
		Log:         b.area(config.LogDelivery),
	}
}

// router makes what takes each attempt its way. Reports go by relay, or like other mail
// where that is nil.
func (b *builder) router(table *routes.Store, users *accounts.Store, sieve *sifting.Room, operators *transport.Builder, relay transport.Deliverer) *transport.Router {
	local := &transport.Local{AwayAtOnce: max(1, b.cfg.Delivery.Concurrency/4), Accounts: users, Aliases: users, Sieve: sieve.Sift, Now: b.Now, Log: b.area(config.LogDelivery)}
	router := &transport.Router{Routes: table, Direct: operators.Direct, Local: local, Reports: relay, Make: operators.Make, Now: b.Now, Log: b.area(config.LogRoutes)}
	local.Elsewhere = router.Transport
	return router
}
