// Webhost is a stranger's HTTPS host for tests with whole machines: it serves an MTA-STS
// policy to whoever asks (RFC 8461) and takes TLS reports (RFC 8460 §5.4), each of which
// it writes to a file of its own, unpacked. It has no code of the server.
//
//	webhost -listen 192.0.2.1:443 -cert CERT -key KEY -policy mta-sts.txt -reports DIRECTORY
package main

import (
	"compress/gzip"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// host is what it serves, and where to write what it takes.
type host struct {
	policy  string // a file
	reports string // a directory
}

func main() {
	var h host
	listen := flag.String("listen", "", "address and port")
	cert := flag.String("cert", "", "a file with the certificates, in PEM")
	key := flag.String("key", "", "a file with the key, in PEM")
	flag.StringVar(&h.policy, "policy", "", "a file with the MTA-STS policy")
	flag.StringVar(&h.reports, "reports", "", "a directory for the reports that come in")
	flag.Parse()
	srv := &http.Server{Addr: *listen, Handler: h.handler(), ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second}
	if err := srv.ListenAndServeTLS(*cert, *key); err != nil {
		fmt.Fprintln(os.Stderr, "webhost:", err)
		os.Exit(1)
	}
}

func (h host) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/mta-sts.txt", func(w http.ResponseWriter, _ *http.Request) {
		policy, err := os.ReadFile(h.policy)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Write(policy)
	})
	mux.HandleFunc("POST /tlsrpt", func(w http.ResponseWriter, r *http.Request) {
		if err := h.take(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	return mux
}

// take writes one report to a file.
func (h host) take(r *http.Request) error {
	body := io.Reader(r.Body)
	switch kind := r.Header.Get("Content-Type"); kind {
	case "application/tlsrpt+gzip":
		zr, err := gzip.NewReader(body)
		if err != nil {
			return err
		}
		body = zr
	case "application/tlsrpt+json":
	default:
		return fmt.Errorf("a TLS report is no %q (RFC 8460 §6.4, §6.5)", kind)
	}
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(body, most+1))
	if err != nil {
		return err
	}
	if len(text) > most {
		return errors.New("the report is too long")
	}
	return os.WriteFile(filepath.Join(h.reports, rand.Text()+".json"), text, 0o600)
}
