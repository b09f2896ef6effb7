package mtasts

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/reason"
)

// authority signs certificates for policy hosts.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) issue(t testing.TB, name string, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// policyHost is a real HTTPS server for mta-sts.example.org.
type policyHost struct {
	handler http.HandlerFunc
	cert    tls.Certificate
	config  func(*tls.Config)
}

func text(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		io.WriteString(w, body)
	}
}

// start returns a Fetcher whose dialer leads every address to the host.
func (p policyHost) start(t *testing.T, roots *x509.CertPool) *Fetcher {
	t.Helper()
	srv := httptest.NewUnstartedServer(p.handler)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{p.cert}}
	if p.config != nil {
		p.config(srv.TLS)
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return &Fetcher{
		Resolver: resolver(t, "192.88.99.7"), Roots: roots, Timeout: 20 * time.Second,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != "192.88.99.7:443" {
				t.Errorf("dialled %s", addr)
			}
			return (&net.Dialer{}).DialContext(ctx, network, srv.Listener.Addr().String())
		},
	}
}

var domain = dns.MustParse("example.org")

func resolver(t *testing.T, addrs ...string) *dnstest.Resolver {
	var a dns.Answer[netip.Addr]
	for _, s := range addrs {
		a.Records = append(a.Records, netip.MustParseAddr(s))
	}
	return &dnstest.Resolver{T: t, Replies: map[string]any{
		"A mta-sts.example.org": a, "AAAA mta-sts.example.org": dns.Answer[netip.Addr]{},
	}}
}

const good = head + "mx: mail.example.org\n"

// TestFetch: STS-2 and STS-4 over real HTTPS.
func TestFetch(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert := ca.issue(t, "mta-sts.example.org", nil)
	expired := ca.issue(t, "mta-sts.example.org", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	early := ca.issue(t, "mta-sts.example.org", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })
	client := ca.issue(t, "mta-sts.example.org", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	for _, c := range []struct {
		name   string
		host   policyHost
		word   reason.Word
		status int
		says   string
	}{
		{"good", policyHost{handler: text("text/plain", good)}, "", 0, ""},
		{"parameters of the type", policyHost{handler: text("Text/Plain; charset=utf-8; x=y", good)}, "", 0, ""},
		{"a coding that is none", policyHost{handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "identity")
			text("text/plain", good)(w, nil)
		}}, "", 0, ""},
		{"malformed parameters", policyHost{handler: text("text/plain; charset", good)}, "", 0, ""},
		{"TLS 1.2", policyHost{handler: text("text/plain", good), config: func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }}, "", 0, ""},
		{"64 KiB", policyHost{handler: text("text/plain", good+strings.Repeat("\n", MaxPolicy-len(good)))}, "", 0, ""},
		{"TLS 1.1", policyHost{handler: text("text/plain", good), config: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }}, reason.STSFetch, 0, "protocol version"},
		{"page", policyHost{handler: text("text/html", good)}, reason.STSFetch, 200, "text/html"},
		{"no type", policyHost{handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			io.WriteString(w, good)
		}}, reason.STSFetch, 200, "media type"},
		{"gzip that nobody asked for", policyHost{handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			text("text/plain", good)(w, nil)
		}}, reason.STSFetch, 200, "gzip"},
		{"not found", policyHost{handler: http.NotFound}, reason.STSNoPolicy, 404, "404"},
		{"server error", policyHost{handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }}, reason.STSFetch, 503, "503"},
		{"no content", policyHost{handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }}, reason.STSFetch, 204, "204"},
		{"redirect", policyHost{handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusMovedPermanently)
		}}, reason.STSFetch, 301, "redirect"},
		{"the first status of redirects", policyHost{handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(300) }}, reason.STSFetch, 300, "redirect"},
		{"the first behind them", policyHost{handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }}, reason.STSFetch, 400, "not 200"},
		{"redirect to itself", policyHost{handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }}, reason.STSFetch, 302, "redirect"},
		{"too large", policyHost{handler: text("text/plain", good+strings.Repeat("\n", MaxPolicy))}, reason.STSFetch, 200, "larger"},
		{"cut off", policyHost{handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "500")
			text("text/plain", good)(w, nil)
		}}, reason.STSFetch, 0, "EOF"},
		{"syntax", policyHost{handler: text("text/plain", "version: STSv1\n")}, reason.STSPolicySyntax, 0, "mode"},
		{"expired", policyHost{handler: text("text/plain", good), cert: expired}, reason.STSWebPKI, 0, "cert-expired"},
		{"not yet valid", policyHost{handler: text("text/plain", good), cert: early}, reason.STSWebPKI, 0, "cert-not-yet-valid"},
		{"other name", policyHost{handler: text("text/plain", good), cert: ca.issue(t, "example.org", nil)}, reason.STSWebPKI, 0, "cert-host-mismatch"},
		{"unknown authority", policyHost{handler: text("text/plain", good), cert: newAuthority(t).issue(t, "mta-sts.example.org", nil)}, reason.STSWebPKI, 0, "cert-unknown-authority"},
		{"for clients", policyHost{handler: text("text/plain", good), cert: client}, reason.STSWebPKI, 0, "cert-usage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.host.cert.PrivateKey == nil {
				c.host.cert = cert
			}
			p, raw, err := c.host.start(t, ca.pool()).Fetch(t.Context(), domain)
			if wordOf(err) != c.word {
				t.Fatalf("got %v, want %q", err, c.word)
			}
			if err != nil && (err.HTTPStatus != c.status || !strings.Contains(err.Detail, c.says) || p != nil) {
				t.Errorf("got status %d, detail %q; want %d, %q", err.HTTPStatus, err.Detail, c.status, c.says)
			}
			if err == nil && (!p.Matches(dns.MustParse("mail.example.org")) || !strings.HasPrefix(string(raw), good)) {
				t.Errorf("got %+v, %q", p, raw)
			}
			if c.word == reason.STSPolicySyntax && string(raw) != "version: STSv1\n" {
				t.Errorf("raw text lost: %q", raw)
			}
		})
	}
}

