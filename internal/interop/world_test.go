//go:build linux

package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"waxwing/dane"
	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/server"
	"waxwing/internal/signing"
	"waxwing/internal/spool"
)

// world is what all tests share: the DNS, the policy host, one Waxwing, and
// the peers, which start when they are first wanted.
type world struct {
	peers   map[string]*peer
	ca      *authority // in the trust store of everybody
	issuer  *authority // below ca; issued all certificates
	nsd     *process
	dns     *process
	wax     *server.Server
	ip      string   // of wax
	corpus  *corpus  // generated messages, whose senders' records are in the DNS
	waxLog  *process // only its log
	waxCert tls.Certificate
	signed  sync.Once
}

// Waxwing's names and addresses.
const (
	waxHost   = "mx.waxwing.example"
	waxDomain = "waxwing.example"
	keyless   = "keyless.example" // hosted too; nothing signs its mail
	waxIP     = "127.4.0.1"
	user      = "carol"
	password  = "correct-horse-battery"
)

// shared builds the world once.
var shared = sync.OnceValues(build)

// open returns the world, or skips where it cannot be.
func open(t *testing.T) *world {
	t.Helper()
	need(t, "nsd", "unbound", "ldns-keygen", "ldns-signzone")
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// peer returns a running peer, or skips where it is not installed.
func (w *world) peer(t *testing.T, name string) *peer {
	t.Helper()
	p := w.peers[name]
	need(t, p.program)
	if err := p.run(); err != nil {
		t.Fatal(err)
	}
	return p
}

func build() (*world, error) {
	w := &world{ip: waxIP, peers: map[string]*peer{}, waxLog: &process{name: "waxwing"}}
	var err error
	if w.ca, err = newAuthority("Interop Root", nil); err != nil {
		return nil, err
	}
	if w.issuer, err = newAuthority("Interop Issuer", w.ca); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(root, "ca.pem"), encodeChain([][]byte{w.ca.cert.Raw}), 0o644); err != nil {
		return nil, err
	}
	zones, waxCert, err := w.publish()
	if err != nil {
		return nil, err
	}
	if w.corpus, err = newCorpus(root, lettersFor); err != nil {
		return nil, err
	}
	zones = append(zones, w.corpus.zones()...)
	if w.nsd, w.dns, err = tree(filepath.Join(root, "dns"), zones); err != nil {
		return nil, err
	}
	if err := w.servePolicies(); err != nil {
		return nil, err
	}
	w.wax, err = w.startWaxwing("waxwing", fmt.Sprintf(waxConfig+waxSendmail, waxHost, waxIP, resolverIP, ""), waxCert, w.waxLog)
	w.waxCert = waxCert
	return w, err
}

// publish makes the certificates and the zones.
func (w *world) publish() (zones []zone, wax tls.Certificate, err error) {
	for _, p := range newPeers() {
		if p.cert, err = w.issuer.leaf(certNames(p.name)...); err != nil {
			return nil, wax, err
		}
		w.peers[p.name] = p
		zones = append(zones, zonesFor(p, []*x509.Certificate{p.cert.Leaf, w.issuer.cert})...)
	}
	if wax, err = w.issuer.leaf(waxHost, "mxta."+waxDomain); err != nil {
		return nil, wax, err
	}
	return append(zones, waxZone(wax.Leaf, w.issuer.cert)), wax, nil
}

// waxZone publishes Waxwing: once rightly, once by its issuer, once with a wrong TLSA
// record.
func waxZone(leaf, issuer *x509.Certificate) zone {
	z := zone{name: waxDomain, nsec3: true, records: []string{
		"@ MX 10 mx", "mx A " + waxIP, fmt.Sprintf("_25._tcp.mx TLSA %s", dane.Generate(leaf, dane.UsageEE, 1, 1)),
		"ta MX 10 mxta", "mxta A " + waxIP, fmt.Sprintf("_25._tcp.mxta TLSA %s", dane.Generate(issuer, dane.UsageTA, 0, 1)),
		"bad MX 10 mxbad", "mxbad A " + waxIP, fmt.Sprintf("_25._tcp.mxbad TLSA %s", dane.Generate(issuer, dane.UsageEE, 1, 1)),
	}}
	return z
}

