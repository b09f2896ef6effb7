package lab

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// PolicyHost is an HTTPS host that serves one MTA-STS policy. Methods are safe
// for concurrent use.
type PolicyHost struct {
	Addr netip.Addr

	mu     sync.Mutex
	text   string
	status int
	hits   int
	srv    *http.Server
}

// StartPolicyHost serves text at the well-known path with cert.
func (n *Network) StartPolicyHost(ctx context.Context, cert tls.Certificate, text string) (*PolicyHost, error) {
	h := &PolicyHost{Addr: n.Addr(), text: text, status: http.StatusOK}
	l, err := n.Listen(netip.AddrPortFrom(h.Addr, 443))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/mta-sts.txt", h.serve)
	h.srv = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go h.srv.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}))
	context.AfterFunc(ctx, h.Close)
	return h, nil
}

func (h *PolicyHost) serve(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	h.hits++
	text, status := h.text, h.status
	h.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, text)
}

// Set changes what is served.
func (h *PolicyHost) Set(status int, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status, h.text = status, text
}

// Hits is how often the policy was asked for.
func (h *PolicyHost) Hits() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hits
}

// Close stops the host at once.
func (h *PolicyHost) Close() { h.srv.Close() }
