package dnscheck_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/dnscheck"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/lab"
	"waxwing/internal/session"
	"waxwing/mtasts"
	"waxwing/smtp"
	"waxwing/smtpclient"
	"waxwing/smtpserver"
)

// world is a hosted domain in an internet of its own: example.org with its host
// mx.example.org at two addresses. Its zone is what package dnsrecords says, as the
// zone lines that are printed.
type world struct {
	t        *testing.T
	net      *lab.Network
	dns      *dnstest.Server
	ca       *lab.Authority
	cert     tls.Certificate
	wanted   dnsfinding.Wanted
	now      time.Time
	policy   *policyHost
	accounts map[string]bool // of example.org
	checker  *dnscheck.Checker
}

var (
	addr4 = netip.MustParseAddr("8.8.4.25")
	addr6 = netip.MustParseAddr("2a00:1450::25")
	web   = netip.AddrPortFrom(addr4, 443)
	org   = dns.MustParse("example.org")
	mx    = dns.MustParse("mx.example.org")
)

// rsaRecord is the record of an RSA key, which does not fit into one string.
var rsaRecord = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return keyRecord(key.Public())
})

func keyRecord(pub any) string {
	text, err := dkim.Record(pub)
	if err != nil {
		panic(err)
	}
	return text
}

func newKey(t *testing.T) string {
	t.Helper()
	key, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	return keyRecord(key.Public())
}

func spki(c tls.Certificate) []byte {
	sum := sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo)
	return sum[:]
}

// newWorld is a clean one.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, net: lab.NewNetwork(), now: time.Now(), accounts: map[string]bool{"dmarc-reports@example.org": true, "tls-reports@example.org": true, "tls-reports@mx.example.org": true}}
	var err error
	if w.ca, err = lab.NewRoot("test authority", w.now); err != nil {
		t.Fatal(err)
	}
	w.cert = w.leaf(w.now.Add(-time.Hour), w.now.AddDate(0, 0, 80), "mx.example.org")
	next := sha256.Sum256([]byte("the next key"))
	policy := &mtasts.Policy{Mode: mtasts.ModeEnforce, MaxAge: 30 * 24 * time.Hour, MX: []mtasts.Pattern{{Name: mx}}}
	w.wanted = dnsfinding.Wanted{
		Host: dnsrecords.Host{Name: mx, Addrs: []netip.Addr{addr4, addr6}, Reports: "tls-reports",
			Keys: []dnsrecords.Key{{SPKI: spki(w.cert)}, {SPKI: next[:], Next: true}},
			CAA:  []string{"ca.example; accounturi=https://ca.example/acct/1; validationmethods=tls-alpn-01"}},
		Domain: dnsrecords.Domain{Name: org, DKIM: []dnsrecords.DKIMKey{{Selector: "ed", Text: newKey(t)}, {Selector: "rsa", Text: rsaRecord()}},
			DMARC: "reject", DMARCTo: "dmarc-reports@example.org", TLSReports: "tls-reports@example.org", STSID: "20260101000000",
			Services: []dnsrecords.ServicePort{{Label: "_submissions", Port: 465}, {Label: "_pop3", Port: 0}}, Setup: []string{"autoconfig", "autodiscover"}},
		Sources: []dnsfinding.Source{{Addr: addr4, EHLO: mx}, {Addr: addr6, EHLO: mx}},
		EHLO:    mx, Signing: map[string]bool{"ed": true, "rsa": true}, Policy: policy.Text(),
		CAs: []dnsfinding.Authority{{Names: []string{"ca.example"}, Account: "https://ca.example/acct/1", Methods: []string{"tls-alpn-01"}}},
	}
	w.dns = dnstest.Serve(t, dnstest.Zone{Name: "example.org", Security: dns.Secure}, dnstest.Zone{Name: "in-addr.arpa", Security: dns.Insecure},
		dnstest.Zone{Name: "ip6.arpa", Security: dns.Insecure}, dnstest.Zone{Name: "example.net", Security: dns.Secure}, dnstest.Zone{Name: "org", Security: dns.Secure})
	w.publish()
	w.put("example.org. 300 IN NS ns1.example.net.", "example.org. 300 IN NS ns2.example.net.", "ns1.example.net. 300 IN AAAA 2a00:1450::53", "ns2.example.net. 300 IN AAAA 2a00:1450::54")
	w.serveMX(addr4, hostSpec{Cert: w.cert})
	w.serveMX(addr6, hostSpec{Cert: w.cert})
	w.policy = w.servePolicy(w.leaf(w.now.Add(-time.Hour), w.now.AddDate(0, 0, 80), "mta-sts.example.org"), policy.Text())
	w.checker = &dnscheck.Checker{
		DNS:     dnstest.Client(t, w.dns),
		Prober:  &session.Client{Dialer: w.net, HELO: "mx.example.org", Roots: w.ca.Pool(), Timeouts: smtpclient.Timeouts{Connect: 5 * time.Second}},
		Fetcher: &mtasts.Fetcher{Dial: w.net.DialContext, Roots: w.ca.Pool(), Resolver: dnstest.Client(t, w.dns)},
		Mailbox: func(_ context.Context, address string) (hosted, there bool, err error) {
			return dnsfinding.At(address).Under(org), w.accounts[address], nil
		},
		Now: func() time.Time { return w.now },
	}
	return w
}

