// Package server builds a whole Waxwing from its configuration, starts it and
// stops it. It is the only package that knows all the others.
package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/alert"
	"waxwing/internal/allowance"
	"waxwing/internal/certs"
	"waxwing/internal/companion"
	"waxwing/internal/config"
	"waxwing/internal/disk"
	"waxwing/internal/guard"
	"waxwing/internal/holds"
	"waxwing/internal/mailboxes"
	"waxwing/internal/metrics"
	"waxwing/internal/panics"
	"waxwing/internal/posture"
	"waxwing/internal/queue"
	"waxwing/internal/receive"
	"waxwing/internal/routes"
	"waxwing/internal/session"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/stspolicy"
	"waxwing/internal/stspublish"
	"waxwing/internal/suppression"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsreport/intake"
	"waxwing/internal/transport"
	"waxwing/peers"
)

// Options are a configuration and, for tests and the lab, what stands in for
// the world around the server. The zero value of everything but Config is what
// a real machine wants.
type Options struct {
	Config *config.Config
	Log    *slog.Logger                                        // nil: discard
	Now    func() time.Time                                    // nil: time.Now
	Dialer session.Dialer                                      // SMTP, and HTTPS to policy hosts; nil: net.Dialer
	Roots  *x509.CertPool                                      // trusted authorities; nil: as the configuration says
	Listen func(network, address string) (net.Listener, error) // nil: net.Listen
	// Version of the program, told at the control socket.
	Version string
}

// Server is a Waxwing. Its rooms are exported for commands, tests and the lab;
// they may be used from New on.
type Server struct {
	Store       *store.Store
	DNS         *dns.Client
	Accounts    *accounts.Store
	Allowance   *allowance.Store
	Mailboxes   *mailboxes.Store
	Signing     *signing.Service
	STS         *stspolicy.Cache
	STSPublish  *stspublish.Service
	Direct      *transport.Direct
	Routes      *routes.Store
	Router      *transport.Router
	Queue       *queue.Queue
	Holds       *holds.Store
	Suppression *suppression.Store
	TLSReport   *tlsreport.Service
	TLSIntake   *intake.Service
	Alerts      *alert.Service
	Metrics     *metrics.Metrics
	Posture     *posture.Recorder

	pool      *session.Pool          // connections to mail hosts, of all transports
	crowd     *session.Crowd         // how many there are at one address, over direct ways
	resume    tls.ClientSessionCache // and TLS sessions
	cfg       *config.Config
	log       *slog.Logger
	guard     *guard.Guard
	o         Options
	listeners []*listener
	own       []netip.Addr                  // addresses of ours that others deliver to
	collector *companion.Collector          // nil: none
	peers     *peers.Ledger                 // how clients have behaved
	live      atomic.Pointer[config.Config] // cfg with what a reload has taken over
	cert      *certs.Files                  // nil: no TLS
	clientCAs []clientCA
	control   net.Listener    // nil: the data directory takes no sockets
	spool     string          // directory for long messages that are coming in
	incoming  *receive.Memory // for all of them
	disk      *disk.Reserve   // of the data directory
}

// tlsSessions is how many TLS sessions with mail hosts are kept for resumption.
const tlsSessions = 1000

// complete fills in what a real machine has.
func (o *Options) complete() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Listen == nil {
		o.Listen = net.Listen
	}
	if o.Dialer == nil {
		o.Dialer = &net.Dialer{KeepAlive: -1} // every step of a session has a time of its own
	}
}

