package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/acme/acmetest"
	"waxwing/internal/certs"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/dnsupdate"
	"waxwing/internal/hostkeys"
	"waxwing/internal/keystage"
	"waxwing/internal/renewal"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/zones"
)

const host = "mx.example.test"

// clock is a time that tests move.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time      { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) add(d time.Duration) { c.ahead.Add(int64(d)) }

// world is a host with a listener for TLS and one for HTTP, and DNS.
type world struct {
	*clock
	dns  *dnstest.Server
	tls  net.Listener
	http net.Listener
	book *certs.Book
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{clock: &clock{}, book: &certs.Book{}}
	var err error
	w.dns, err = dnstest.Start(dnstest.Zone{Name: "test", Security: dns.Secure, Records: []string{
		"mx.example.test. 300 IN A 127.0.0.1", "mta-sts.example.test. 300 IN A 127.0.0.1",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.dns.Close)
	w.tls, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: w.book.Get, NextProtos: []string{"h2", "http/1.1", certs.ALPN}})
	if err != nil {
		t.Fatal(err)
	}
	w.http, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.tls.Close(); w.http.Close() })
	go func() {
		for {
			c, err := w.tls.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.(*tls.Conn).HandshakeContext(t.Context())
				c.Read(make([]byte, 1))
			}()
		}
	}()
	return w
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func (w *world) authority(t *testing.T, o acmetest.Options) *acmetest.Authority {
	t.Helper()
	o.Resolver, o.TLSPort, o.HTTPPort = w.dns.Addr(), port(w.tls), port(w.http)
	return acmetest.Start(t, o)
}