// TestFetchAsks checks the request itself: host, SNI, path, and no redirect followed.
func TestFetchAsks(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	var asked atomic.Int32
	f := policyHost{cert: ca.issue(t, "mta-sts.example.org", nil), handler: func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Host != "mta-sts.example.org" || r.TLS.ServerName != "mta-sts.example.org" || r.URL.Path != "/.well-known/mta-sts.txt" || r.Method != "GET" {
			t.Errorf("asked for %s %s %s, SNI %s", r.Method, r.Host, r.URL, r.TLS.ServerName)
		}
		if !r.Close {
			t.Error("the policy host is not told that nothing more will be asked")
		}
		http.Redirect(w, r, "https://mta-sts.example.org/.well-known/mta-sts.txt?again", http.StatusTemporaryRedirect)
	}}.start(t, ca.pool())
	f.Fetch(t.Context(), domain)
	if n := asked.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestFetchTime: a policy host that drips bytes cannot hold a delivery (STS-2), and ctx ends a fetch.
func TestFetchTime(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	host := policyHost{cert: ca.issue(t, "mta-sts.example.org", nil), handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for {
			if _, err := io.WriteString(w, "x"); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}}
	f := host.start(t, ca.pool())
	f.Timeout = 300 * time.Millisecond
	start := time.Now()
	_, _, err := f.Fetch(t.Context(), domain)
	if wordOf(err) != reason.STSFetch || !strings.Contains(err.Detail, "no complete answer within 300ms") || time.Since(start) > 10*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
	f.Timeout = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, _, err := f.Fetch(ctx, domain); wordOf(err) != reason.STSFetch || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// A certificate is checked by Now.
	f = policyHost{cert: host.cert, handler: text("text/plain", good)}.start(t, ca.pool())
	f.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
	if _, _, err := f.Fetch(t.Context(), domain); wordOf(err) != reason.STSWebPKI {
		t.Errorf("got %v", err)
	}
}

// TestFetchAddresses: names are looked up by our own resolver (DNS-7), the address rule of DST-4, and what a failed name lookup means (STS-6).
func TestFetchAddresses(t *testing.T) {
	t.Parallel()
	servfail := &dns.Error{Type: "A", RCode: "SERVFAIL"}
	refuse := func(_ context.Context, _, addr string) (net.Conn, error) { return nil, errors.New("refused " + addr) }
	for _, c := range []struct {
		name    string
		a, aaaa any
		private bool
		word    reason.Word
		says    string
	}{
		{"no such host", dns.Answer[netip.Addr]{NXDomain: true}, dns.Answer[netip.Addr]{NXDomain: true}, false, reason.STSNoPolicy, "no address"},
		{"lookup fails", servfail, servfail, false, reason.STSFetch, "dns-servfail"},
		{"half a lookup fails, nothing else", dns.Answer[netip.Addr]{}, servfail, false, reason.STSFetch, "dns-servfail"},
		{"half a lookup fails", answer("192.88.99.1"), servfail, false, reason.STSFetch, "refused 192.88.99.1:443"},
		{"each address is tried", answer("192.88.99.1", "192.88.99.2"), answer("2606::1"), false, reason.STSFetch, "refused [2606::1]:443"},
		{"private", answer("10.0.0.1", "127.0.0.1"), answer("::1", "fe80::1"), false, reason.STSFetch, "private"},
		{"private beside public", answer("127.0.0.1", "192.88.99.1"), answer(), false, reason.STSFetch, "refused 192.88.99.1:443"},
		{"private allowed", answer("127.0.0.1"), answer(), true, reason.STSFetch, "refused 127.0.0.1:443"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &Fetcher{AllowPrivate: c.private, Dial: refuse, Resolver: &dnstest.Resolver{T: t, Replies: map[string]any{
				"A mta-sts.example.org": c.a, "AAAA mta-sts.example.org": c.aaaa,
			}}}
			_, _, err := f.Fetch(t.Context(), domain)
			if wordOf(err) != c.word || !strings.Contains(err.Detail, c.says) {
				t.Errorf("got %v, want %s: %s", err, c.word, c.says)
			}
			if c.name == "private beside public" && strings.Contains(err.Detail, "127.0.0.1") {
				t.Errorf("a private address was dialled: %v", err)
			}
		})
	}
}