// servePolicies is an HTTPS host for the MTA-STS policies of all domains.
func (w *world) servePolicies() error {
	policies := map[string]string{}
	names := []string{}
	for _, c := range allCases() {
		if c.sts != "" {
			policies["mta-sts."+c.domain] = "version: STSv1\r\nmode: enforce\r\nmx: " + c.sts + "\r\nmax_age: 86400\r\n"
			if !c.noWeb {
				names = append(names, "mta-sts."+c.domain)
			}
		}
	}
	cert, err := w.issuer.leaf(names...)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", policyIP+":443", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/mta-sts.txt", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		io.WriteString(rw, policies[r.Host])
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go srv.Serve(l)
	return nil
}

const waxConfig = `hostname = %[1]q
data_dir = "data"
[[listen]]
address = "%[2]s:25"
kind = "mx"
[[listen]]
address = "%[2]s:587"
kind = "submission"
[[listen]]
address = "%[2]s:465"
kind = "submissions"
[tls]
cert_file = "tls.crt"
key_file = "tls.key"
roots_file = "../ca.pem"
[resolver]
servers = ["%[3]s"]
%[4]s
selftest = { signed = "waxwing.example", bogus = "bogus.example", large = "waxwing.example" }
[delivery]
allow_private = true
retry = ["2h"]
[limits]
failed_logins = 1000
`

const waxSendmail = `[sendmail]
socket = "/run/waxwing.sock"
[[sendmail.user]]
user = "0"
account = "carol"
`

// startWaxwing sets a Waxwing up from files, as an operator would: nothing
// stands in for the world.
func (w *world) startWaxwing(name, conf string, cert tls.Certificate, said *process) (*server.Server, error) {
	dir := filepath.Join(root, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	key, err := encodeKey(cert.PrivateKey)
	if err != nil {
		return nil, err
	}
	for name, data := range map[string][]byte{"tls.crt": encodeChain(cert.Certificate), "tls.key": key, "waxwing.toml": []byte(conf)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return nil, err
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "waxwing.toml"))
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	logger := slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if _, err := datadir.InitStore(ctx, cfg, logger); err != nil {
		return nil, err
	}
	wax, err := server.New(ctx, server.Options{Config: cfg, Log: logger})
	if err != nil {
		return nil, err
	}
	domains := []string{waxDomain, "ta." + waxDomain, "bad." + waxDomain, keyless}
	for _, d := range domains {
		if err := wax.Accounts.AddDomain(ctx, dns.MustParse(d)); err != nil {
			return nil, err
		}
	}
	if err := wax.Accounts.AddAccount(ctx, user, password); err != nil {
		return nil, err
	}
	for _, d := range domains {
		if err := wax.Accounts.AddAddress(ctx, user+"@"+d, user); err != nil {
			return nil, err
		}
	}
	go wax.Run(ctx) // until the namespaces end
	return wax, nil
}

// settled waits until Waxwing has made an attempt for a recipient.
func (w *world) settled(t *testing.T, address string) spool.Item {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		items, err := spool.List(t.Context(), w.wax.Queue.Store, spool.Filter{Address: address,
			States: []spool.State{spool.Waiting, spool.Leased, spool.Held, spool.Delivered, spool.Failed}})
		if err != nil {
			t.Fatal(err)
		}
		if len(items) == 0 {
			continue
		}
		it := items[len(items)-1]
		if it.State == spool.Delivered || it.State == spool.Failed || it.State == spool.Waiting && it.Recipient.Attempts > 0 {
			return it
		}
	}
	t.Fatalf("the mail to %s is not settled after 40 s\n%s", address, tail(w.waxLog.log()))
	return spool.Item{}
}

// tail is the end of a log.
func tail(s string) string {
	if len(s) > 6000 {
		s = "…" + s[len(s)-6000:]
	}
	return s
}

// pool is a trust store with the world's authority.
func (w *world) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(w.ca.cert)
	return p
}

// sign makes Waxwing sign for its own domain from now on.
func (w *world) sign(t *testing.T) {
	t.Helper()
	w.signed.Do(func() {
		key, err := dkim.GenerateEd25519()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.wax.Signing.AddKey(t.Context(), signing.NewKey{Domain: dns.MustParse(waxDomain), Selector: "interop", Signer: key, Now: true}); err != nil {
			t.Fatal(err)
		}
	})
}
