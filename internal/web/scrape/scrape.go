// Package scrape serves /metrics for Prometheus, and /healthz and /readyz for whoever starts and
// stops servers (OPS-1).
package scrape

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/disk"
	"waxwing/internal/metrics"
	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// Room is what is looked at. Its fields are set before Handler is called.
type Room struct {
	Config  *config.Config
	Metrics *metrics.Metrics
	Store   *store.Store
	Disk    *disk.Reserve
	Now     func() time.Time

	mu   sync.Mutex
	last time.Time
}

// Handler serves all three.
func (r *Room) Handler() http.Handler {
	mux := http.NewServeMux()
	all := promhttp.HandlerFor(r.Metrics.Registry, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, q *http.Request) {
		r.look(q.Context())
		all.ServeHTTP(w, q)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, q *http.Request) {
		if err := r.ready(q.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

const (
	// lookEvery is how often a scrape may have the store count what waits.
	lookEvery = 5 * time.Second
	// lookFor is how long a scrape waits for the store.
	lookFor = 3 * time.Second
)

// ready says why the server takes no mail now; nil: it does.
func (r *Room) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	if err := r.Store.Check(ctx); err != nil {
		return fmt.Errorf("the store cannot be used: %w", err)
	}
	return r.Disk.Room(0)
}

// look notes what is so now rather than what has happened, of the machine and the store. What cannot be found out stays as it was.
func (r *Room) look(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.Metrics
	if free, ok := r.Disk.Left(); ok {
		m.DiskFree(free)
	}
	if info, err := os.Stat(datadir.LastBackup(r.Config)); err == nil {
		m.LastBackup(info.ModTime())
	}
	if since := time.Since(r.last); since < lookEvery { // of a real clock: this is for its sake
		return
	}
	r.last = time.Now()
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	m.StoreSize(datadir.StoreSize(r.Config))
	depths, err := spool.Depths(ctx, r.Store)
	m.StoreUp(err == nil)
	for _, d := range depths {
		age := time.Duration(0)
		if !d.Oldest.IsZero() {
			age = r.Now().Sub(d.Oldest)
		}
		m.Depth(d.State.String(), d.N, age)
	}
}
