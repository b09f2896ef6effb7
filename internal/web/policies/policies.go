// Package policies serves the MTA-STS policies of hosted domains at
// https://mta-sts.DOMAIN/.well-known/mta-sts.txt (RFC 8461 §3.3, STS-11).
package policies

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"waxwing/dns"
	"waxwing/internal/stspublish"
)

// Path is where policies are (RFC 8461 §3.3).
const Path = "/.well-known/mta-sts.txt"

// Source knows the policies; *stspublish.Service does.
type Source interface {
	Get(ctx context.Context, domain dns.Name) (stspublish.Published, error)
}

// Handler serves the policy that belongs to the request's host name; 404 for
// any other name.
type Handler struct {
	Source Source
	Log    *slog.Logger // nil: discard
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	rest, ok := strings.CutPrefix(strings.ToLower(host), "mta-sts.")
	domain, err := dns.ParseName(rest)
	if !ok || err != nil {
		http.NotFound(w, r)
		return
	}
	p, err := h.Source.Get(r.Context(), domain)
	switch {
	case errors.Is(err, stspublish.ErrNone):
		http.NotFound(w, r)
	case err != nil:
		if h.Log != nil {
			h.Log.Error("MTA-STS policy cannot be served", "domain", domain.ASCII(), "error", err)
		}
		http.Error(w, "temporarily unavailable", http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		io.WriteString(w, p.Text)
	}
}
