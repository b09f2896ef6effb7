package gate

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"
)

// httpBuffer bounds what a connection of HTTP/2 may send before anybody reads it, all
// its requests together. Go's own bound, 1 MiB, would be a GiB for a thousand strangers.
const httpBuffer = 64 << 10

// Bounded keeps what connections of a server may hold and how long they may take
// within what strangers are given (INB-2). Timeouts that are set are kept. What net/http
// says of single connections goes to log, for debugging.
func Bounded(log *slog.Logger, srv *http.Server) *http.Server {
	srv.ErrorLog = errorLog(log)
	srv.MaxHeaderBytes = 16 << 10
	srv.ReadHeaderTimeout = 10 * time.Second
	srv.ReadTimeout = cmp.Or(srv.ReadTimeout, time.Minute)
	srv.WriteTimeout = cmp.Or(srv.WriteTimeout, 2*time.Minute)
	srv.IdleTimeout = cmp.Or(srv.IdleTimeout, time.Minute)
	srv.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 10, MaxReadFrameSize: 16 << 10,
		MaxReceiveBufferPerConnection: httpBuffer, MaxReceiveBufferPerStream: httpBuffer,
		MaxDecoderHeaderTableSize: 4 << 10, MaxEncoderHeaderTableSize: 4 << 10}
	return srv
}
