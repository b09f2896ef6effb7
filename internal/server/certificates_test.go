package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/acme/acmetest"
	"waxwing/internal/config"
	"waxwing/internal/freeport"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/hostkeys"
)

// acmeConfig is a server with the host's own keys and, where a directory is given, an
// authority.
func acmeConfig(t *testing.T, more string) (*config.Config, []hostkeys.Key) {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "waxwing.toml"), []byte("hostname = \"mail.example.test\"\n"+
		"[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"mx\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"submissions\"\n"+
		"[resolver]\nservers = [\"127.0.0.1:9\"]\nselftest = { signed = \"\", bogus = \"\", large = \"\" }\n"+more))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := hostkeys.Make(cfg.HostKeysDir())
	if err != nil {
		t.Fatal(err)
	}
	return cfg, keys
}

// overSTARTTLS is the certificate that the MX listener shows to a client that says sni.
func overSTARTTLS(t *testing.T, addr net.Addr, sni string) *x509.Certificate {
	t.Helper()
	p := dial(t, addr)
	p.say("", "220")
	p.say("EHLO client.example", "250")
	p.say("STARTTLS", "220")
	c := tls.Client(p.Conn, &tls.Config{ServerName: sni, InsecureSkipVerify: true})
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().PeerCertificates[0]
}

func keyDigest(t *testing.T, c *x509.Certificate) string {
	t.Helper()
	d, err := hostkeys.Digest(c.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(d)
}

// Without an authority the host's key vouches for itself, which is enough for DANE. A
// listener may have a certificate of its own from files (CRT-2).
func TestHostKeysAlone(t *testing.T) {
	t.Parallel()
	other := parse(t, config.MX) // whose files the second listener shows
	cert, key, _ := other.TLSFiles()
	cfg, keys := acmeConfig(t, fmt.Sprintf("[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"submission\"\ncert_file = %q\nkey_file = %q\n[tls]\nhost_keys = true\n", cert, key))
	s := run2(t, cfg)
	for _, sni := range []string{"", "mail.example.test", "unknown.example"} {
		c := overSTARTTLS(t, s.Addr(config.MX), sni)
		if keyDigest(t, c) != hex.EncodeToString(keys[0].SPKI) || c.VerifyHostname("mail.example.test") != nil {
			t.Errorf("for %q: key %s, names %v", sni, keyDigest(t, c), c.DNSNames)
		}
	}
	if c := overSTARTTLS(t, s.Addr(config.Submission), ""); c.Issuer.CommonName != "Waxwing local authority" {
		t.Errorf("the listener with files shows a certificate by %s", c.Issuer)
	}
	families, err := s.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "waxwing_certificate_expiry_timestamp_seconds" && m.GetGauge().GetValue() > float64(time.Now().Unix()) {
				told = append(told, m.GetLabel()[1].GetValue()+" "+m.GetLabel()[0].GetValue())
			}
		}
	}
	if got := strings.Join(told, ", "); got != "host ecdsa, listener:0 ecdsa, host rsa" {
		t.Errorf("the metric tells of %s", got)
	}
	cfg, _ = acmeConfig(t, "[tls]\nhost_keys = true\n")
	if err := os.RemoveAll(cfg.HostKeysDir()); err != nil {
		t.Fatal(err)
	}
	if _, err := newServer(t.Context(), Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), "waxwing cert make") {
		t.Errorf("without keys: %v", err)
	}
}

// The metrics of keys, certificates and attempts to get one move, here with an authority
// that fails (OPS-1).
func TestCertificateMetrics(t *testing.T) {
	t.Parallel()
	authority := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "out of order", http.StatusInternalServerError)
	}))
	t.Cleanup(authority.Close)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _ := acmeConfig(t, fmt.Sprintf("[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"http\"\n[acme]\ndirectory = %q\nroots_file = %q\nagree_terms = true\n",
		authority.URL, roots))
	s := run2(t, cfg)
	for _, want := range []string{
		"waxwing_certificate_attempts_total failed",
		"waxwing_certificate_expiry_timestamp_seconds ecdsa host",
		"waxwing_host_key_stage ecdsa current current",
	} {
		for end := time.Now().Add(time.Minute); !slices.Contains(above(t, s), want); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no %q among %q", want, above(t, s))
			}
		}
	}
}