func (w *world) leaf(begin, end time.Time, names ...string) tls.Certificate {
	w.t.Helper()
	c, err := w.ca.Leaf(begin, end, names...)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// publish puts the wanted records into DNS, as they are printed.
func (w *world) publish() {
	w.t.Helper()
	for _, r := range dnsrecords.All(w.wanted.Host, w.wanted.Domain) {
		w.put(r.Zone())
	}
}

// put adds records, each a line with an absolute name.
func (w *world) put(lines ...string) {
	w.t.Helper()
	for _, l := range lines {
		name, _, _ := strings.Cut(l, "\t")
		name, _, _ = strings.Cut(name, " ")
		zone := ""
		for _, z := range []string{"example.org", "example.net", "in-addr.arpa", "ip6.arpa"} {
			if strings.HasSuffix(name, z+".") {
				zone = z
			}
		}
		if err := w.dns.Add(zone, l); err != nil {
			w.t.Fatal(err)
		}
	}
}

// change replaces what stands at a name with other data; none leaves nothing.
func (w *world) change(name, kind string, data ...string) {
	w.t.Helper()
	w.dns.Remove(name, kind)
	for _, d := range data {
		w.put(name + ". 300 IN " + kind + " " + d)
	}
}

// hostSpec is how an address answers at port 25.
type hostSpec struct {
	Name string
	Cert tls.Certificate // none: no STARTTLS
	Hook func(verb, arg string) *smtp.Reply
}

func (w *world) serveMX(addr netip.Addr, spec hostSpec) {
	w.t.Helper()
	ap := netip.AddrPortFrom(addr, 25)
	w.net.Close(ap)
	l, err := w.net.Listen(ap)
	if err != nil {
		w.t.Fatal(err)
	}
	if spec.Name == "" {
		spec.Name = "mx.example.org"
	}
	srv := &smtpserver.Server{Hostname: spec.Name, Backend: nobody{}, Timeouts: smtpserver.Timeouts{Drain: time.Millisecond}}
	if spec.Hook != nil {
		srv.Hooks.Command = func(_ smtpserver.Conn, verb, arg string) *smtp.Reply { return spec.Hook(verb, arg) }
	}
	if len(spec.Cert.Certificate) > 0 {
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{spec.Cert}, MinVersion: tls.VersionTLS12}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(ctx, l)
	}()
	w.t.Cleanup(func() { cancel(); <-done })
}

type nobody struct{}

func (nobody) NewSession(context.Context, smtpserver.Conn) (smtpserver.Session, error) {
	return nobody{}, nil
}

func (nobody) Mail(context.Context, smtp.MailParams) error { return errNobody }
func (nobody) Rcpt(context.Context, smtp.RcptParams) error { return errNobody }
func (nobody) Data(context.Context, io.Reader) (*smtp.Reply, error) {
	return nil, errNobody
}
func (nobody) Reset() {}
func (nobody) Close() {}

var errNobody = errors.New("nobody writes here")

// policyHost serves an MTA-STS policy.
type policyHost struct {
	mu     sync.Mutex
	text   string
	status int
}

func (w *world) servePolicy(cert tls.Certificate, text string) *policyHost {
	w.t.Helper()
	h := &policyHost{text: text, status: http.StatusOK}
	w.net.Close(web)
	l, err := w.net.Listen(web)
	if err != nil {
		w.t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go srv.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}))
	w.t.Cleanup(func() { srv.Close() })
	return h
}

func (h *policyHost) set(status int, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status, h.text = status, text
}

func (h *policyHost) ServeHTTP(rw http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.WriteHeader(h.status)
	io.WriteString(rw, h.text)
}

// stranger is a certificate of an authority that nobody trusts.
func (w *world) stranger(names ...string) tls.Certificate {
	w.t.Helper()
	other, err := lab.NewRoot("another authority", w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := other.Leaf(w.now.Add(-time.Hour), w.now.AddDate(0, 0, 80), names...)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// again is another certificate for the key of c.
func (w *world) again(c tls.Certificate, begin, end time.Time, names ...string) tls.Certificate {
	w.t.Helper()
	out, err := w.ca.LeafFor(c.PrivateKey.(crypto.Signer), begin, end, names...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// tlsa is the record of the host's key in use.
func (w *world) tlsa() string { return "3 1 1 " + hex.EncodeToString(spki(w.cert)) }

func key(c tls.Certificate) dnsrecords.Key { return dnsrecords.Key{SPKI: spki(c)} }

// serveKey has the host present c everywhere, and DNS have its record.
func (w *world) serveKey(c tls.Certificate) {
	w.t.Helper()
	w.serveMX(addr4, hostSpec{Cert: c})
	w.serveMX(addr6, hostSpec{Cert: c})
	w.dns.Remove("_25._tcp.mx.example.org", "TLSA")
	w.wanted.Host.Keys[0] = key(c)
	for _, r := range dnsrecords.ForHost(w.wanted.Host) {
		if r.Type == "TLSA" {
			w.put(r.Zone())
		}
	}
}

// unsigned has a zone lose its signatures.
func (w *world) unsigned(zone string) {
	w.t.Helper()
	w.dns.Intercept(func(q, r *wire.Msg) *wire.Msg {
		if strings.HasSuffix(q.Question[0].Name, zone+".") {
			r.AuthenticatedData = false
		}
		return r
	})
}

// nxdomain has nothing below example.org exist.
func nxdomain(q, r *wire.Msg) *wire.Msg {
	if strings.HasSuffix(q.Question[0].Name, "example.org.") {
		r.Answer, r.Rcode = nil, wire.RcodeNameError
	}
	return r
}
