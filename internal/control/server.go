package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"waxwing/internal/desk"
	"waxwing/internal/guard"
	"waxwing/internal/health"
	"waxwing/internal/outbox"
	"waxwing/internal/spool"
)

// Server answers at the socket.
type Server struct {
	Desk    desk.Desk
	Running *Running
	Program string       // version of the program, for people
	Log     *slog.Logger // nil: discard
	Guard   *guard.Guard // contains panics
}

type peerKey struct{}

// peer is who is at the other end.
type peer struct {
	uid int
	err error
}

// Serve answers at l until ctx ends; requests under way then have a moment to end.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           http.MaxBytesHandler(s.handler(), maxRequest),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			uid, err := peerUID(c)
			return context.WithValue(ctx, peerKey{}, peer{uid, err})
		},
		ErrorLog: slog.NewLogLogger(s.log().Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, s.Guard.Func(guard.Control, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if srv.Shutdown(last) != nil {
			srv.Close()
		}
	}))
	defer stop()
	if err := srv.Serve(newBounded(l)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+versionPath, func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, Hello{Protocol: Version, Program: s.Program, PID: os.Getpid()})
	})
	d := s.Desk
	handle(s, mux, "queue/list", d.List)
	handle(s, mux, "queue/show", func(ctx context.Context, q byID) (spool.Shown, error) { return d.Show(ctx, q.ID) })
	handle(s, mux, "queue/count", func(ctx context.Context, _ struct{}) (map[spool.State]int, error) { return d.Count(ctx) })
	handle(s, mux, "queue/closed", func(ctx context.Context, q atMost) ([]spool.Closed, error) { return d.Closed(ctx, q.Limit) })
	handle(s, mux, "queue/act", d.Act)
	for _, noun := range []string{"tlsrpt", "dmarc"} {
		handle(s, mux, noun+"/send", func(ctx context.Context, o outbox.SendOptions) (sent, error) {
			sum, err := d.SendReports(ctx, noun, o)
			return wrapSummary(sum), err
		})
	}
	handle(s, mux, "log/levels", s.Running.LogLevels)
	handle(s, mux, "milters/last", func(context.Context, struct{}) (map[string]health.MilterAnswer, error) {
		return s.Running.Milters(), nil
	})
	handle(s, mux, "dnssec/source", func(ctx context.Context, _ struct{}) (health.DNSSEC, error) {
		return s.Running.DNSSEC(ctx), nil
	})
	handle(s, mux, "log/set", s.Running.SetLogLevel)
	mux.HandleFunc("POST /"+traceOp, s.trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := admit(r); f != nil {
			s.log().Warn("refused at the control socket", "text", f.Text)
			answer(w, http.StatusForbidden, f)
			return
		}
		if !s.Guard.Do(guard.Control, func() { mux.ServeHTTP(w, r) }, "path", r.URL.Path) {
			answer(w, http.StatusInternalServerError, failure{wordFailed, "internal error of the server; it is in its log"})
		}
	})
}

// admit lets in root and the user the server runs as. The socket's mode says the
// same; this holds where somebody has changed that.
func admit(r *http.Request) *failure {
	p, ok := r.Context().Value(peerKey{}).(peer)
	switch {
	case !ok || p.err != nil:
		return &failure{wordPeer, fmt.Sprintf("it cannot be told who asks: %v", p.err)}
	case p.uid != 0 && p.uid != os.Geteuid():
		return &failure{wordPeer, fmt.Sprintf("uid %d may not control the server: root may, and uid %d, which it runs as", p.uid, os.Geteuid())}
	}
	return nil
}

// handle makes fn the answer to op.
func handle[Q, A any](s *Server, mux *http.ServeMux, op string, fn func(context.Context, Q) (A, error)) {
	mux.HandleFunc("POST /"+op, func(w http.ResponseWriter, r *http.Request) {
		q, ok := asked[Q](w, r)
		if !ok {
			return
		}
		a, err := fn(r.Context(), q)
		if err != nil {
			answer(w, http.StatusUnprocessableEntity, encode(err))
			return
		}
		s.log().Debug("asked at the control socket", "what", op)
		answer(w, http.StatusOK, a)
	})
}

// asked reads a request; false: it was answered that it cannot be read.
func asked[Q any](w http.ResponseWriter, r *http.Request) (q Q, ok bool) {
	if v := r.Header.Get(versionHeader); v != strconv.Itoa(Version) {
		answer(w, http.StatusBadRequest, failure{wordVersion, fmt.Sprintf("the server speaks version %d of the control protocol, not %q", Version, v)})
		return q, false
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		answer(w, http.StatusBadRequest, failure{wordRequest, "the request cannot be read: " + err.Error()})
		return q, false
	}
	return q, true
}

func answer(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		code, b = http.StatusInternalServerError, []byte(`{"word":"failed","text":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(b) // a client that is gone does not want it
}

func (s *Server) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.New(slog.DiscardHandler)
}
