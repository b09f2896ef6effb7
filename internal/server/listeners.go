package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/disk"
	"waxwing/internal/factors"
	"waxwing/internal/guard"
	"waxwing/internal/login"
	"waxwing/internal/process"
	"waxwing/internal/receive"
	"waxwing/internal/sockets"
	"waxwing/internal/web/signin"
	"waxwing/internal/websession"
	"waxwing/peers"
	"waxwing/proxyproto"
)

// listener is one bound address.
type listener struct {
	net.Listener
	kind config.Kind
}

// serve serves a listener until ctx ends.
type serve = func(ctx context.Context) error

// front is what all listeners have in common.
type front struct {
	*builder
	rooms  *Rooms
	door   receive.Door
	disk   *disk.Reserve
	book   *certs.Book // nil: there is no certificate
	logins *login.Checker
	peers  *peers.Ledger // how clients have behaved

	web      *websession.Store
	lookout  *login.Lookout // for what lasts longer than a login
	factors  *factors.Store
	ways     map[bool]*signin.Entrance // for people, by whether they come without TLS
	programs map[string]http.Handler   // JMAP and what reads mail by it, by path
}

func (b *builder) front(ctx context.Context, r *Rooms, spool string) (*front, error) {
	book, err := b.book(ctx, r)
	if err != nil {
		return nil, err
	}
	secret, err := login.Secret(ctx, r.Store)
	if err != nil {
		return nil, err
	}
	log := b.area(config.LogLogin)
	used := func(ctx context.Context, p account.AppPassword, from netip.Addr) {
		if err := r.Accounts.AppUsed(ctx, p, from); err != nil {
			log.Warn("the use of an app password was not noted", "account", p.Account, "app_password", p.Name, "error", err)
		}
	}
	reserve := &disk.Reserve{Dir: b.cfg.DataDir, Octets: b.cfg.DiskReserve(), Log: b.Log, Now: b.Now}
	f := &front{
		builder: b, factors: &factors.Store{DB: r.Store, Accounts: r.Accounts, Now: b.Now}, rooms: r, disk: reserve, door: b.door(r, reserve, spool), book: book, peers: ledger(b.cfg.Limits, b.Now),
		logins: &login.Checker{Accounts: r.Accounts, Now: b.Now, Log: log, Guard: b.guard, Secret: secret, Count: b.metrics.Login, Journal: &login.Journal{DB: r.Store, Now: b.Now, Log: log},
			AppUsed: used, Limits: login.Limits{Failures: b.cfg.Limits.FailedLogins}},
	}
	f.web = f.webSessions()
	f.lookout = &login.Lookout{Changed: f.loginsChanged}
	f.run("what lasts longer than a login", guard.Login, f.lookout.Run)
	f.ways = map[bool]*signin.Entrance{false: f.entrance(false), true: f.entrance(true)}
	return f, nil
}

// loginsChanged grows with each change of an account, of its passwords and of what it may do, and with each session that is ended.
func (f *front) loginsChanged(ctx context.Context) (sum int64, err error) {
	for _, area := range []string{accounts.Area, websession.Area} {
		n, err := f.rooms.Store.Generation(ctx, area)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// listen binds every listener of the configuration.
func (f *front) listen() error {
	for _, c := range f.cfg.Listen {
		l, err := f.bindTo(c)
		if err != nil {
			return err
		}
		l = f.behindProxies(l, c)
		serve, err := f.serve(l, c)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		f.open(l, c.Kind, serve)
	}
	return nil
}

// bindTo opens what a listener of the configuration listens on.
func (f *front) bindTo(c config.Listen) (net.Listener, error) {
	if c.Socket == "" {
		return f.bind(string(c.Kind), config.TCP(c.Address))
	}
	mode, err := sockets.ParseMode(c.SocketMode)
	var l net.Listener
	if err == nil {
		l, err = sockets.Listen(c.Socket, sockets.Access{Mode: mode, Owner: c.SocketOwner})
	}
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", c.Kind, err)
	}
	return sockets.Here(l), nil
}

// serve is what serves a kind of listener.
func (f *front) serve(l net.Listener, c config.Listen) (serve, error) {
	switch c.Kind {
	case config.MX:
		return f.mx(l, c)
	case config.LMTP:
		return f.lmtp(l, c)
	case config.Submission, config.Submissions:
		return f.submission(l, c)
	case config.ManageSieve:
		return f.managesieve(l, c)
	case config.IMAP, config.IMAPS:
		return f.imap(l, c)
	case config.HTTP:
		return f.http(l, c)
	case config.HTTPS:
		return f.https(l, c)
	case config.Admin:
		return f.admin(l, c)
	case config.Metrics:
		return f.metrics(l, c)
	}
	return nil, fmt.Errorf("listen on %s: kind %q is not served by this version: take its [[listen]] table out of the configuration", c.Where(), c.Kind)
}

// open has a listener served and in the end closed.
func (b *builder) open(l net.Listener, kind config.Kind, serve serve) {
	b.listeners = append(b.listeners, &listener{l, kind})
	b.face("listener "+l.Addr().String(), guard.Listener, serve)
	b.onClose(l)
}

// bind opens a TCP listener; every one of the server's comes from here. Where the
// kernel has no IPv6 at all, "every address of both families" is those of IPv4.
func (b *builder) bind(what string, e config.Endpoint) (net.Listener, error) {
	name := strings.ReplaceAll(what, " ", "-")
	if b.Inherited != nil {
		if l := b.Inherited.Take(name, e.Address); l != nil {
			b.bound = append(b.bound, process.Socket{Name: name, For: e.Address, Listener: l})
			return l, nil
		}
	}
	l, err := b.Listen(e.Network, e.Address)
	if port, every := strings.CutPrefix(e.Address, "[::]"); every && errors.Is(err, syscall.EAFNOSUPPORT) {
		l, err = b.Listen("tcp4", "0.0.0.0"+port)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w%s", what, err, listenHint(err))
	}
	b.bound = append(b.bound, process.Socket{Name: name, For: e.Address, Listener: l})
	return l, nil
}

// listenHint says what to do when an address cannot be had.
func listenHint(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "; another program has the port, perhaps a waxwing that still runs: end it, or change the address in [[listen]]"
	case errors.Is(err, fs.ErrPermission):
		return "; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"
	}
	return ""
}

// behindProxies takes the PROXY headers of the listener's load balancers off
// (INB-1).
func (f *front) behindProxies(l net.Listener, c config.Listen) net.Listener {
	if len(c.ProxyFrom) == 0 {
		return l
	}
	log, kind := f.area(config.LogProxy).With("listener", string(c.Kind)), string(c.Kind)
	return &proxyproto.Listener{
		Listener: l, Guard: f.guard, From: c.ProxyFrom, Pending: cmp.Or(c.MaxConnections, f.cfg.Limits.MaxConnections),
		Refused: func(proxy netip.Addr, why string) {
			f.rooms.Metrics.ProxyRefused(kind, why)
			level := slog.LevelInfo
			if why == "empty" { // a bare check of the port, every few seconds
				level = slog.LevelDebug
			}
			log.Log(context.Background(), level, "a load balancer's connection was closed: it sent no good PROXY header", "proxy", proxy.String(), "word", why)
		},
	}
}
