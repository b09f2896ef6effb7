package gate

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"waxwing/internal/guard"
)

// ServeTLS serves until ctx ends, and gives requests that are under way a moment then.
func ServeTLS(ctx context.Context, g *guard.Guard, srv *http.Server, l net.Listener) error {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, g.Func(guard.HTTPS, func() {
		defer close(done)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if srv.Shutdown(drain) != nil {
			srv.Close()
		}
	}))
	err := srv.ServeTLS(l, "", "")
	if !stop() {
		<-done
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ServePlain serves without TLS until ctx ends.
func ServePlain(ctx context.Context, srv *http.Server, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// errorLog has what net/http says of single connections logged for debugging.
func errorLog(l *slog.Logger) *log.Logger { return log.New(lines{l}, "", 0) }

type lines struct{ log *slog.Logger }

func (l lines) Write(b []byte) (int, error) {
	l.log.Debug("connection", "text", strings.TrimSpace(string(b)))
	return len(b), nil
}
