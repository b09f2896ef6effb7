package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/guard"
	"waxwing/internal/spool"
	"waxwing/internal/web/gate"
)

// metricsConnections are those of scrapers at one time, and of whoever else comes.
const metricsConnections = 100

// metrics serves /metrics for Prometheus, and /healthz and /readyz for whoever starts
// and stops servers (OPS-1).
func (f *front) metrics(l net.Listener, c config.Listen) (serve, error) {
	m := f.rooms.Metrics
	m.Build(f.Version)
	look := &looker{front: f}
	mux := http.NewServeMux()
	all := promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		look.look(r.Context())
		all.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := f.ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	gated := f.gated(l, c, guard.Metrics)
	gated.Limits.Connections = metricsConnections
	srv := gate.Bounded(f.area(config.LogMetrics), &http.Server{Handler: gate.Guarded(f.guard, guard.Metrics, mux), WriteTimeout: time.Minute})
	return func(ctx context.Context) error { return gate.ServePlain(ctx, srv, gated) }, nil
}

const (
	// lookEvery is how often a scrape may have the store count what waits.
	lookEvery = 5 * time.Second
	// lookFor is how long a scrape waits for the store.
	lookFor = 3 * time.Second
)

// ready says why the server takes no mail now; nil: it does.
func (f *front) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	if err := f.rooms.Store.Check(ctx); err != nil {
		return fmt.Errorf("the store cannot be used: %w", err)
	}
	return f.disk.Room(0)
}

// looker notes what is so now rather than what has happened.
type looker struct {
	front *front

	mu   sync.Mutex
	last time.Time
}

// look looks at the machine and the store. What cannot be found out stays as it was.
func (l *looker) look(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, m := l.front, l.front.rooms.Metrics
	if free, ok := f.disk.Left(); ok {
		m.DiskFree(free)
	}
	if info, err := os.Stat(datadir.LastBackup(f.cfg)); err == nil {
		m.LastBackup(info.ModTime())
	}
	if since := time.Since(l.last); since < lookEvery { // of a real clock: this is for its sake
		return
	}
	l.last = time.Now()
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	m.StoreSize(datadir.StoreSize(f.cfg))
	depths, err := spool.Depths(ctx, f.rooms.Store)
	m.StoreUp(err == nil)
	for _, d := range depths {
		age := time.Duration(0)
		if !d.Oldest.IsZero() {
			age = f.Now().Sub(d.Oldest)
		}
		m.Depth(d.State.String(), d.N, age)
	}
}
