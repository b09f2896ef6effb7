package server

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/alert"
	"waxwing/internal/allowance"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/destination"
	"waxwing/internal/holds"
	"waxwing/internal/mailboxes"
	"waxwing/internal/outbox"
	"waxwing/internal/posture"
	"waxwing/internal/queue"
	"waxwing/internal/retry"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/stspolicy"
	"waxwing/internal/stspublish"
	"waxwing/internal/suppression"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsreport/intake"
	"waxwing/internal/tlsresult"
	"waxwing/internal/transport"
	"waxwing/message"
	"waxwing/mtasts"
	"waxwing/tlsrpt"
)

// QueueArea is the generation that a command raises when it has put something
// into the queue, so that the running server looks.
const QueueArea = "queue"

// build makes the rooms, lowest first, and binds the listeners.
func (s *Server) build(ctx context.Context) error {
	resolver, err := Resolver(s.cfg)
	if err != nil {
		return err
	}
	resolver.Now, resolver.Guard = s.o.Now, s.guard
	s.DNS = resolver
	s.Accounts = &accounts.Store{DB: s.Store, Now: s.o.Now}
	s.Allowance = Allowance(s.cfg, s.Store)
	s.Allowance.Now, s.Allowance.Log, s.Allowance.Refused = s.o.Now, s.area("allowance"), s.Metrics.OverLimit
	s.Mailboxes = &mailboxes.Store{DB: s.Store, Now: s.o.Now}
	s.Signing = &signing.Service{Store: s.Store, Now: s.o.Now, Log: s.area("signing")}
	if err := s.buildDelivery(); err != nil {
		return err
	}
	if err := s.buildReports(); err != nil {
		return err
	}
	s.Posture = &posture.Recorder{Store: s.Store, Now: s.o.Now, Log: s.area("posture"), Dropped: s.Metrics.PostureDropped}
	s.buildQueue()
	return s.buildListeners(ctx)
}

// Allowance makes the room of what accounts may send in a day, for commands.
func Allowance(cfg *config.Config, db *store.Store) *allowance.Store {
	return &allowance.Store{DB: db, Limit: allowance.Count{Messages: int64(cfg.Limits.MessagesPerDay), Recipients: int64(cfg.Limits.RecipientsPerDay)}}
}

// area is the log of one room.
func (s *Server) area(name string) *slog.Logger { return s.log.With("area", name) }

// Resolver makes the stub resolver that cfg asks for.
func Resolver(cfg *config.Config) (*dns.Client, error) {
	c := &dns.Client{Timeout: cfg.Resolver.Timeout, Cache: dns.NewCache(20000)}
	addrs, system, err := cfg.Resolver.Addrs()
	if err != nil {
		return nil, fmt.Errorf("resolver.servers: %w", err)
	}
	if system {
		if c.Servers, err = systemServers("/etc/resolv.conf"); err != nil {
			return nil, fmt.Errorf("resolver.servers = [\"system\"]: %w", err)
		}
	}
	for _, a := range addrs {
		c.Servers = append(c.Servers, dns.Server{Addr: a.String(), Trusted: a.Addr().IsLoopback()})
	}
	for i := range c.Servers {
		c.Servers[i].Trusted = c.Servers[i].Trusted || cfg.Resolver.Trusted
	}
	return c, nil
}

// systemServers are those of resolv.conf; where there is no such file, the one
// on this machine, as resolv.conf(5) has it: a machine without DNS can then
// still serve its own mail (SET-3).
func systemServers(path string) ([]dns.Server, error) {
	servers, err := dns.SystemServers(path)
	if errors.Is(err, fs.ErrNotExist) {
		return []dns.Server{{Addr: "127.0.0.1:53", Trusted: true}}, nil
	}
	return servers, err
}

// roots are the authorities trusted when we are the client.
func (s *Server) roots() (*x509.CertPool, error) {
	_, _, file := s.cfg.TLSFiles()
	switch {
	case s.o.Roots != nil:
		return s.o.Roots, nil
	case file != "":
		return certs.Roots(file, s.cfg.TLS.LocalCA)
	}
	return nil, nil // the system's, SSL_CERT_FILE included
}

