package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/login"
	"waxwing/internal/receive"
	"waxwing/internal/tlsreport/intake"
	"waxwing/proxyproto"
	"waxwing/smtpserver"
)

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// listener is one bound address and what serves it.
type listener struct {
	net.Listener
	kind  config.Kind
	serve func(ctx context.Context) error
}

// buildListeners binds every listener of the configuration.
func (s *Server) buildListeners(ctx context.Context) error {
	cert, err := s.certificate()
	if err != nil {
		return err
	}
	secret, err := login.Secret(ctx, s.Store)
	if err != nil {
		return err
	}
	var conf *tls.Config
	if cert != nil {
		// CRT-4: TLS 1.2 at least; no session tickets on SMTP, for interoperability
		// and because a resumed session proves less.
		conf = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.Get, SessionTicketsDisabled: true, Time: s.o.Now}
	}
	checker := &login.Checker{Accounts: s.Accounts, Now: s.o.Now, Log: s.area("login"), Guard: s.guard, Secret: secret, Count: s.Metrics.Login,
		Limits: login.Limits{Failures: s.cfg.Limits.FailedLogins}}
	door := s.receiving()
	for _, c := range s.cfg.Listen {
		l, err := s.bind(string(c.Kind), config.TCP(c.Address))
		if err != nil {
			return err
		}
		l = s.behindProxies(l, c)
		bound := &listener{Listener: l, kind: c.Kind}
		s.listeners = append(s.listeners, bound)
		switch c.Kind {
		case config.Metrics:
			gated := s.gated(l, c, guard.Metrics)
			gated.limits.Connections = metricsConnections
			bound.serve = s.serveMetrics(gated)
		case config.HTTPS:
			if conf == nil {
				return fmt.Errorf("listen on %s: https needs a certificate: set tls.cert_file and tls.key_file", c.Address)
			}
			bound.serve = s.serveHTTPS(l, c, conf)
		case config.MX, config.Submission, config.Submissions:
			srv, err := s.smtpServer(c, conf, checker, door)
			if err != nil {
				return err
			}
			bound.serve = func(ctx context.Context) error { return srv.Serve(ctx, l) }
		default:
			return fmt.Errorf("listen on %s: kind %q is not served by this version: take its [[listen]] table out of the configuration", c.Address, c.Kind)
		}
	}
	return nil
}

// receiving is the door of all that takes mail in.
func (s *Server) receiving() receive.Door {
	return receive.Door{Hostname: s.cfg.Hostname.ASCII(), Accounts: s.Accounts, Queue: s.Queue, Postmaster: s.postmaster,
		Room: s.disk.Room, TempDir: s.spool, Memory: s.incoming, Now: s.o.Now, Log: s.area("receive"), Guard: s.guard}
}

// incomingMemory is for messages that are coming in, beyond 64 KiB of each. Where it is
// used up, they go to the spool sooner.
const incomingMemory = 32 << 20

// behindProxies takes the PROXY headers of the listener's load balancers off
// (INB-1).
func (s *Server) behindProxies(l net.Listener, c config.Listen) net.Listener {
	if len(c.ProxyFrom) == 0 {
		return l
	}
	log, kind := s.area("proxy").With("listener", string(c.Kind)), string(c.Kind)
	return &proxyproto.Listener{
		Listener: l, Guard: s.guard, From: c.ProxyFrom, Pending: cmp.Or(c.MaxConnections, s.cfg.Limits.MaxConnections),
		Refused: func(proxy netip.Addr, why string) {
			s.Metrics.ProxyRefused(kind, why)
			level := slog.LevelInfo
			if why == "empty" { // a bare check of the port, every few seconds
				level = slog.LevelDebug
			}
			log.Log(context.Background(), level, "a load balancer's connection was closed: it sent no good PROXY header", "proxy", proxy.String(), "word", why)
		},
	}
}