// above are the series that are above zero: name and the values of the labels.
func above(t *testing.T, s *Server) (out []string) {
	t.Helper()
	families, err := s.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			series := f.GetName()
			for _, l := range m.GetLabel() {
				series += " " + l.GetValue()
			}
			if m.GetGauge().GetValue() > 0 || m.GetCounter().GetValue() > 0 {
				out = append(out, series)
			}
		}
	}
	return out
}

// A whole server gets its certificate from Pebble by tls-alpn-01 and by http-01, for the
// key that was made beforehand, and shows it on every listener (CRT-1).
func TestServerACME(t *testing.T) {
	t.Parallel()
	for kind, challenge := range map[string]string{"https": "tls-alpn-01", "http": "http-01"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			names := dnstest.Serve(t, dnstest.Zone{Name: "test", Security: dns.Secure, Records: []string{"mail.example.test. 300 IN A 127.0.0.1"}})
			port := freeport.Port(t)
			a := acmetest.Start(t, acmetest.Options{Resolver: names.Addr(), TLSPort: port, HTTPPort: port})
			cfg, keys := acmeConfig(t, fmt.Sprintf("[[listen]]\naddress = \"127.0.0.1:%d\"\nkind = %q\n[acme]\ndirectory = %q\nroots_file = %q\nagree_terms = true\nprofile = \"default\"\n",
				port, kind, a.Directory, a.RootsFile))
			s := run2(t, cfg)
			var c *x509.Certificate
			for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
				if c = overSTARTTLS(t, s.Addr(config.MX), ""); c.Issuer.String() != c.Subject.String() || time.Now().After(end) {
					break
				}
			}
			if keyDigest(t, c) != hex.EncodeToString(keys[0].SPKI) || strings.Contains(c.Issuer.CommonName, "mail.example") {
				t.Fatalf("shown is a certificate by %s for key %s", c.Issuer, keyDigest(t, c))
			}
			conn, err := tls.Dial("tcp", s.Addr(config.Submissions).String(), &tls.Config{ServerName: "mail.example.test", InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if got := conn.ConnectionState().PeerCertificates[0]; !got.Equal(c) {
				t.Errorf("submission shows a certificate by %s", got.Issuer)
			}
			rows, err := s.Certificates.Rows(t.Context())
			if err != nil || len(rows) != 2 || rows[0].Key != "ecdsa-1" || rows[0].State != "issued" || rows[0].RenewAt.IsZero() {
				t.Errorf("listed: %+v, %v", rows, err)
			}
		})
	}
}

// All but challenges is led from HTTP to HTTPS, and to no host but a name.
func TestHTTPLeadsAway(t *testing.T) {
	t.Parallel()
	cfg, _ := acmeConfig(t, "[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"http\"\n[tls]\nhost_keys = true\n")
	s := run2(t, cfg)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, tt := range []struct {
		host, path string
		status     int
		location   string
	}{
		{"mta-sts.example.test", "/.well-known/mta-sts.txt?x=1", 308, "https://mta-sts.example.test/.well-known/mta-sts.txt"},
		{"mail.example.test:80", "/", 308, "https://mail.example.test/"},
		{"mail.example.test", "/.well-known/acme-challenge/none", 404, ""},
		{"192.0.2.1/evil", "/", 404, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr(config.HTTP).String()+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tt.host
		a, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != tt.status && !(tt.status == 404 && a.StatusCode == 400) || a.Header.Get("Location") != tt.location {
			t.Errorf("%s%s: %d, %q", tt.host, tt.path, a.StatusCode, a.Header.Get("Location"))
		}
	}
}

// OPS-9: a request by HTTP that panics is answered 500, and counted.
func TestPanicInHTTP(t *testing.T) {
	t.Parallel()
	cfg, _ := acmeConfig(t, "[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"http\"\n[tls]\nhost_keys = true\n")
	ctx, cancel := context.WithCancel(t.Context())
	s, err := newServer(ctx, Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	watch := guardtest.New()
	s.guard.Count = watch.Count
	s.services = nil              // who would look into it too
	s.Certificates.Certs.DB = nil // whoever looks into it panics
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	r, err := http.Get("http://" + s.Addr(config.HTTP).String() + "/.well-known/acme-challenge/x")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != 404 { // an address is no name
		t.Errorf("to an address: %d", r.StatusCode)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Request.URL.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "mail.example.test"
	if r, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != 500 || !watch.Saw(guard.HTTP, 1) {
		t.Errorf("a request that panics: %d, counted %v", r.StatusCode, watch.Seen())
	}
}