// buildDelivery makes what finds, decides and carries.
func (s *Server) buildDelivery() error {
	roots, err := s.roots()
	if err != nil {
		return err
	}
	d := s.cfg.Delivery
	fetcher := &mtasts.Fetcher{Resolver: s.DNS, Dial: s.o.Dialer.DialContext, Roots: roots, AllowPrivate: d.AllowPrivate, Now: s.o.Now, Guard: s.guard}
	s.STS = &stspolicy.Cache{Store: s.Store, DNS: s.DNS, Fetcher: fetcher, Now: s.o.Now, Log: s.area("mta-sts"), Guard: s.guard, Fetched: s.Metrics.PolicyFetched}
	s.own = ownAddrs(s.cfg, net.InterfaceAddrs)
	s.STSPublish = &stspublish.Service{Store: s.Store, DNS: s.DNS, Now: s.o.Now}
	s.Direct = &transport.Direct{
		Finder:      &destination.Finder{DNS: s.DNS, Self: s.isSelf, AllowPrivate: d.AllowPrivate, MaxHosts: d.MaxHosts},
		STS:         s.STS,
		Session:     s.session(roots),
		NoPlaintext: d.Plaintext == config.PlaintextForbid,
		Minimum:     s.minimum,
		Exception:   s.exception,
		Now:         s.o.Now,
		Log:         s.area("delivery"),
	}
	s.buildRoutes(roots)
	return nil
}

// convert rewrites a message for its way on (SES-8, INB-13). It reads it into
// memory, bounded by what the listeners accept.
func convert(c delivery.Content, need message.Need) (delivery.Content, error) {
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := message.Convert(&out, b, need); err != nil {
		return nil, err
	}
	return delivery.Bytes(out.Bytes()), nil
}

// isSelf knows this server by its name and by the addresses that it takes mail
// from outside at (DST-4).
func (s *Server) isSelf(name dns.Name, addrs []netip.Addr) bool {
	return name == s.cfg.Hostname || slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(s.own, a) })
}

// ownAddrs are the addresses of the listeners that other servers would deliver
// to; one that names none has all that the machine's interfaces have.
func ownAddrs(cfg *config.Config, interfaces func() ([]net.Addr, error)) []netip.Addr {
	var own []netip.Addr
	for _, l := range cfg.Listen {
		switch {
		case l.Kind != config.MX || l.Address.Port() != cfg.Delivery.Port:
		case !l.Address.Addr().IsUnspecified():
			own = append(own, l.Address.Addr())
		default:
			all, err := interfaces()
			if err != nil {
				continue // the host name is left
			}
			for _, a := range all {
				if p, err := netip.ParsePrefix(a.String()); err == nil {
					own = append(own, p.Addr().Unmap())
				}
			}
		}
	}
	return own
}

// minimum is the operator's least security for a domain (POL-9).
func (s *Server) minimum(d delivery.RecipientDomain) delivery.Minimum {
	for _, m := range []delivery.Minimum{delivery.MinTLS, delivery.MinVerified, delivery.MinDANE} {
		if string(s.live.Load().Delivery.Minimum[d.Name]) == m.String() {
			return m
		}
	}
	return delivery.MinAny
}

// STSCache makes the room of MTA-STS policies, for commands that need no running server.
func STSCache(o Options, db *store.Store) (*stspolicy.Cache, error) {
	s, err := forPlanning(o, db)
	if err != nil {
		return nil, err
	}
	return s.STS, nil
}

// TLSReports are the rooms of TLS reports: those we send, and those that come in.
type TLSReports struct {
	Out *tlsreport.Service
	In  *intake.Service
}

// Reports makes the rooms of TLS reports, for commands: what they queue, the
// running server delivers once its generation QueueArea is raised.
func Reports(o Options, db *store.Store) (TLSReports, error) {
	s, err := forPlanning(o, db)
	if err != nil {
		return TLSReports{}, err
	}
	s.Accounts = &accounts.Store{DB: db, Now: s.o.Now}
	s.Signing = &signing.Service{Store: db, Now: s.o.Now}
	if err := s.buildReports(); err != nil {
		return TLSReports{}, err
	}
	s.TLSReport.Enqueuer = &queue.Queue{Store: db, IsLocal: s.isLocal, Hostname: o.Config.Hostname.ASCII(), Owner: "command", Now: s.o.Now}
	return TLSReports{s.TLSReport, s.TLSIntake}, nil
}