// bind opens a TCP listener; every one of the server's comes from here. Where the
// kernel has no IPv6 at all, "every address of both families" is those of IPv4.
func (s *Server) bind(what string, e config.Endpoint) (net.Listener, error) {
	l, err := s.o.Listen(e.Network, e.Address)
	if port, every := strings.CutPrefix(e.Address, "[::]"); every && errors.Is(err, syscall.EAFNOSUPPORT) {
		l, err = s.o.Listen("tcp4", "0.0.0.0"+port)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w%s", what, err, listenHint(err))
	}
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

// maxHold is how long a message may ask to be held before its release (QUE-10).
const maxHold = 60 * 24 * time.Hour

// smtpServer is the front of one SMTP listener.
func (s *Server) smtpServer(c config.Listen, conf *tls.Config, checker *login.Checker, door receive.Door) (*smtpserver.Server, error) {
	lim := s.cfg.Limits
	kind, limits := string(c.Kind), s.shares(c)
	limits.MessageSize, limits.Recipients = int64(cmp.Or(c.MaxMessageSize, lim.MaxMessageSize)), lim.MaxRecipients
	srv := &smtpserver.Server{
		Hostname: s.cfg.Hostname.ASCII(), TLS: conf, ImplicitTLS: c.Kind == config.Submissions,
		Limits: limits, Peers: s.peers,
		Timeouts: smtpserver.Timeouts{Command: lim.CommandTimeout, Crowded: lim.CrowdedTimeout},
		Offer:    smtpserver.Offer{RequireTLS: true},
		Trace:    s.trace(kind),
		Now:      s.o.Now, Log: s.area("smtp").With("listener", kind), Guard: s.guard,
	}
	if c.Kind == config.MX {
		srv.Backend = &receive.MX{Door: door, DNS: s.DNS, Reports: reportSink{s.TLSIntake}, IsReport: s.isReport}
		return srv, nil
	}
	if conf == nil {
		return nil, fmt.Errorf("listen on %s: %s needs a certificate, since passwords go over TLS only: set tls.cert_file and tls.key_file", c.Address, c.Kind)
	}
	auth, err := s.authenticator(c, srv, checker)
	if err != nil {
		return nil, err
	}
	srv.Auth = auth
	srv.Offer.FutureRelease = maxHold
	srv.Backend = &receive.Submission{Door: door, Signer: s.Signing, Allowance: s.Allowance}
	return srv, nil
}

// authenticator is who checks logins at a listener; where client certificates are
// taken (INB-5), srv asks for them.
func (s *Server) authenticator(c config.Listen, srv *smtpserver.Server, checker *login.Checker) (smtpserver.Authenticator, error) {
	if !c.TakesCertificates() {
		return checker, nil
	}
	trust, err := clientTrust(c)
	if err != nil {
		return nil, err
	}
	e := login.NewExternal(checker, trust)
	conf := &clientTLS{base: srv.TLS}
	conf.take(trust)
	srv.TLS = srv.TLS.Clone()
	srv.TLS.GetConfigForClient = conf.get
	s.clientCAs = append(s.clientCAs, clientCA{c, func(t login.Trust) { e.SetTrust(t); conf.take(t) }})
	return e, nil
}

// clientTrust reads whose certificates log in at a listener.
func clientTrust(c config.Listen) (login.Trust, error) {
	roots, err := c.ClientRoots()
	if err != nil {
		return login.Trust{}, fmt.Errorf("listen on %s: client_ca: %w", c.Address, err)
	}
	pinned, err := c.Pinned()
	if err != nil {
		return login.Trust{}, fmt.Errorf("listen on %s: %w", c.Address, err)
	}
	return login.Trust{Roots: roots, Pinned: pinned}, nil
}

// clientCA is a listener that takes client certificates, and how it is told of others.
type clientCA struct {
	listen config.Listen
	take   func(login.Trust)
}

// clientTLS is the TLS of such a listener. Certificates are asked for and not
// demanded, nor judged here: programs show what certificates they have, and then use
// a password.
type clientTLS struct {
	base *tls.Config
	now  atomic.Pointer[tls.Config]
}

func (c *clientTLS) take(t login.Trust) {
	conf := c.base.Clone()
	conf.ClientAuth, conf.ClientCAs = tls.RequestClientCert, t.Roots
	conf.VerifyPeerCertificate = smallChain
	c.now.Store(conf)
}

func (c *clientTLS) get(*tls.ClientHelloInfo) (*tls.Config, error) { return c.now.Load(), nil }

// maxChain is what the certificates that a client shows may have, in octets: they are
// kept as long as the connection. Go's own bound is 256 KiB.
const maxChain = 32 << 10

// smallChain ends the handshake of a client that shows more.
func smallChain(chain [][]byte, _ [][]*x509.Certificate) error {
	size := 0
	for _, c := range chain {
		size += len(c)
	}
	if size > maxChain {
		return fmt.Errorf("the client's certificates have %d octets, %d are allowed", size, maxChain)
	}
	return nil
}

// reportSink plugs the TLS reports into the mail that comes in.
type reportSink struct{ reports *intake.Service }

func (r reportSink) Take(ctx context.Context, m receive.Report) (bool, string, error) {
	return r.reports.Take(ctx, m.Recipient, m.Message)
}

// metricsConnections are those of scrapers at one time, and of whoever else comes.
const metricsConnections = 100

// serveMetrics serves /metrics for Prometheus.
func (s *Server) serveMetrics(l net.Listener) func(context.Context) error {
	mux := http.NewServeMux()
	all := promhttp.HandlerFor(s.Metrics.Registry, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if free, ok := s.disk.Left(); ok {
			s.Metrics.DiskFree(free)
		}
		all.ServeHTTP(w, r)
	})
	srv := bounded(&http.Server{Handler: s.guarded(guard.Metrics, mux), WriteTimeout: time.Minute})
	return func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { srv.Close() })
		defer stop()
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}
