package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/mailboxes"
	"waxwing/internal/scripts"
	"waxwing/internal/sieveserver"
	"waxwing/internal/sifting"
	"waxwing/internal/signing"
	"waxwing/internal/wire"
	"waxwing/peers"
)

// sifting makes the room that runs the scripts of accounts.
func (b *builder) sifting(users *accounts.Store, quota *allowance.Store, boxes *mailboxes.Store, keys *signing.Service) *sifting.Room {
	kept := &scripts.Store{DB: users.DB, Now: b.Now}
	b.everyHour("what scripts had in mind was not forgotten", kept.Tidy)
	return &sifting.Room{
		Scripts: kept, Accounts: users, Allowance: quota, Keys: keys,
		Boxes: func(ctx context.Context, account string) ([]sifting.Box, error) {
			all, err := boxes.Boxes(ctx, account)
			out := make([]sifting.Box, len(all))
			for i, box := range all {
				out[i] = sifting.Box{Name: box.Name, Use: box.Use}
			}
			return out, err
		},
		Hostname: b.cfg.Hostname, Version: b.Version, Now: b.Now, Log: b.area(config.LogSieve), Guard: b.guard,
	}
}

// managesieve serves the programs with which people edit their scripts (SIV-2). A password that
// reads mail may edit them.
func (f *front) managesieve(l net.Listener, c config.Listen) (serve, error) {
	conf, err := f.tls(c)
	if err != nil {
		return nil, err
	}
	auth, conf, err := f.logsIn(c, conf)
	if err != nil {
		return nil, err
	}
	log := f.area(config.LogSieve).With("listener", string(c.Kind))
	sessions := &sieveserver.Server{Scripts: f.rooms.Sieve.Scripts, Version: f.Version, Log: log}
	srv := &wire.Server{
		Protocol: account.IMAP, TLS: conf, Auth: auth, Peers: f.peers, Log: log, Guard: f.guard, Area: guard.ManageSieve,
		Limits: wire.Limits{Shares: f.shares(c).Shares(), PerAccount: 10}, Trace: f.wireTrace(string(c.Kind)), Lookout: f.lookout, Handle: sessions.Handle, Refuse: sieveserver.Refuse,
	}
	return func(ctx context.Context) error { return srv.Serve(ctx, l) }, nil
}

// wireTrace counts what happens at a listener for people's mail programs.
func (f *front) wireTrace(kind string) wire.Trace {
	m := f.rooms.Metrics
	return wire.Trace{
		Connected:    func(_ netip.Addr, refused string) { m.Connected(kind, refused) },
		Disconnected: func(_ netip.Addr, why string) { m.Disconnected(kind, why) },
		Erred:        func(_ netip.Addr, a peers.Answer) { m.Erred(kind, a) },
		Limited:      func(limit string) { m.Limited(kind, limit) },
		TLS: func(remote netip.Addr, _ *tls.ConnectionState, err error) {
			m.Handshaken(kind, f.rooms.Handshakes.Result(remote, err, false))
		},
	}
}
