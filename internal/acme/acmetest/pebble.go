// Package acmetest runs Pebble, an authority for tests that speaks ACME
// (github.com/letsencrypt/pebble), for the tests that need one.
package acmetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/certs"
	"waxwing/internal/freeport"
)

// Env names the variable that holds the path of the program, or "required" where the
// one in the path must be there.
const Env = "WAXWING_PEBBLE"

// Options are what a test wants of the authority.
type Options struct {
	Resolver string            // address and port; "": that of the system
	TLSPort  int               // where it comes for tls-alpn-01
	HTTPPort int               // and for http-01
	EAB      map[string]string // keys of external accounts by id; empty: none is needed
	Env      []string
}

// Authority is a running Pebble.
type Authority struct {
	Directory string         // its URL
	Roots     *x509.CertPool // to reach it
	RootsFile string
	Issuer    *x509.CertPool // of what it issues
	IssuerPEM []byte
	stop      func()
	said      *said
}

// said is what the program writes; it may be read while it does.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// Issued is how many certificates it has issued.
func (a *Authority) Issued() int { return strings.Count(a.said.String(), "Issued certificate serial") }

// Stop ends it, as when an authority is away.
func (a *Authority) Stop() { a.stop() }

// Start runs Pebble until the test ends; it skips the test where there is none.
func Start(t testing.TB, o Options) *Authority {
	t.Helper()
	path := os.Getenv(Env)
	if path == "" || path == "required" {
		found, err := exec.LookPath("pebble")
		if err != nil && path == "required" {
			t.Fatalf("%s: Pebble is required and not in the path: %v", Env, err)
		}
		if err != nil {
			t.Skip("needs Pebble, an authority for tests: \"go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.3\", and have it in the path or name it in " + Env)
		}
		path = found
	}
	dir := t.TempDir()
	files := certs.LocalFiles{CA: filepath.Join(dir, "ca.crt"), Cert: filepath.Join(dir, "host.crt"), Key: filepath.Join(dir, "host.key")}
	if err := certs.MakeLocal(files, time.Now(), "localhost"); err != nil {
		t.Fatal(err)
	}
	acme, manage := freeport.Port(t), freeport.Port(t)
	conf := map[string]any{"pebble": map[string]any{
		"listenAddress": local(acme), "managementListenAddress": local(manage), "certificate": files.Cert, "privateKey": files.Key,
		"httpPort": o.HTTPPort, "tlsPort": o.TLSPort, "keyAlgorithm": "ecdsa", "retryAfter": map[string]int{"authz": 1, "order": 1},
		"externalAccountBindingRequired": len(o.EAB) > 0, "externalAccountMACKeys": o.EAB,
		"profiles": map[string]any{
			"default":    map[string]any{"description": "ninety days", "validityPeriod": 90 * 24 * 3600},
			"shortlived": map[string]any{"description": "six days", "validityPeriod": 6 * 24 * 3600},
		},
	}}
	text, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-config", file}
	if o.Resolver != "" {
		args = append(args, "-dnsserver", o.Resolver)
	}
	a := &Authority{Directory: "https://" + local(acme) + "/dir", RootsFile: files.CA}
	if a.Roots, err = certs.Roots(files.CA, false); err != nil {
		t.Fatal(err)
	}
	a.run(t, exec.Command(path, args...), o.Env)
	a.IssuerPEM = a.root(t, "https://"+local(manage)+"/roots/0")
	a.Issuer = x509.NewCertPool()
	a.Issuer.AppendCertsFromPEM(a.IssuerPEM)
	return a
}

func (a *Authority) run(t testing.TB, cmd *exec.Cmd, env []string) {
	t.Helper()
	cmd.Env = append(append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0"), env...)
	a.said = &said{}
	cmd.Stdout, cmd.Stderr = a.said, a.said
	if err := cmd.Start(); err != nil {
		t.Fatalf("start Pebble: %v", err)
	}
	stopped := false
	a.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(func() {
		a.stop()
		if t.Failed() {
			t.Logf("Pebble said:\n%s", a.said.String())
		}
	})
}

// root waits until Pebble answers, and returns the root of what it issues.
func (a *Authority) root(t testing.TB, url string) []byte {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Roots}}, Timeout: 5 * time.Second}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		r, err := client.Get(url)
		if err == nil {
			text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
			r.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		select {
		case <-ctx.Done():
			t.Fatalf("Pebble does not answer: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
