package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/route"
	"waxwing/internal/session"
	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpclient"
	"waxwing/smtpserver"
)

// relayHost is a real smarthost: smtpserver on loopback, with a real certificate
// and real logins, that keeps what it took.
type relayHost struct {
	port uint16
	cert tls.Certificate

	mu   sync.Mutex
	got  []taken
	fail *smtp.Reply // the answer to RCPT; nil: taken
}

// taken is one message that came.
type taken struct {
	from, login, helo string
	to                []string
	tls, requireTLS   bool
	body              string
}

// relayPKI makes an authority once.
var relayPKI = sync.OnceValues(func() (tls.Certificate, error) { return issue("ca.test", nil) })

// issue makes a certificate for a name; nil: an authority that signs itself.
func issue(name string, ca *tls.Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: ca == nil,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	parent, signer := tmpl, key
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey.(*ecdsa.PrivateKey)
		tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

func startRelayHost(t *testing.T, change func(*smtpserver.Server)) *relayHost {
	t.Helper()
	ca, err := relayPKI()
	if err != nil {
		t.Fatal(err)
	}
	h := &relayHost{}
	if h.cert, err = issue("smtp.isp.test", &ca); err != nil {
		t.Fatal(err)
	}
	srv := &smtpserver.Server{Hostname: "smtp.isp.test", TLS: &tls.Config{Certificates: []tls.Certificate{h.cert}}, Backend: h, Auth: plainLogins{},
		Offer: smtpserver.Offer{RequireTLS: true}}
	if change != nil {
		change(srv)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.port = l.Addr().(*net.TCPAddr).AddrPort().Port()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h
}

// plainLogins knows one user.
type plainLogins struct{}

func (plainLogins) Mechanisms(tls bool) []string {
	if !tls {
		return nil
	}
	return []string{sasl.Plain}
}

func (plainLogins) Start(context.Context, string, smtpserver.Conn) (sasl.Server, *smtp.Reply) {
	return sasl.NewPlainServer(func(user, password string) (string, error) {
		if user != "me" || password != "hunter2" {
			return "", sasl.ErrFailed
		}
		return user, nil
	}), nil
}

type relaySession struct {
	h    *relayHost
	conn smtpserver.Conn
	m    taken
}

func (h *relayHost) NewSession(_ context.Context, c smtpserver.Conn) (smtpserver.Session, error) {
	return &relaySession{h: h, conn: c}, nil
}

func (s *relaySession) Mail(_ context.Context, p smtp.MailParams) error {
	s.m = taken{from: p.From.String(), login: s.conn.Identity(), helo: s.conn.HELO(), tls: s.conn.TLS() != nil, requireTLS: p.RequireTLS}
	return nil
}

func (s *relaySession) Rcpt(_ context.Context, p smtp.RcptParams) error {
	if s.h.fail != nil {
		return s.h.fail
	}
	s.m.to = append(s.m.to, p.To.String())
	return nil
}

func (s *relaySession) Data(_ context.Context, r io.Reader) (*smtp.Reply, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	s.m.body = string(b)
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.got = append(s.h.got, s.m)
	return smtp.NewReply(250, smtp.Enhanced{Class: 2}, "taken"), nil
}

func (s *relaySession) Reset() {}
func (s *relaySession) Close() {}

func (h *relayHost) took() []taken {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]taken(nil), h.got...)
}