// service is one machine of the host.
func (w *world) service(t *testing.T, db *store.Store, dir, machine string, a *acmetest.Authority, solver string) *Service {
	t.Helper()
	cs := &certs.Store{DB: db, Now: w.now}
	stored := Stored{cs}
	s := &Service{
		Host: dns.MustParse(host), Keys: &hostkeys.Stages{DB: db, Host: host, Dir: dir, Machine: machine, Now: w.now},
		Certs: cs, Book: w.book, Rules: keystage.HostKeys(), Now: w.now, Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
		CA: &CA{Directory: a.Directory, Roots: a.Roots, AgreeTerms: true, Profile: "default", Solvers: map[string]acmez.Solver{solver: stored}, Store: cs, Now: w.now, UserAgent: "waxwing-test"},
	}
	w.book.Proof = stored.Proof
	if solver == HTTP {
		srv := &http.Server{Handler: stored}
		go srv.Serve(w.http)
		t.Cleanup(func() { srv.Close() })
	}
	return s
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

// shown is the certificate that a client sees; with only RSA signatures if rsa.
func (w *world) shown(t *testing.T, name string, rsa bool) *x509.Certificate {
	t.Helper()
	c := &tls.Config{ServerName: name, InsecureSkipVerify: true}
	if rsa {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	}
	conn, err := tls.Dial("tcp", w.tls.Addr().String(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

func digest(t *testing.T, c *x509.Certificate) string {
	t.Helper()
	d, err := hostkeys.Digest(c.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(d)
}

// prepared is a world with keys, an authority and one machine.
func prepared(t *testing.T, o acmetest.Options) (*world, *Service, []hostkeys.Key, *acmetest.Authority) {
	t.Helper()
	w := newWorld(t)
	a := w.authority(t, o)
	dir := t.TempDir()
	keys, err := hostkeys.Make(dir)
	if err != nil {
		t.Fatal(err)
	}
	return w, w.service(t, storetest.Open(t), dir, "one", a, TLSALPN), keys, a
}

func step(t *testing.T, s *Service) {
	t.Helper()
	if err := s.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestIssue goes the whole way with Pebble (CRT-1): keys are made; the host shows
// certificates of its keys by themselves; Pebble issues for those keys; the host shows
// that; it is renewed in time, for the same keys.
func TestIssue(t *testing.T) {
	for _, solver := range []string{TLSALPN, HTTP} {
		t.Run(solver, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.authority(t, acmetest.Options{})
			dir := t.TempDir()
			keys, err := hostkeys.Make(dir)
			if err != nil {
				t.Fatal(err)
			}
			s := w.service(t, storetest.Open(t), dir, "one", a, solver)
			s.Names = func(context.Context) ([]dns.Name, error) {
				return []dns.Name{dns.MustParse("mta-sts.example.test")}, nil
			}
			ctx := t.Context()
			if err := s.Show(ctx); err != nil {
				t.Fatal(err)
			}
			want := hex.EncodeToString(keys[0].SPKI)
			if got := w.shown(t, "", false); digest(t, got) != want || got.Issuer.String() != got.Subject.String() {
				t.Errorf("before the first certificate: key %s by %s", digest(t, got), got.Issuer)
			}
			if err := s.Step(ctx); err != nil {
				t.Fatal(err)
			}
			first := map[bool]*x509.Certificate{}
			for _, rsa := range []bool{false, true} {
				key := keys[0]
				if rsa {
					key = keys[2]
				}
				got := w.shown(t, host, rsa)
				if digest(t, got) != hex.EncodeToString(key.SPKI) {
					t.Errorf("RSA %v: the certificate is for another key than %s", rsa, key.ID)
				}
				first[rsa] = got
			}
			if got := w.shown(t, "mta-sts.example.test", false); got.VerifyHostname("mta-sts.example.test") != nil || digest(t, got) != want {
				t.Errorf("for the further name: %v", got.DNSNames)
			}
			for _, name := range []string{"", "unknown.example.test"} { // CRT-2
				if got := w.shown(t, name, false); got.VerifyHostname(host) != nil {
					t.Errorf("for the name %q: %v", name, got.DNSNames)
				}
			}
			w.add(20 * 24 * time.Hour)
			if err := s.Step(ctx); err != nil {
				t.Fatal(err)
			}
			if got := w.shown(t, host, false); !got.Equal(first[false]) {
				t.Error("renewed after 20 of 90 days")
			}
			w.add(10 * 24 * time.Hour)
			if err := s.Step(ctx); err != nil {
				t.Fatal(err)
			}
			for rsa, old := range first {
				if got := w.shown(t, host, rsa); got.Equal(old) || digest(t, got) != digest(t, old) {
					t.Errorf("RSA %v after 30 days: same certificate %v, same key %v", rsa, got.Equal(old), digest(t, got) == digest(t, old))
				}
			}
		})
	}
}

// Certificates of a profile are asked for by its name, and renewed in their own time:
// those of six days after two (CRT-1).
func TestProfile(t *testing.T) {
	t.Parallel()
	w, s, _, _ := prepared(t, acmetest.Options{})
	s.CA.Profile = "shortlived"
	step(t, s)
	first := w.shown(t, host, false)
	if life := first.NotAfter.Sub(first.NotBefore).Round(time.Hour); life != 144*time.Hour {
		t.Errorf("a certificate of six days has %s", life)
	}
	w.add(48 * time.Hour)
	step(t, s)
	if w.shown(t, host, false).Equal(first) {
		t.Error("not renewed after two of six days")
	}
}

// An authority may demand an external account (RFC 8555 §7.3.4); without one the
// operator is told which keys to set.
func TestExternalAccount(t *testing.T) {
	t.Parallel()
	const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	w, s, keys, _ := prepared(t, acmetest.Options{EAB: map[string]string{"kid-1": key}})
	step(t, s)
	all, err := s.Certs.All(t.Context())
	if err != nil || len(all) != 2 || !strings.Contains(all[0].Error, "acme.external_account_id") || all[0].Failures != 1 {
		t.Fatalf("without an external account: %+v, %v", all, err)
	}
	step(t, s) // at once again is too soon
	if all, _ := s.Certs.All(t.Context()); all[0].Failures != 1 {
		t.Errorf("tried again at once: %d failures", all[0].Failures)
	}
	s.CA = &CA{Directory: s.CA.Directory, Roots: s.CA.Roots, AgreeTerms: true, Profile: "default", Solvers: s.CA.Solvers, Store: s.Certs, Now: w.now, EABKeyID: "kid-1", EABKey: key}
	w.add(3 * time.Minute)
	step(t, s)
	if got := w.shown(t, host, false); digest(t, got) != hex.EncodeToString(keys[0].SPKI) || got.Issuer.String() == got.Subject.String() {
		t.Errorf("with one: a certificate by %s", got.Issuer)
	}
}

// Two machines with the same keys share a store: one asks for the certificates, the
// other shows them too (CRT-6).
func TestTwoMachines(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"two", "one"} { // one may be a copy of the other
		t.Run(name, func(t *testing.T) { twoMachines(t, name) })
	}
}

func twoMachines(t *testing.T, name string) {
	w, one, _, a := prepared(t, acmetest.Options{})
	two := w.service(t, one.Certs.DB, one.Keys.Dir, name, a, TLSALPN)
	two.Book = &certs.Book{}
	done := make(chan error, 2)
	for _, s := range []*Service{one, two} {
		go func() { done <- s.Step(t.Context()) }()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*Service{one, two} { // whichever was faster
		if err := s.Show(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	x, y := one.Book.Hosts(), two.Book.Hosts()
	if len(x) != 2 || len(y) != 2 || !x[0].Leaf.Equal(y[0].Leaf) || !x[1].Leaf.Equal(y[1].Leaf) || x[0].Leaf.Issuer.String() == x[0].Leaf.Subject.String() {
		t.Error("the two machines show different certificates")
	}
	log := a.Issued()
	if log != 2 {
		t.Errorf("%d certificates were issued for two keys", log)
	}
}

// While the authority is away the certificate stays, attempts come further and further
// apart, and when it is back the certificate is renewed.
func TestAuthorityAway(t *testing.T) {
	t.Parallel()
	w, s, _, a := prepared(t, acmetest.Options{})
	step(t, s)
	first := w.shown(t, host, false)
	a.Stop()
	w.add(30 * 24 * time.Hour)
	for range 5 {
		step(t, s)
		w.add(time.Minute)
	}
	all, err := s.Certs.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Failures < 2 || i.Failures > 3 || i.Error == "" {
			t.Errorf("%s: %d failures in five minutes: %s", i.Name, i.Failures, i.Error)
		}
	}
	if !w.shown(t, host, false).Equal(first) {
		t.Error("the certificate has changed")
	}
}

// TestStoreKeepsNothing: where the store does not take what was issued, the authority is not
// asked again at once, and again, until its limit is used up.
func TestStoreKeepsNothing(t *testing.T) {
	t.Parallel()
	w, s, _, a := prepared(t, acmetest.Options{})
	sql := func(text string) {
		t.Helper()
		if err := s.Certs.DB.Write(t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(text); return err }); err != nil {
			t.Fatal(err)
		}
	}
	sql(`CREATE TRIGGER full BEFORE UPDATE OF chain ON certificate BEGIN SELECT RAISE(ABORT, 'full'); END`)
	for range 4 {
		if err := s.Step(t.Context()); err == nil && a.Issued() == 0 {
			t.Error("nothing is said of it")
		}
		w.add(time.Minute)
	}
	if n := a.Issued(); n > 2 {
		t.Errorf("%d certificates were issued for two keys", n)
	}
	sql(`DROP TRIGGER full`)
	issued := a.Issued()
	step(t, s)
	if n := a.Issued(); n != issued {
		t.Errorf("%d certificates were asked for within the hour", n-issued)
	}
	if n, err := s.Ask(t.Context(), host); err != nil || n != 2 { // "cert issue"
		t.Fatal(n, err)
	}
	step(t, s)
	if n := a.Issued(); n != issued+2 {
		t.Errorf("%d certificates were issued once an operator had asked", n-issued)
	}
	if c := w.shown(t, host, false); c.Issuer.String() == c.Subject.String() {
		t.Error("no certificate is shown after it")
	}
}

func certLeaf(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	chain, err := certs.ParseChain(text)
	if err != nil {
		t.Fatal(err)
	}
	return chain[0]
}

// TestSlowName: a name that takes the authority long holds up no other (CRT-1). Here it is
// one that the authority waits for; the others come meanwhile.
func TestSlowName(t *testing.T) {
	t.Parallel()
	w, s, _, _ := prepared(t, acmetest.Options{})
	slow, quick := dns.MustParse("a-slow.example.test"), dns.MustParse("mta-sts.example.test")
	s.Names = func(context.Context) ([]dns.Name, error) { return []dns.Name{slow, quick}, nil }
	release := make(chan struct{})
	s.CA.Solvers = map[string]acmez.Solver{TLSALPN: holding{s.CA.Solvers[TLSALPN], slow.ASCII(), release}}
	done := make(chan error, 1)
	go func() { done <- s.Step(t.Context()) }()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		all, err := s.Certs.All(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, i := range all {
			got[i.Name] = got[i.Name] || i.Leaf() != nil
		}
		if got[slow.ASCII()] {
			t.Fatal("the slow one was not held")
		}
		if got[host] && got[quick.ASCII()] {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("a slow name holds up others: issued %v", got)
		}
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = w
}

// holding is a solver that waits with the challenges of a name.
type holding struct {
	acmez.Solver
	name    string
	release chan struct{}
}

func (h holding) Present(ctx context.Context, c acme.Challenge) error {
	if c.Identifier.Value == h.name {
		select {
		case <-h.release:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return h.Solver.Present(ctx, c)
}

// A certificate for another key is refused, whoever signed it (CRT-6).
func TestFits(t *testing.T) {
	t.Parallel()
	keys, err := hostkeys.Make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	chain := func(name string, k hostkeys.Key) []byte {
		c, err := certs.SelfSigned(name, k.Signer, now)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	}
	for name, tt := range map[string]struct {
		chain []byte
		now   time.Time
		want  string
	}{
		"good":         {chain(host, keys[0]), now, ""},
		"another key":  {chain(host, keys[1]), now, "it is for another key"},
		"another kind": {chain(host, keys[2]), now, "it is for another key"},
		"another name": {chain("mail.example.test", keys[0]), now, "it is not for " + host},
		"not yet":      {chain(host, keys[0]), now.AddDate(0, 0, -30), "is not valid before"},
		"clocks apart": {chain(host, keys[0]), certLeaf(t, chain(host, keys[0])).NotBefore.Add(-renewal.Skew), ""},
		"ended":        {chain(host, keys[0]), now.AddDate(5, 0, 0), "has ended"},
		"none":         {[]byte("nothing"), now, "no certificate in PEM form"},
	} {
		err := Fits(tt.chain, host, keys[0], tt.now)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// zone has the servers of the host's zone answer for themselves: here one, which is the
// resolver too.
func (w *world) zone(t *testing.T, s *Service) (publish func(keys ...hostkeys.Key)) {
	t.Helper()
	w.dns.Intercept(func(_, r *wire.Msg) *wire.Msg { r.Authoritative = true; return r })
	addr := netip.MustParseAddrPort(w.dns.Addr())
	s.Zones = &zones.Asker{DNS: &dns.Client{Servers: []dns.Server{{Addr: w.dns.Addr(), Trusted: true}}}, Port: addr.Port()}
	return func(keys ...hostkeys.Key) {
		t.Helper()
		records := []string{"mx.example.test. 300 IN A 127.0.0.1", "mta-sts.example.test. 300 IN A 127.0.0.1", "test. 300 IN NS ns.test.", "ns.test. 300 IN A " + addr.Addr().String()}
		for _, k := range keys {
			records = append(records, "_25._tcp.mx.example.test. 3600 IN TLSA "+k.TLSA())
		}
		if err := w.dns.Set(dnstest.Zone{Name: "test", Security: dns.Secure, Records: records}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRollOver goes the whole way of a key with Pebble (CRT-3, CRT-6): asked for, it does
// not take over before its record is published and a day has passed; it does with a
// certificate for it at hand; the old record may go two hours and a day later, and the
// next key is made.
func TestRollOver(t *testing.T) {
	t.Parallel()
	w, s, keys, _ := prepared(t, acmetest.Options{})
	s.AddKeys = true
	publish := w.zone(t, s)
	publish(keys[0], keys[2])
	step(t, s)
	if err := s.Want(t.Context(), hostkeys.ECDSA, true); err != nil {
		t.Fatal(err)
	}
	hours := func(n int) {
		t.Helper()
		for range 2 * n {
			w.add(30 * time.Minute)
			step(t, s)
		}
	}
	inUse := func() string { t.Helper(); return digest(t, w.shown(t, host, false)) }
	first, second := hex.EncodeToString(keys[0].SPKI), hex.EncodeToString(keys[1].SPKI)
	hours(60)
	if inUse() != first {
		t.Fatal("a key took over whose record is not in DNS")
	}
	publish(keys[0], keys[1], keys[2])
	hours(23)
	if inUse() != first {
		t.Fatal("a key took over whose record is known for less than a day")
	}
	w.dns.Fail(dnstest.Failure{Name: "_25._tcp.mx.example.test", RCode: "SERVFAIL"})
	hours(4)
	if inUse() != first {
		t.Fatal("a key took over although no server of the zone answers")
	}
	if _, why, err := s.Keys.LastLook(t.Context()); err != nil || !strings.Contains(why, "dns-servfail") {
		t.Errorf("what keeps it: %q, %v", why, err)
	}
	w.dns.Unfail("_25._tcp.mx.example.test", "")
	hours(2)
	got := w.shown(t, host, false)
	if digest(t, got) != second || got.Issuer.String() == got.Subject.String() {
		t.Fatalf("in use is %s, by %s", digest(t, got), got.Issuer)
	}
	if old := w.shown(t, host, true); digest(t, old) != hex.EncodeToString(keys[2].SPKI) {
		t.Error("the RSA key has changed too")
	}
	rows, err := s.KeyRows(t.Context())
	if err != nil || len(rows) != 5 || rows[0].Key != "ecdsa-2" || rows[1].Key != "ecdsa-3" || rows[2].Stage != keystage.Old {
		t.Errorf("after it: %+v, %v", rows, err)
	}
	publish(keys[1], keys[2]) // what should stay for a day is tidied up; the key in use is there
	hours(26)
	if rows, err := s.KeyRows(t.Context()); err != nil || len(rows) != 4 {
		t.Errorf("a day later: %+v, %v", rows, err)
	}
}

// DNS that has TLSA records without that of the key in use is an alert at once.
func TestCurrentUnseen(t *testing.T) {
	t.Parallel()
	w, s, keys, _ := prepared(t, acmetest.Options{})
	s.CA = nil
	publish := w.zone(t, s)
	publish(keys[1])
	step(t, s)
	rows, err := s.KeyRows(t.Context())
	if err != nil || rows[0].Word != keystage.CurrentUnseen || rows[2].Word != keystage.CurrentUnseen {
		t.Errorf("%+v, %v", rows, err)
	}
	publish()
	w.add(time.Hour)
	step(t, s)
	if rows, err = s.KeyRows(t.Context()); err != nil || rows[0].Word != "" {
		t.Errorf("without any record: %+v, %v", rows, err)
	}
}

// updater writes into the zone of a world, as a name server does that takes updates.
type updater struct{ *dnstest.Server }

func (u updater) Update(_ context.Context, changes []dnsupdate.Change) error {
	for _, c := range changes {
		u.Remove(c.Name.ASCII(), c.Type)
		for _, v := range c.Values {
			if err := u.Add(c.Zone.ASCII(), fmt.Sprintf("%s. %d IN %s %s", c.Name.ASCII(), c.TTL, c.Type, dnsrecords.Quote(v))); err != nil {
				return err
			}
		}
	}
	return nil
}

// dns-01 writes its record beside what is there, waits until the zone's servers have it,
// and takes it away again.
func TestZone(t *testing.T) {
	t.Parallel()
	w, s, keys, _ := prepared(t, acmetest.Options{})
	w.zone(t, s)(keys[0])
	if err := w.dns.Add("test", `_acme-challenge.mx.example.test. 60 IN TXT "of another"`); err != nil {
		t.Fatal(err)
	}
	s.CA.Solvers = map[string]acmez.Solver{DNS: &Zoned{Updater: updater{w.dns}, Zones: s.Zones, Poll: 10 * time.Millisecond}}
	step(t, s)
	if got := w.shown(t, host, false); got.Issuer.String() == got.Subject.String() {
		all, err := s.Certs.All(t.Context())
		t.Fatalf("no certificate by dns-01: %+v, %v", all, err)
	}
	challenged, err := dns.MustParse(host).Prefix("_acme-challenge")
	if err != nil {
		t.Fatal(err)
	}
	left, err := s.Zones.Ask(t.Context(), challenged, "TXT")
	if err != nil || len(left) != 1 || len(left[0].Values) != 1 || left[0].Values[0] != "of another" {
		t.Errorf("left in the zone: %+v, %v", left, err)
	}
}

// A record that does not come to every server is told of, and the authority not asked to look.
func TestZoneTooSlow(t *testing.T) {
	t.Parallel()
	w, s, keys, _ := prepared(t, acmetest.Options{})
	w.zone(t, s)(keys[0])
	s.CA.Solvers = map[string]acmez.Solver{DNS: &Zoned{Updater: nowhere{}, Zones: s.Zones, Poll: 10 * time.Millisecond, Most: 100 * time.Millisecond}}
	step(t, s)
	all, err := s.Certs.All(t.Context())
	if err != nil || all[0].Failures != 1 || !strings.Contains(all[0].Error, "not every server of the zone has the record") {
		t.Errorf("%+v, %v", all, err)
	}
}

type nowhere struct{}

func (nowhere) Update(context.Context, []dnsupdate.Change) error { return nil }

// dns-persist-01 says which record it needs; once that is there it stays, and every
// certificate after it needs nothing more.
func TestPersist(t *testing.T) {
	t.Parallel()
	w, s, keys, _ := prepared(t, acmetest.Options{})
	w.zone(t, s)(keys[0])
	s.CA.Solvers = map[string]acmez.Solver{DNSPersist: &Standing{Zones: s.Zones, Account: s.CA.AccountURL}}
	step(t, s)
	all, err := s.Certs.All(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	record := regexp.MustCompile(`_validation-persist\.mx\.example\.test\. IN TXT "[^"]+; accounturi=https://[^"]+"`).FindString(all[0].Error)
	if record == "" {
		t.Fatalf("which record is needed is not told: %s", all[0].Error)
	}
	if err := w.dns.Add("test", strings.Replace(record, " IN ", " 60 IN ", 1)); err != nil {
		t.Fatal(err)
	}
	w.add(time.Hour)
	step(t, s)
	first := w.shown(t, host, false)
	if first.Issuer.String() == first.Subject.String() {
		all, err := s.Certs.All(t.Context())
		t.Fatalf("no certificate with the record published: %+v, %v", all, err)
	}
}
