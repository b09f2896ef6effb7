package gate

import (
	"net"
	"net/http"
	"strings"
)

// Secured sets what every answer has, whatever it is about, errors included (WEB-3); overTLS adds what makes sense there
// alone. It is the one place for these fields: a handler that needs less says so itself.
//
// An answer is loaded and framed by nobody, runs nothing, has no type but its own, is kept by no cache, and tells nobody
// where its reader was. Strict-Transport-Security is about the host alone: what else there is below its name is not ours to decide.
func Secured(overTLS bool, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		set := w.Header().Set
		if overTLS {
			set("Strict-Transport-Security", "max-age=31536000")
		}
		set("Content-Security-Policy", "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; sandbox")
		set("X-Content-Type-Options", "nosniff")
		set("Referrer-Policy", "no-referrer")
		set("Cross-Origin-Opener-Policy", "same-origin")
		set("Cross-Origin-Resource-Policy", "same-origin")
		set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

// On has h serve requests for a host alone, at whatever port; for all others there is nothing.
func On(host string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if n, _, err := net.SplitHostPort(name); err == nil {
			name = n
		}
		if !strings.EqualFold(name, host) {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}
