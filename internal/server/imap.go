package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"waxwing/internal/account"
	"waxwing/internal/annotations"
	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/imapserver"
	"waxwing/internal/store"
	"waxwing/internal/wire"
	"waxwing/smtpserver"
)

// annotations makes the room of what mail programs note beside mailboxes.
func (b *builder) annotations(db *store.Store) *annotations.Store {
	a := &annotations.Store{DB: db}
	b.everyHour("annotations of mailboxes that are no more were not removed", a.Tidy)
	return a
}

// logsIn is who checks logins at a listener, and its TLS then.
func (f *front) logsIn(c config.Listen, conf *tls.Config) (smtpserver.Authenticator, *tls.Config, error) {
	if conf == nil {
		return nil, nil, fmt.Errorf("listen on %s: %s needs a certificate, since passwords go over TLS only: set acme.directory, or tls.cert_file and tls.key_file", c.Where(), c.Kind)
	}
	l, err := wire.NewLogins(c, f.logins, conf)
	if err != nil {
		return nil, nil, err
	}
	f.onReload(l.Reload)
	return l.Auth, l.TLS, nil
}

// imap serves the programs with which people read their mail (IMP-1).
func (f *front) imap(l net.Listener, c config.Listen) (serve, error) {
	conf, err := f.tls(c)
	if err != nil {
		return nil, err
	}
	auth, conf, err := f.logsIn(c, conf)
	if err != nil {
		return nil, err
	}
	kind, set, lim := string(c.Kind), f.cfg.IMAP, f.cfg.Limits
	log := f.area(config.LogIMAP).With("listener", kind)
	sessions := &imapserver.Server{
		Hostname: f.cfg.Hostname.ASCII(), Boxes: f.rooms.Mailboxes, Annotations: f.rooms.Annotations, Search: f.rooms.Search, Account: f.rooms.Accounts.Login, Disable: set.Disable, SearchTime: set.SearchTime,
		DisableFor: func(ctx context.Context, name string) []string {
			a, err := f.rooms.Accounts.Access(ctx, name)
			if err != nil {
				log.Error("which extensions of IMAP an account is offered is not known: all are", "account", name, "error", err)
			}
			return a.IMAPDisable
		},
		AppendLimit: int64(cmp.Or(c.MaxMessageSize, lim.MaxMessageSize)), TempDir: f.door.TempDir, Now: f.Now, Log: log, Guard: f.guard,
	}
	shares := f.shares(c).Shares()
	shares.PerClient, shares.PerNetwork = set.ConnectionsPerIP, max(shares.PerNetwork, set.ConnectionsPerIP)
	srv := &wire.Server{
		Protocol: account.IMAP, TLS: conf, ImplicitTLS: c.Kind == config.IMAPS, Auth: auth, Peers: f.peers, Log: log, Guard: f.guard, Area: guard.IMAP,
		Limits: wire.Limits{Shares: shares, PerAccount: set.ConnectionsPerAccount},
		Trace:  f.wireTrace(kind), Lookout: f.lookout,
		Handle: sessions.Handle, Refuse: imapserver.Refuse,
	}
	return func(ctx context.Context) error { return srv.Serve(ctx, l) }, nil
}
