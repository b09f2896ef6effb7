package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
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
	mux.Handle("POST "+reports.Path, &reports.Handler{Sink: s.TLSReport, TooMany: tlsreport.ErrTooMany, Now: s.o.Now, Log: s.area("tlsrpt")})
	mux.Handle("GET "+policies.Path, &policies.Handler{Source: s.STSPublish, Log: s.area("mta-sts")})
	conf = conf.Clone()
	conf.NextProtos = []string{"h2", "http/1.1"}
	srv := &http.Server{
		Handler: mux, TLSConfig: conf, MaxHeaderBytes: 16 << 10, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		WriteTimeout: 2 * time.Minute, IdleTimeout: time.Minute, ErrorLog: log.New(httpLog{s}, "", 0),
	}
	limited := netutil.LimitListener(l, or(c.MaxConnections, s.cfg.Limits.MaxConnections))
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

// httpLog takes what net/http has to say of single connections.
type httpLog struct{ s *Server }

func (h httpLog) Write(b []byte) (int, error) {
	h.s.area("https").Debug("connection", "text", string(b))
	return len(b), nil
}