// zone is the DNS of the relay host: at 127.0.0.1, with the records given.
func zone(t *testing.T, sec dns.Security, records ...string) dns.Resolver {
	t.Helper()
	srv, err := dnstest.Start(dnstest.Zone{Name: "isp.test", Security: sec, Records: append([]string{"smtp A 127.0.0.1", "smtp MX 1 elsewhere"}, records...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return dnstest.Client(t, srv)
}

// relayed sends one message by a transport, as the router would.
func relayed(t *testing.T, resolver dns.Resolver, tr route.Transport, change func(*delivery.Job)) (delivery.RecipientResult, delivery.Result) {
	t.Helper()
	if err := tr.Check(); err != nil {
		t.Fatal(err)
	}
	ca, err := relayPKI()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	b := &Builder{Direct: &Direct{}, DNS: resolver, Session: func() *session.Client {
		return &session.Client{HELO: "mail.us.test", Roots: roots, Timeouts: smtpclient.Timeouts{Connect: 5 * time.Second, Greeting: 5 * time.Second, Hello: 5 * time.Second, StartTLS: 5 * time.Second}}
	}}
	d, err := b.Make(tr)
	if err != nil {
		t.Fatal(err)
	}
	j := job("x@b.test")
	if change != nil {
		change(j)
	}
	res := d.Deliver(t.Context(), j, delivery.Bytes("Subject: x\r\n\r\nhello\r\n"))
	if len(res.Recipients) != 1 || res.Transport != "relay" || res.Name != tr.Name {
		t.Fatalf("%+v", res)
	}
	return res.Recipients[0], res
}

func submission(port uint16) route.Transport {
	return route.Transport{Name: "isp", Kind: route.Submission, Host: route.Host{Name: dns.MustParse("smtp.isp.test")}, Port: port, User: "me", Password: "hunter2"}
}

func smarthost(port uint16) route.Transport {
	return route.Transport{Name: "isp", Kind: route.Smarthost, Host: route.Host{Name: dns.MustParse("smtp.isp.test")}, Port: port}
}

// TRA-1, TRA-2, TRA-3: what a smarthost gets, over which TLS, from whom.
func TestRelay(t *testing.T) {
	t.Parallel()
	insecure := func(t *testing.T, _ *relayHost) dns.Resolver { return zone(t, dns.Insecure) }
	withTLSA := func(wrong bool) func(*testing.T, *relayHost) dns.Resolver {
		return func(t *testing.T, h *relayHost) dns.Resolver {
			rr := dane.Generate(h.cert.Leaf, dane.UsageEE, 1, 1)
			if wrong {
				rr.Data = make([]byte, 32)
			}
			return zone(t, dns.Secure, fmt.Sprintf("_%d._tcp.smtp TLSA 3 1 1 %x", h.port, rr.Data))
		}
	}
	implicit := func(s *smtpserver.Server) { s.ImplicitTLS = true }
	noTLS := func(s *smtpserver.Server) { s.TLS, s.Auth = nil, nil }
	wrongName := func(s *smtpserver.Server) {
		ca, _ := relayPKI()
		cert, _ := issue("other.test", &ca)
		s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	need := func(n delivery.TLSNeed) func(*delivery.Job) { return func(j *delivery.Job) { j.Need = n } }
	for _, c := range []struct {
		name   string
		host   func(*smtpserver.Server)
		zone   func(*testing.T, *relayHost) dns.Resolver
		tr     func(port uint16) route.Transport
		alter  func(*route.Transport)
		job    func(*delivery.Job)
		word   reason.Word // "accepted", or why not
		status string      // of the DSN where it failed for good
		tls    string
	}{
		{name: "587, STARTTLS, PKIX and login", zone: insecure, tr: submission, word: "accepted", tls: "pkix"},
		{name: "465, TLS from the start", host: implicit, zone: insecure, tr: submission, alter: func(t *route.Transport) { t.Implicit = true }, word: "accepted", tls: "pkix"},
		{name: "smarthost", zone: insecure, tr: smarthost, word: "accepted", tls: "pkix"},
		{name: "DANE at the transport's port", zone: withTLSA(false), tr: submission, word: "accepted", tls: "dane"},
		{name: "DANE does not match", zone: withTLSA(true), tr: submission, word: "dane-no-match"},
		{name: "certificate for another name", host: wrongName, zone: insecure, tr: smarthost, word: "cert-host-mismatch"},
		{name: "TLSOptional does not loosen it", host: wrongName, zone: insecure, tr: smarthost, job: need(delivery.TLSOptional), word: "cert-host-mismatch"},
		{name: "nor does a TLS report", host: wrongName, zone: insecure, tr: smarthost, job: func(j *delivery.Job) { j.Purpose = delivery.TLSReport }, word: "cert-host-mismatch"},
		{name: "no TLS offered", host: noTLS, zone: insecure, tr: smarthost, word: "starttls-not-offered"},
		{name: "TLSOptional without TLS", host: noTLS, zone: insecure, tr: smarthost, job: need(delivery.TLSOptional), word: "starttls-not-offered"},
		{name: "security tls", host: wrongName, zone: insecure, tr: smarthost, alter: func(t *route.Transport) { t.Security = route.SecurityTLS }, word: "accepted", tls: "unverified"},
		{name: "security any", host: noTLS, zone: insecure, tr: smarthost, alter: func(t *route.Transport) { t.Security = route.SecurityAny }, word: "accepted", tls: "none"},
		{name: "an address", zone: insecure, tr: smarthost, alter: func(t *route.Transport) {
			t.Host, t.Security = route.Host{Addr: netip.MustParseAddr("127.0.0.1")}, route.SecurityTLS
		}, word: "accepted", tls: "unverified"},
		{name: "security dane without DANE", zone: insecure, tr: smarthost, alter: func(t *route.Transport) { t.Security = route.SecurityDANE }, word: "dane-required"},
		{name: "RequireTLS", zone: insecure, tr: submission, job: need(delivery.RequireTLS), word: "accepted", tls: "pkix"},
		{name: "RequireTLS, not offered", host: func(s *smtpserver.Server) { s.Offer.RequireTLS = false }, zone: insecure, tr: submission, job: need(delivery.RequireTLS), word: "requiretls-not-offered", status: "5.7.30"},
		{name: "RequireTLS over an unverified transport", zone: insecure, tr: smarthost, alter: func(t *route.Transport) { t.Security = route.SecurityTLS }, job: need(delivery.RequireTLS), word: reason.TransportUnverified, status: "5.7.30"},
		{name: "wrong password", zone: insecure, tr: submission, alter: func(t *route.Transport) { t.Password = "guess" }, word: "auth-refused"},
		{name: "PLAIN to an unverified host", zone: insecure, tr: submission, alter: func(t *route.Transport) { t.Security = route.SecurityTLS }, word: "auth-no-mechanism"},
		{name: "a host that does not exist", zone: insecure, tr: smarthost, alter: func(t *route.Transport) { t.Host.Name = dns.MustParse("gone.isp.test") }, word: "no-such-host"},
		{name: "the other family", zone: insecure, tr: smarthost, alter: func(t *route.Transport) { t.Family = route.OnlyIPv6 }, word: "no-address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := startRelayHost(t, c.host)
			tr := c.tr(h.port)
			tr.EHLO = dns.MustParse("own-name.us.test")
			if c.alter != nil {
				c.alter(&tr)
			}
			rr, res := relayed(t, c.zone(t, h), tr, c.job)
			want, outcome := 0, delivery.Deferred
			switch {
			case c.word == "accepted":
				want, outcome = 1, delivery.Delivered
			case c.status != "":
				outcome = delivery.Failed
			}
			if rr.Word != c.word || rr.Outcome != outcome || rr.TLS != c.tls || c.status != "" && rr.Enhanced.String() != c.status {
				t.Errorf("%+v", rr)
			}
			got := h.took()
			if len(got) != want {
				t.Fatalf("it took %d messages", len(got))
			}
			for _, p := range res.Decision.Plans {
				if len(p.Reports) > 0 {
					t.Errorf("RPT-4: reported under %+v", p.Reports)
				}
			}
			if text := fmt.Sprintf("%+v", res); strings.Contains(text, "hunter2") {
				t.Error("the password stands in the result")
			}
			if want == 0 {
				return
			}
			m := got[0]
			login := map[bool]string{true: "me", false: ""}[tr.User != ""]
			if m.from != "alice@sender.test" || m.to[0] != "x@b.test" || m.helo != "own-name.us.test" || m.login != login || m.tls != (c.tls != "none") ||
				m.requireTLS != (c.job != nil) || !strings.HasSuffix(m.body, "hello\r\n") {
				t.Errorf("%+v", m)
			}
		})
	}
}

// The smarthost's word about a recipient counts as any host's: 5xx is final.
func TestRelayRefusesRecipient(t *testing.T) {
	t.Parallel()
	h := startRelayHost(t, nil)
	h.fail = smtp.NewReply(550, smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}, "no such user")
	rr, _ := relayed(t, zone(t, dns.Insecure), smarthost(h.port), nil)
	if rr.Outcome != delivery.Failed || rr.Reply == nil || rr.Reply.Code != 550 {
		t.Errorf("%+v", rr)
	}
}

// A source address is used for its own family.
func TestSourceDialer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := SourceDialer([]netip.Addr{netip.MustParseAddr("127.0.0.77"), netip.MustParseAddr("::1")})
	nc, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if a := nc.LocalAddr().(*net.TCPAddr).IP.String(); a != "127.0.0.77" {
		t.Errorf("connected from %s", a)
	}
	if _, err := SourceDialer([]netip.Addr{netip.MustParseAddr("192.0.2.1")}).DialContext(t.Context(), "tcp", l.Addr().String()); err == nil {
		t.Error("connected from an address that is not ours")
	}
}
