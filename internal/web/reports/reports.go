// Package reports takes in SMTP TLS reports by HTTPS (RFC 8460 §5.4, RPT-15),
// POST /tlsrpt with a report as JSON or gzip of JSON, and DMARC reports (DMR-2), POST /dmarc with
// XML, gzip or zip. Nobody vouches for who
// posts; so each source may do so only now and then, and what is kept is for the
// sink to bound.
package reports

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"waxwing/internal/reportbox"
	"waxwing/internal/turns"
	"waxwing/peers"
)

// Path is where TLS reports are posted to, DMARCPath where DMARC reports are.
const (
	Path      = "/tlsrpt"
	DMARCPath = "/dmarc"
)

// Sink keeps a report; how many it unpacks at a time is its own matter. A reason
// refuses the report for good. reportbox.ErrTooMany, which may be wrapped, asks the source to
// come another day, turns.ErrBusy in a moment; any other error is temporary. Safe
// for concurrent use.
type Sink interface {
	TakePost(ctx context.Context, source netip.Addr, body []byte) (reason string, err error)
}

const (
	maxBody     = 1 << 20
	perHour     = 60   // requests of one source
	maxSources  = 4096 // that are remembered
	maxOfSite   = 64   // of them within one IPv6 /48, which is easily had
	reading     = 32   // requests whose bodies come in, or wait to be unpacked, at one time
	atATime     = 2    // of them from one source
	readTime    = 30 * time.Second
	retryBusy   = time.Minute
	maxReasonIn = 300 // octets of a reason in an answer
)

// Handler serves POST /tlsrpt. Its fields are set before its first use.
type Handler struct {
	Sink  Sink
	DMARC bool // the reports are DMARC's
	Now   func() time.Time
	Log   *slog.Logger
	// Count is told what came of each request, by its status; nil: nobody.
	Count func(status int)

	once sync.Once
	room places

	mu      sync.Mutex
	hour    int64
	sources map[netip.Prefix]int // requests of the running hour
	sites   map[netip.Prefix]int // how many of the sources are in an IPv6 /48
	open    map[netip.Prefix]int // that are being answered
}

// ServeHTTP answers 200 when the report is kept, or was before; 4xx when it
// never will be; 429 and 503 when another time is better (RFC 8460 §5.4, §5.5).
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.once.Do(func() {
		h.sources, h.sites, h.open = map[netip.Prefix]int{}, map[netip.Prefix]int{}, map[netip.Prefix]int{}
	})
	if h.Count != nil {
		told := &teller{ResponseWriter: w}
		defer func() { h.Count(told.status) }()
		w = told
	}
	source, ok := sourceOf(r)
	if !ok {
		answer(w, http.StatusBadRequest, "no source address")
		return
	}
	leave, wait, ok := h.admit(source)
	if !ok {
		later(w, http.StatusTooManyRequests, wait, "too many requests from your network")
		return
	}
	defer leave()
	h.serve(w, r, source)
}

// serve answers a request that its network may make.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, source netip.Addr) {
	if why := h.accepts(r); why != "" {
		answer(w, http.StatusUnsupportedMediaType, why)
		return
	}
	// Real time, whatever Now says: deadlines are the connection's. Not every
	// ResponseWriter has one; the server's own timeouts hold then.
	set := http.NewResponseController(w).SetReadDeadline
	p, ok := h.room.enter(reading, time.Now(), func() { _ = set(time.Unix(1, 0)) })
	if !ok {
		later(w, http.StatusServiceUnavailable, retryBusy, "busy")
		return
	}
	defer h.room.leave(p)
	_ = set(time.Now().Add(readTime))
	body, status, why := read(w, r, p)
	if !h.room.finish(p) {
		later(w, http.StatusRequestTimeout, retryBusy, "too slow while others wait")
		return
	}
	if why != "" {
		answer(w, status, why)
		return
	}
	reason, err := h.Sink.TakePost(r.Context(), source, body)
	switch {
	case errors.Is(err, reportbox.ErrTooMany):
		later(w, http.StatusTooManyRequests, untilMidnight(h.Now()), "too many reports today")
	case errors.Is(err, turns.ErrBusy):
		later(w, http.StatusServiceUnavailable, retryBusy, "busy")
	case err != nil:
		h.Log.Error("report by HTTPS not kept", "source", source.String(), "error", err)
		later(w, http.StatusServiceUnavailable, retryBusy, "try again later")
	case reason != "":
		h.Log.Info("report by HTTPS refused", "source", source.String(), "text", reason)
		answer(w, http.StatusBadRequest, reason)
	default:
		answer(w, http.StatusOK, "taken")
	}
}