// Show returns a report by its id, whether it was sent or came in.
func (r TLSReports) Show(ctx context.Context, id delivery.ID) (*tlsrpt.Report, []byte, error) {
	rep, raw, err := r.Out.Show(ctx, id)
	if errors.Is(err, outbox.ErrNoReport) {
		return r.In.Show(ctx, id)
	}
	return rep, raw, err
}

// STSPublish makes the room of published MTA-STS policies, for commands.
func STSPublish(o Options, db *store.Store) (*stspublish.Service, error) {
	s, err := forPlanning(o, db)
	if err != nil {
		return nil, err
	}
	return s.STSPublish, nil
}

// forPlanning makes the rooms that find, decide and look, in the world of o, for
// commands that need no running server.
func forPlanning(o Options, db *store.Store) (*Server, error) {
	o.complete()
	s := &Server{Store: db, cfg: o.Config, log: o.Log, o: o}
	s.live.Store(o.Config)
	resolver, err := Resolver(o.Config)
	if err != nil {
		return nil, err
	}
	resolver.Now = o.Now
	s.DNS = resolver
	return s, s.buildDelivery()
}

// buildReports makes the rooms of TLS reports and alerts; the queue is plugged in later.
func (s *Server) buildReports() error {
	roots, err := s.roots()
	if err != nil {
		return err
	}
	r := s.cfg.TLSRPT
	box := func() *outbox.Box {
		return &outbox.Box{Store: s.Store, DNS: s.DNS, AllowPrivate: s.cfg.Delivery.AllowPrivate, Roots: roots, Dial: s.o.Dialer.DialContext,
			Hostname: s.cfg.Hostname, Keep: days(r.RetentionDays), Now: s.o.Now, Log: s.area("tlsrpt"), Guard: s.guard}
	}
	out, hook := box(), box()
	out.Signer, out.Hosted, out.Off, out.Cap = s.Signing, s.Accounts.IsHosted, !r.Send, r.MaxPerOrg
	out.Count = func(result string) { s.Metrics.Report("out", result) }
	out.FromLocal, _, _ = strings.Cut(r.From, "@")
	s.TLSReport = tlsreport.New(out, tlsreport.Service{Success: tlsreport.Success(r.ReportSuccess), Send: s.reportsTo})
	hook.To = r.AlertWebhook
	s.Alerts = alert.New(hook, nil)
	if r.Alerts {
		s.Alerts.Postmaster = s.postmaster
	}
	s.TLSIntake = &intake.Service{
		Store: s.Store, DNS: s.DNS, Hosted: s.Accounts.IsHosted, Hostname: s.cfg.Hostname, HostNames: s.hostNames(),
		Outbox: out, Alerts: s.Alerts, Keep: days(r.RetentionDays), Now: s.o.Now, Log: s.area("tlsrpt"),
		PerReporter: r.MaxPerReporter, PerDay: r.MaxReceived, OctetsPerDay: int64(r.MaxOctets),
		Count: func(result string) { s.Metrics.Report("in", result) },
	}
	return nil
}

// hostNames are the names that results of DANE may be about beside those below
// hosted domains (RPT-17): the host's own, as it calls itself.
func (s *Server) hostNames() []dns.Name {
	names := []dns.Name{s.cfg.Hostname}
	if ehlo := s.cfg.Delivery.EHLO; !ehlo.IsZero() && ehlo != s.cfg.Hostname {
		names = append(names, ehlo)
	}
	return names
}

// reportsTo is tlsrpt.send for one recipient domain (RPT-3).
func (s *Server) reportsTo(domain string) bool {
	return !slices.ContainsFunc(s.cfg.TLSRPT.Exclude, func(n dns.Name) bool { return n.ASCII() == domain })
}

// postmaster is who is told of what an operator should see: of the nearest
// hosted domain at or above the host name, else of the first that is hosted. ""
// where nothing is.
func (s *Server) postmaster(ctx context.Context) (string, error) {
	for d := s.cfg.Hostname; !d.IsZero(); d = d.Parent() {
		hosted, err := s.Accounts.IsHosted(ctx, d)
		if err != nil {
			return "", err
		}
		if hosted {
			return "postmaster@" + d.ASCII(), nil
		}
	}
	domains, err := s.Accounts.Domains(ctx)
	if len(domains) == 0 || err != nil {
		return "", err
	}
	return "postmaster@" + domains[0].Name.ASCII(), nil
}

