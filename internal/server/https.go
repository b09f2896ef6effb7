package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"time"

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
	gated := s.gated(l, c, true)
	gated.crowd = func(is bool) { srv.SetKeepAlivesEnabled(!is) } // which ends the idle ones
	srv.ConnState = shaken
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
		err := srv.ServeTLS(gated, "", "")
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
