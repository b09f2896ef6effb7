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
	"waxwing/internal/guard"
	"waxwing/internal/web/policies"
	"waxwing/internal/web/reports"
)

// serveHTTPS serves strangers over HTTPS: TLS reports that are posted (RPT-15), and
// the MTA-STS policies of hosted domains (STS-11).
// What else is public has its place in the same mux.
func (s *Server) serveHTTPS(l net.Listener, c config.Listen, conf *tls.Config) func(context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("POST "+reports.Path, &reports.Handler{Sink: s.TLSIntake, Now: s.o.Now, Log: s.area("tlsrpt"),
		Count: s.Metrics.Posted})
	mux.Handle("GET "+policies.Path, &policies.Handler{Source: s.STSPublish, Log: s.area("mta-sts")})
	conf = conf.Clone()
	conf.NextProtos = []string{"h2", "http/1.1"}
	srv := bounded(&http.Server{Handler: s.guarded(guard.HTTPS, mux), TLSConfig: conf, ErrorLog: log.New(httpLog{s}, "", 0)})
	gated := s.gated(l, c, guard.HTTPS)
	gated.crowd = func(is bool) { srv.SetKeepAlivesEnabled(!is) } // which ends the idle ones
	srv.ConnState = shaken
	return func(ctx context.Context) error {
		done := make(chan struct{})
		stop := context.AfterFunc(ctx, s.guard.Func(guard.HTTPS, func() {
			defer close(done)
			drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if srv.Shutdown(drain) != nil {
				srv.Close()
			}
		}))
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

// guarded answers 500 where h panics. net/http would close the connection, and
// neither log nor count that.
func (s *Server) guarded(area guard.Area, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answered{ResponseWriter: w}
		if s.guard.Do(area, func() { h.ServeHTTP(a, r) }, "path", r.URL.Path, "remote", r.RemoteAddr) {
			return
		}
		if a.begun {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one: net/http closes the connection
		}
		http.Error(w, "internal error", http.StatusInternalServerError)
	})
}

// answered knows whether an answer has begun.
type answered struct {
	http.ResponseWriter
	begun bool
}

func (a *answered) WriteHeader(code int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(code)
}

func (a *answered) Write(b []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// httpLog takes what net/http has to say of single connections.
type httpLog struct{ s *Server }

func (h httpLog) Write(b []byte) (int, error) {
	h.s.area("https").Debug("connection", "text", string(b))
	return len(b), nil
}