// read takes the body in, in bounded time and size.
func read(w http.ResponseWriter, r *http.Request, p *place) (body []byte, status int, why string) {
	body, err := io.ReadAll(&counted{http.MaxBytesReader(w, r.Body, maxBody), p})
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, http.StatusRequestEntityTooLarge, "at most 1 MiB is taken"
	case err != nil:
		return nil, http.StatusBadRequest, "the body cannot be read"
	case len(body) == 0:
		return nil, http.StatusBadRequest, "the body is empty"
	}
	return body, 0, ""
}

// accepts looks at the media type (RFC 8460 §5.4, §6.4): what is in the body the
// parser sees for itself, but a form or a page is nothing for it.
func (h *Handler) accepts(r *http.Request) (why string) {
	own, want := []string{"application/tlsrpt+gzip", "application/tlsrpt+json", "application/tlsrpt", "application/json"}, "application/tlsrpt+gzip"
	if h.DMARC {
		own, want = []string{"text/xml", "application/xml", "application/zip"}, "application/gzip"
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return "Content-Encoding is not taken: send " + want
	}
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case slices.Contains(own, t), t == "application/gzip", t == "application/x-gzip", t == "application/octet-stream":
		return ""
	case err != nil:
		return "send Content-Type " + want
	}
	return "media type not taken: send " + want
}

func sourceOf(r *http.Request) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap().WithZone(""), err == nil
}

// admit counts the requests of a network in the running hour, and those that
// have no answer yet until leave is called: a few slow ones must not take the
// room of all. When more networks come than are remembered, the new ones wait for
// the next hour: those who are known go on. Nobody's own networks are that many.
func (h *Handler) admit(a netip.Addr) (leave func(), wait time.Duration, ok bool) {
	p := peers.Client(a)
	if !p.IsValid() {
		return nil, time.Hour, false
	}
	now := h.Now()
	hour := now.Unix() / 3600
	wait = time.Unix((hour+1)*3600, 0).Sub(now)
	h.mu.Lock()
	defer h.mu.Unlock()
	if hour != h.hour {
		h.hour = hour
		clear(h.sources)
		clear(h.sites)
	}
	n, known := h.sources[p]
	site := netip.PrefixFrom(a, min(p.Bits(), 48)).Masked()
	switch {
	case n >= perHour || !known && (len(h.sources) >= maxSources || h.sites[site] >= maxOfSite):
		return nil, wait, false
	case h.open[p] >= atATime:
		return nil, retryBusy, false
	}
	h.sources[p] = n + 1
	if !known {
		h.sites[site]++
	}
	h.open[p]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.open[p]--; h.open[p] == 0 {
			delete(h.open, p)
		}
	}, 0, true
}

// teller remembers the status of an answer.
type teller struct {
	http.ResponseWriter
	status int
}

func (t *teller) WriteHeader(status int) {
	t.status = status
	t.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController, which sets the read deadline.
func (t *teller) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func untilMidnight(now time.Time) time.Duration {
	return now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
}

func later(w http.ResponseWriter, status int, wait time.Duration, text string) {
	w.Header().Set("Retry-After", strconv.FormatInt(int64(wait/time.Second)+1, 10))
	answer(w, status, text)
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The client may be gone: then nobody misses the text.
	_, _ = io.WriteString(w, text[:min(len(text), maxReasonIn)]+"\n")
}
