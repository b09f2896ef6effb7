package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"waxwing/internal/config"
	"waxwing/internal/tlsreport"
	"waxwing/internal/web/policies"
	"waxwing/internal/web/reports"
)

// serveHTTPS serves strangers over HTTPS: TLS reports that are posted (RPT-15), and
// the MTA-STS policies of hosted domains (STS-11).
// What else is public has its place in the same mux.
func (s *Server) serveHTTPS(l net.Listener, c config.Listen, conf *tls.Config) func(context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("POST "+reports.Path, &reports.Handler{Sink: s.TLSReport, TooMany: tlsreport.ErrTooMany, Now: s.o.Now, Log: s.area("tlsrpt"),
		Count: s.Metrics.Posted})
	mux.Handle("GET "+policies.Path, &policies.Handler{Source: s.STSPublish, Log: s.area("mta-sts")})
	conf = conf.Clone()
	conf.NextProtos = []string{"h2", "http/1.1"}
	srv := bounded(&http.Server{Handler: mux, TLSConfig: conf, ErrorLog: log.New(httpLog{s}, "", 0)})
	fair := &fairListener{Listener: l, most: s.cfg.Limits.ConnectionsPerIP, refused: s.Metrics.HTTPSRefused}
	limited := netutil.LimitListener(fair, or(c.MaxConnections, s.cfg.Limits.MaxConnections))
	return func(ctx context.Context) error {
		done := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(done)
			drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if srv.Shutdown(drain) != nil {
				srv.Close()
			}
		})
		err := srv.ServeTLS(limited, "", "")
		if !stop() {
			<-done
		}
		if !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

// fairListener closes what one network opens beyond most connections at a time:
// no stranger may take the room of all others. Fields are set before its first use.
type fairListener struct {
	net.Listener
	most    int
	refused func()

	mu   sync.Mutex
	open map[netip.Prefix]int
}

// Accept returns the next connection of a network that has room.
func (l *fairListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		p, ok := networkOf(c.RemoteAddr())
		if ok && l.enter(p) {
			return &fairConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(p) })}, nil
		}
		l.refused()
		c.Close()
	}
}

func (l *fairListener) enter(p netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[netip.Prefix]int{}
	}
	if l.open[p] >= l.most {
		return false
	}
	l.open[p]++
	return true
}

func (l *fairListener) leave(p netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[p]--; l.open[p] <= 0 {
		delete(l.open, p)
	}
}

// networkOf is what counts as one client: an IPv4 address or an IPv6 /64.
func networkOf(a net.Addr) (netip.Prefix, bool) {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}, false
	}
	addr := ap.Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	return p, err == nil
}

type fairConn struct {
	net.Conn
	leave func()
}

func (c *fairConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// httpLog takes what net/http has to say of single connections.
type httpLog struct{ s *Server }

func (h httpLog) Write(b []byte) (int, error) {
	h.s.area("https").Debug("connection", "text", string(b))
	return len(b), nil
}