func answer(addrs ...string) (a dns.Answer[netip.Addr]) {
	for _, s := range addrs {
		a.Records = append(a.Records, netip.MustParseAddr(s))
	}
	return a
}

// TestNoProxy: the environment's proxy is not asked (STS-2).
func TestNoProxy(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("https_proxy", "http://127.0.0.1:1")
	ca := newAuthority(t)
	f := policyHost{cert: ca.issue(t, "mta-sts.example.org", nil), handler: text("text/plain", good)}.start(t, ca.pool())
	if _, _, err := f.Fetch(t.Context(), domain); err != nil {
		t.Error(err)
	}
}

// TestResolverCorpus: the records and policies that another resolver is
// tested with, served as its nginx serves them, have the effect that its
// reference table wants. It differs from us in refusing a max_age above the
// maximum, which STS-3 cuts.
func TestResolverCorpus(t *testing.T) {
	t.Parallel()
	records, policies := readDNSMasq(t), readNginx(t)
	ca := newAuthority(t)
	for name, secure := range readTable(t) {
		txt, ok := records[name]
		if _, err := ParseRecord(txt); err != nil || !ok {
			if secure {
				t.Errorf("%s: record %q: %v", name, txt, err)
			}
			continue
		}
		p, ok := policies[name]
		if !ok {
			t.Errorf("%s: the corpus has no policy", name)
			continue
		}
		host := "mta-sts." + name
		cert := ca.issue(t, host, nil)
		if strings.HasPrefix(name, "bad-cert") {
			cert = newAuthority(t).issue(t, host, nil)
		}
		f := policyHost{cert: cert, handler: p}.start(t, ca.pool())
		f.Resolver = &dnstest.Resolver{T: t, Replies: map[string]any{"A " + host: answer("192.88.99.7"), "AAAA " + host: answer()}}
		policy, _, err := f.Fetch(t.Context(), dns.MustParse(name))
		got := err == nil && policy.Mode != ModeNone && policy.Matches(dns.MustParse("mail.loc"))
		if got != secure {
			t.Errorf("%s: got %+v, %v; want a policy for mail.loc: %v", name, policy, err, secure)
		}
	}
	for _, name := range []string{"bad-policy2.loc", "bad-policy4.loc", "bad-policy5.loc", "bad-policy7.loc", "bad-policy8.loc"} {
		f := policyHost{cert: ca.issue(t, "mta-sts.example.org", nil), handler: policies[name]}.start(t, ca.pool())
		if p, _, err := f.Fetch(t.Context(), domain); err == nil {
			t.Errorf("%s: got %+v", name, p)
		}
	}
}

// readTable is the reference of strict mode, where testing counts as enforce:
// the domains (keys in brackets and such belong to Postfix) and whether a
// policy for mail.loc is found.
func readTable(t *testing.T) map[string]bool {
	f, err := os.Open("testdata/resolver/refdata_strict.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table := map[string]bool{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		key, want, _ := strings.Cut(strings.TrimPrefix(sc.Text(), "test "), "\t")
		if n, err := dns.ParseName(key); err == nil {
			table[n.ASCII()] = strings.HasPrefix(want, "OK secure match=mail.loc")
		}
	}
	if len(table) < 10 {
		t.Fatalf("%d lines read", len(table))
	}
	return table
}

func readDNSMasq(t *testing.T) map[string][]string {
	b, err := os.ReadFile("testdata/resolver/dnsmasq.conf.appendix")
	if err != nil {
		t.Fatal(err)
	}
	records := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^txt-record=_mta-sts\.([^,]+),"(.*)"$`).FindAllStringSubmatch(string(b), -1) {
		records[m[1]] = append(records[m[1]], m[2])
	}
	return records
}

// readNginx makes a handler of each server block that returns a text.
func readNginx(t *testing.T) map[string]http.HandlerFunc {
	b, err := os.ReadFile("testdata/resolver/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	policies := map[string]http.HandlerFunc{}
	for block := range strings.SplitSeq(string(b), "server_name mta-sts.") {
		name, _, _ := strings.Cut(block, ";")
		m := regexp.MustCompile(`return (\d+) "(.*)";`).FindStringSubmatch(block)
		if m == nil {
			continue
		}
		var status int
		fmt.Sscan(m[1], &status)
		kind := "text/plain"
		if strings.Contains(block, "text/html txt") {
			kind = "text/html"
		}
		policies[name] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			io.WriteString(w, strings.ReplaceAll(m[2], `\n`, "\n"))
		}
	}
	return policies
}