// buildQueue makes the queue and plugs the rooms of other layers into it.
func (s *Server) buildQueue() {
	d := s.cfg.Delivery
	s.Holds = &holds.Store{DB: s.Store, Now: s.o.Now}
	s.Suppression = &suppression.Store{DB: s.Store, Codes: d.SuppressCodes, Expiry: d.SuppressFor, Now: s.o.Now}
	history := d.History
	if history == 0 {
		history = -1 // the queue's zero is its default
	}
	schedule := retry.Schedule{Delays: d.Retry, Expire: d.Expire, DelayNotice: d.DelayNotice}
	s.Queue = &queue.Queue{
		Store:     s.Store,
		Direct:    s.Router,
		Local:     s.Router.Local,
		Mailboxes: s.Mailboxes,
		IsLocal:   s.isLocal,
		Record:    s.record,
		Attempted: s.attempted,

		Ways: s.Router, Holds: s.Holds, Suppression: s.Suppression,
		Settled: s.TLSReport.Settled,
		Schedule: func(p delivery.Purpose) retry.Schedule {
			if p == delivery.TLSReport || p == delivery.DMARCReport {
				return retry.Reports()
			}
			return schedule
		},
		Sign:        s.signDSN,
		History:     history,
		Hostname:    s.cfg.Hostname.ASCII(),
		Postmaster:  "postmaster@" + s.cfg.Hostname.ASCII(),
		Concurrency: d.Concurrency, PerDestination: d.ConcurrencyPerDomain,
		Outcomes: outcomesFile(s.cfg),
		Now:      s.o.Now, Log: s.area("queue"), Guard: s.guard,
	}
	s.TLSReport.Enqueuer, s.Alerts.Enqueuer = s.Queue, s.Queue
}

// record runs in the settling transaction: what was decided and done becomes
// observations.
func (s *Server) record(tx *store.Tx, job *delivery.Job, res *delivery.Result) error {
	if !s.cfg.TLSRPT.Send {
		return nil
	}
	return tlsresult.Recorder{Send: s.reportsTo, Now: s.o.Now}.Record(tx, job, res)
}

// isLocal says of a domain that its mail ends here.
func (s *Server) isLocal(ctx context.Context, d delivery.RecipientDomain) (bool, error) {
	if d.IsLiteral() {
		return false, nil
	}
	return s.Accounts.IsHosted(ctx, d.Name)
}

// isReport says of an address that TLS reports come to it, or bounces of our own.
func (s *Server) isReport(ctx context.Context, local string, domain dns.Name) bool {
	if _, back, err := s.TLSReport.Returned(ctx, local); back || err != nil {
		return err == nil && s.ours(ctx, domain)
	}
	if !strings.EqualFold(local, tlsreport.Local) { // at every hosted domain and at the host's own name (RPT-14)
		return false
	}
	return s.ours(ctx, domain)
}

// ours: the host's own name or a hosted domain.
func (s *Server) ours(ctx context.Context, domain dns.Name) bool {
	if domain == s.cfg.Hostname {
		return true
	}
	hosted, err := s.Accounts.IsHosted(ctx, domain)
	return err == nil && hosted // with an error, resolving the recipient fails next
}

// signDSN signs a message from this host's postmaster with the keys of the
// nearest domain above the host name that has some; without any it goes unsigned.
func (s *Server) signDSN(ctx context.Context, msg []byte) ([]byte, error) {
	for d := s.cfg.Hostname; !d.Parent().IsZero(); d = d.Parent() {
		fields, err := s.Signing.Sign(ctx, d, msg, nil)
		if !errors.Is(err, signing.ErrNoKeys) {
			return fields, err
		}
	}
	return nil, nil
}

// certificate is the files to show, or nil without TLS.
func (s *Server) certificate() (*certs.Files, error) {
	cert, key, _ := s.cfg.TLSFiles()
	if cert == "" {
		return nil, nil
	}
	f := &certs.Files{Cert: cert, Key: key, Now: s.o.Now, Log: s.area("certs")}
	if err := f.Load(); err != nil {
		if s.cfg.TLS.LocalCA {
			return nil, fmt.Errorf("%w; tls.local_ca needs what \"waxwing quickstart --local\" makes in %s", err, filepath.Dir(cert))
		}
		return nil, err
	}
	s.cert = f
	return f, nil
}
