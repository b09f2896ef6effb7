// Package autoconfig serves strangers the documents from which mail programs learn which
// servers a hosted domain has (CLI-1): Thunderbird's, Autodiscover's and Apple's. It knows
// domains and no accounts: every address of a domain is answered alike, whether it is there or not.
package autoconfig

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"waxwing/clientconfig"
	"waxwing/dns"
	"waxwing/smtp"
)

// Handler answers. Its fields are needed, and must not change once it is in use.
type Handler struct {
	// Settings are those of a hosted domain; false for any other.
	Settings func(ctx context.Context, domain dns.Name) (clientconfig.Settings, bool, error)
	// Sign signs a profile; where there is no certificate that vouches for anything, it
	// returns the profile as it is.
	Sign func(profile []byte) ([]byte, error)
	Now  func() time.Time
	Log  *slog.Logger

	mu   sync.Mutex
	full time.Time // when all signatures that may be made at once can be made again
}

// A signature costs a millisecond of processor time, and strangers ask for it.
const (
	signEvery   = 50 * time.Millisecond
	signsAtOnce = 20
)

// Route is a pattern for http.ServeMux, with what answers there.
type Route struct {
	Pattern string
	Handler http.HandlerFunc
}

// Routes are all.
func (h *Handler) Routes() []Route {
	out := []Route{
		{"GET " + clientconfig.ThunderbirdPath, h.thunderbird},
		{"GET " + clientconfig.WellKnownPath, h.thunderbird},
		{"GET " + clientconfig.ProfilePath, h.profile},
	}
	// Programs spell it as they like; a mux tells case apart.
	for _, dir := range []string{"autodiscover", "Autodiscover", "AutoDiscover"} {
		for _, file := range []string{"autodiscover", "Autodiscover", "AutoDiscover"} {
			out = append(out, Route{"POST /" + dir + "/" + file + ".xml", h.autodiscover})
		}
	}
	return out
}

// answer is settings found, or why there are none.
type answer int

const (
	found answer = iota
	unknown
	broken
)

// settings are those of a domain for which programs can be set up.
func (h *Handler) settings(ctx context.Context, domain dns.Name) (clientconfig.Settings, answer) {
	s, hosted, err := h.Settings(ctx, domain)
	switch {
	case err != nil:
		if !errors.Is(err, context.Canceled) {
			h.Log.Error("settings for mail programs cannot be served", "domain", domain.ASCII(), "error", err)
		}
		return s, broken
	case !hosted || !s.Complete():
		return s, unknown
	}
	return s, found
}

// refuse answers a request that is not answered with a document.
func refuse(w http.ResponseWriter, r *http.Request, a answer) {
	if a == broken {
		http.Error(w, "temporarily unavailable", http.StatusServiceUnavailable)
		return
	}
	http.NotFound(w, r)
}

func write(w http.ResponseWriter, kind string, document []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Write(document)
}

// address reads an address that programs give: of whom, and of what domain.
func address(s string) (string, dns.Name, bool) {
	a, err := smtp.ParseAddress(s, true)
	if err != nil {
		return "", dns.Name{}, false
	}
	domain, err := dns.ParseName(a.Domain)
	return smtp.Address{Local: a.Local, Domain: domain.ASCII()}.String(), domain, err == nil
}

// asked is the domain of a request: that of its address, else that of the host it was sent to.
func asked(r *http.Request) (dns.Name, bool) {
	if _, domain, ok := address(r.URL.Query().Get(clientconfig.AddressParameter)); ok {
		return domain, true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	if r.URL.Path == clientconfig.ThunderbirdPath {
		host = strings.TrimPrefix(host, "autoconfig.")
	}
	domain, err := dns.ParseName(host)
	return domain, err == nil
}

func (h *Handler) thunderbird(w http.ResponseWriter, r *http.Request) {
	domain, ok := asked(r)
	if !ok {
		refuse(w, r, unknown)
		return
	}
	s, a := h.settings(r.Context(), domain)
	if a != found {
		refuse(w, r, a)
		return
	}
	write(w, "text/xml; charset=utf-8", clientconfig.Thunderbird(s))
}

func (h *Handler) autodiscover(w http.ResponseWriter, r *http.Request) {
	q, err := clientconfig.ParseRequest(r.Body)
	if err != nil {
		h.noAutodiscover(w, clientconfig.ErrRequest)
		return
	}
	who, domain, ok := address(q.Address)
	switch {
	case !ok:
		h.noAutodiscover(w, clientconfig.ErrRequest)
		return
	case !q.Outlook():
		h.noAutodiscover(w, clientconfig.ErrNoSuchSchema)
		return
	}
	switch s, a := h.settings(r.Context(), domain); a {
	case found:
		write(w, "text/xml; charset=utf-8", clientconfig.Autodiscover(s, who))
	case unknown:
		h.noAutodiscover(w, clientconfig.ErrNoAddress)
	default:
		refuse(w, r, a)
	}
}

// noAutodiscover refuses as Autodiscover does: the answer of HTTP is that all is well.
func (h *Handler) noAutodiscover(w http.ResponseWriter, code int) {
	write(w, "text/xml; charset=utf-8", clientconfig.AutodiscoverError(code, h.Now()))
}

func (h *Handler) profile(w http.ResponseWriter, r *http.Request) {
	who, domain, ok := address(r.URL.Query().Get(clientconfig.AddressParameter))
	if !ok {
		refuse(w, r, unknown)
		return
	}
	s, a := h.settings(r.Context(), domain)
	if a != found {
		refuse(w, r, a)
		return
	}
	if !h.maySign() {
		w.Header().Set("Retry-After", "1")
		refuse(w, r, broken)
		return
	}
	signed, err := h.Sign(clientconfig.Profile(s, who))
	if err != nil {
		h.Log.Error("a profile for mail programs cannot be signed", "error", err)
		refuse(w, r, broken)
		return
	}
	w.Header().Set("Content-Disposition", `attachment; filename="`+s.Domain+`.mobileconfig"`)
	write(w, clientconfig.ProfileType, signed)
}

// maySign reports that a signature may be made now.
func (h *Handler) maySign() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.Now()
	if h.full.Before(now) {
		h.full = now
	}
	if h.full.Sub(now) > (signsAtOnce-1)*signEvery {
		return false
	}
	h.full = h.full.Add(signEvery)
	return true
}