// New opens the store and builds the rooms; it binds the listeners, so that a
// port that is taken is an error here. Close it, or Run it, which closes it.
func New(ctx context.Context, o Options) (*Server, error) {
	o.complete()
	s := &Server{cfg: o.Config, log: o.Log, o: o, Metrics: metrics.New(), resume: tls.NewLRUClientSessionCache(tlsSessions), peers: ledger(o.Config.Limits, o.Now),
		incoming: &receive.Memory{Limit: incomingMemory}}
	s.live.Store(o.Config)
	s.disk = &disk.Reserve{Dir: o.Config.DataDir, Octets: reserveOf(o.Config), Log: o.Log, Now: o.Now}
	s.guard = &guard.Guard{Log: o.Log, Count: s.Metrics.Panicked}
	s.pool = pool(o.Config.Delivery, s.guard)
	s.crowd = &session.Crowd{All: o.Config.Delivery.Concurrency, Now: o.Now}
	var err error
	if s.Store, err = openStore(ctx, o.Config, store.Options{Log: o.Log, Guard: s.guard, Serve: true}); err != nil {
		return nil, err
	}
	if s.spool, err = makeSpool(o.Config); err == nil {
		err = s.build(ctx)
	}
	if err == nil {
		err = s.listenSendmail()
	}
	if err == nil {
		err = s.buildCompanion()
	}
	if err == nil {
		err = s.buildControl()
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// reserveOf is the room that stays free on the disk, in octets.
func reserveOf(c *config.Config) int64 {
	if c.Limits.DiskReserve > 0 {
		return int64(c.Limits.DiskReserve)
	}
	largest := c.Limits.MaxMessageSize
	for _, l := range c.Listen {
		largest = max(largest, l.MaxMessageSize)
	}
	return 2*int64(largest) + 256<<20
}

// pool keeps connections as the configuration says (SES-6).
func pool(d config.Delivery, g *guard.Guard) *session.Pool {
	return &session.Pool{Guard: g, MaxMessages: d.KeepMessages, Idle: d.KeepIdle, MaxIdle: d.KeepConnections}
}

// Guard contains panics of what runs beside the server.
func (s *Server) Guard() *guard.Guard { return s.guard }

// Close releases what New took. It is not needed after Run.
func (s *Server) Close() error {
	for _, l := range s.listeners {
		l.Close()
	}
	if s.collector != nil {
		s.collector.Conn.Close()
	}
	if s.control != nil {
		s.control.Close()
	}
	s.pool.Close()
	return s.Store.Close()
}

// Run serves until ctx ends, then drains: no new connections, transactions
// under way end or are answered 421, leases go back, the store is closed (OPS-2).
// The error is of a service that failed on its own.
func (s *Server) Run(ctx context.Context) error {
	back, stopBack := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBack()
	front, stopFront := context.WithCancel(ctx)
	defer stopFront()

	services := &crew{guard: s.guard, failed: stopFront}
	start := func(name string, area guard.Area, run func(context.Context) error) {
		services.start(back, name, area, run)
	}
	start("queue", guard.Queue, s.Queue.Run)
	start("MTA-STS refresh", guard.Refresh, s.STS.Run)
	start("TLS reports", guard.Reports, s.TLSReport.Run)
	start("TLS reports by HTTPS", guard.Reports, s.TLSReport.RunPosts)
	start("alerts", guard.Reports, s.Alerts.Run)
	start("alerts to the webhook", guard.Reports, s.Alerts.RunPosts)
	start("resolver self-test", guard.SelfTest, s.selfTests)
	start("delivery exceptions", guard.SelfTest, s.tellExceptions)
	start("change watcher", guard.Watcher, s.watch)
	start("sweeper", guard.Sweeper, s.sweep)
	start("daily limits", guard.Allowance, s.Allowance.Run)
	start("posture", guard.Posture, s.Posture.Run)
	start("DKIM keys", guard.Watcher, (&signing.Watcher{Keys: s.Signing, DNS: s.DNS, Now: s.o.Now, Log: s.area("signing")}).Run)
	if s.collector != nil {
		start("TLSRPT datagrams", guard.Datagram, s.collector.Run)
	}

	faces := &crew{guard: s.guard, failed: stopFront}
	faces.start(front, "front", guard.Listener, func(ctx context.Context) error { // where there are no listeners
		<-ctx.Done()
		return nil
	})
	if s.control != nil {
		faces.start(front, "control", guard.Control, func(ctx context.Context) error {
			if err := s.serveControl(ctx, s.control); err != nil && ctx.Err() == nil {
				s.log.Error("commands cannot reach this server any more, and use its store instead", "error", err)
			}
			return nil
		})
	}
	for _, l := range s.listeners {
		faces.start(front, "listener "+l.Addr().String(), guard.Listener, l.serve)
	}
	for _, l := range s.listeners {
		s.log.Info("listening", "kind", string(l.kind), "address", l.Addr().String())
	}
	s.log.Info("serving", "hostname", s.cfg.Hostname.ASCII(), "listeners", len(s.listeners))
	err := faces.wait() // ends when front does
	s.log.Info("draining")
	stopBack()
	err = errors.Join(err, services.wait())
	return errors.Join(err, s.Close())
}

// Addr is where the first listener of a kind listens; nil if there is none.
func (s *Server) Addr(kind config.Kind) net.Addr {
	for _, l := range s.listeners {
		if l.kind == kind {
			return l.Addr()
		}
	}
	return nil
}

// sweep forgets what is over, once an hour: suppressions (QUE-7; until then they
// are ignored), panics, reports.
func (s *Server) sweep(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if _, err := s.Suppression.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("suppressions that are over were not removed", "error", err)
		}
		err := errors.Join(panics.Sweep(ctx, s.Store, s.o.Now()), s.TLSReport.Prune(ctx), s.TLSIntake.Prune(ctx), s.Alerts.Prune(ctx))
		if err != nil && ctx.Err() == nil {
			s.log.Error("the store was not tidied", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// watch makes sure once a second that the store is still the one that was opened, also
// while no mail comes, and wakes the rooms whose data another process or machine has
// changed.
func (s *Server) watch(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last int64
	var failed sync.Once
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var g int64
		err := s.Store.Check(ctx)
		if err == nil {
			g, err = s.Store.Generation(ctx, QueueArea)
		}
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, store.ErrReplaced) { // that is in the log already
				failed.Do(func() { s.log.Error("changes of other processes are not seen", "error", err) })
			}
			continue
		}
		if g != last {
			last = g
			s.Queue.Wake()
		}
	}
}
