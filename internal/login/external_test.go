package login_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/login"
	"waxwing/internal/store/storetest"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return &authority{t, key, cert}
}

// issue makes a client's certificate; change may spoil it.
func (a *authority) issue(change func(*x509.Certificate), emails ...string) *tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	tpl := &x509.Certificate{SerialNumber: big.NewInt(2), EmailAddresses: emails, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if change != nil {
		change(tpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, a.cert, key.Public(), a.key)
	must(a.t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// small makes a certificate with an RSA key of a size that proves nothing; crypto/rsa
// lets it for the sake of old mail hosts (go.mod).
func (a *authority) small(email string) *tls.Certificate {
	a.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 768)
	must(a.t, err)
	tpl := &x509.Certificate{SerialNumber: big.NewInt(3), EmailAddresses: []string{email}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tpl, a.cert, key.Public(), a.key)
	must(a.t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func over(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }

func forServers(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }

func sum(c *tls.Certificate) [sha256.Size]byte { return sha256.Sum256(c.Certificate[0]) }

// company has you@, boss@ and info@ (both boss's, who has the catchall too), and
// off@, who may not log in.
func company(t *testing.T) *accounts.Store {
	t.Helper()
	a := &accounts.Store{DB: storetest.Open(t)}
	ctx := t.Context()
	must(t, a.AddDomain(ctx, dns.MustParse("example.test")))
	for _, name := range []string{"you", "boss", "off"} {
		must(t, a.AddAccount(ctx, name, "a-good-password"))
		must(t, a.AddAddress(ctx, name+"@example.test", name))
	}
	must(t, a.AddAddress(ctx, "info@example.test", "boss"))
	must(t, a.AddAddress(ctx, "*@example.test", "boss"))
	must(t, a.SetDisabled(ctx, "off", true))
	return a
}

// mirror is a backend that answers MAIL with who has logged in.
type mirror struct{}

func (mirror) NewSession(_ context.Context, conn smtpserver.Conn) (smtpserver.Session, error) {
	return said{conn: conn}, nil
}

type said struct {
	smtpserver.Session
	conn smtpserver.Conn
}

func (s said) Mail(context.Context, smtp.MailParams) error {
	return smtp.NewReply(550, smtp.Enhanced{Class: 5}, "you are <%s>", s.conn.Identity())
}
func (said) Reset() {}
func (said) Close() {}

// door is a server with STARTTLS.
func door(t *testing.T, auth smtpserver.Authenticator, conf *tls.Config) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	srv := &smtpserver.Server{Hostname: "mx.example.test", Backend: mirror{}, Auth: auth, TLS: conf}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- srv.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-done })
	return l.Addr()
}

// visitor is a client.
type visitor struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// visit connects and says STARTTLS and EHLO; it returns what was offered.
func visit(t *testing.T, addr net.Addr, cert *tls.Certificate) (*visitor, string) {
	t.Helper()
	nc, err := net.Dial("tcp", addr.String())
	must(t, err)
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	v := &visitor{t, nc, bufio.NewReader(nc)}
	v.say("", "220")
	if offer := v.say("EHLO client.test\r\n", "250"); strings.Contains(offer, "AUTH") {
		t.Errorf("offered without TLS: %q", offer)
	}
	v.say("STARTTLS\r\n", "220")
	conf := &tls.Config{InsecureSkipVerify: true}
	if cert != nil { // whatever the server says of authorities
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	tc := tls.Client(nc, conf)
	must(t, tc.Handshake())
	v.Conn = tc
	v.r.Reset(tc)
	return v, v.say("EHLO client.test\r\n", "250")
}

func (v *visitor) say(text, want string) (all string) {
	v.t.Helper()
	fmt.Fprint(v, text)
	for {
		line, err := v.r.ReadString('\n')
		all += line
		if err != nil || len(line) < 4 {
			v.t.Fatalf("%q: %q, %v", text, all, err)
		}
		if line[3] == ' ' {
			break
		}
	}
	if !strings.HasPrefix(all, want) {
		v.t.Fatalf("%q: %q, want %s", text, all, want)
	}
	return all
}

// INB-5, RFC 4422 Appendix A: EXTERNAL is offered to who has shown a certificate
// that was verified, and lets in the account whose address stands in it.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	self, late := theirs.issue(nil, "boss@example.test"), theirs.issue(over)
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	auth := login.NewExternal(&login.Checker{Accounts: company(t), Limits: login.Limits{Delay: -1, Failures: 1000}},
		login.Trust{Roots: roots, Pinned: map[[sha256.Size]byte]string{sum(self): "you@example.test", sum(late): "you@example.test"}})
	addr := door(t, auth, &tls.Config{Certificates: []tls.Certificate{*theirs.issue(nil)}, ClientAuth: tls.RequestClientCert, ClientCAs: roots})
	const failed, none = "535 5.7.8", "504 5.5.4"
	for _, tt := range []struct {
		name    string
		cert    *tls.Certificate
		authzid string
		want    string // the account, or the reply
	}{
		{"an address of the account", ours.issue(nil, "You@Example.test"), "", "you"},
		{"an address beside another", ours.issue(nil, "x@elsewhere.test", "you@example.test"), "", "you"},
		{"two addresses of one account", ours.issue(nil, "boss@example.test", "info@example.test"), "", "boss"},
		{"addresses of two accounts", ours.issue(nil, "boss@example.test", "you@example.test"), "", failed},
		{"one of two by address", ours.issue(nil, "boss@example.test", "you@example.test"), "you@example.test", "you"},
		{"one of two by name", ours.issue(nil, "boss@example.test", "you@example.test"), "boss", "boss"},
		{"one of two by another address", ours.issue(nil, "boss@example.test", "you@example.test"), "info@example.test", "boss"},
		{"somebody else", ours.issue(nil, "you@example.test"), "boss", failed},
		{"nobody", ours.issue(nil, "you@example.test"), "nobody", failed},
		{"no account's address", ours.issue(nil, "x@elsewhere.test"), "", failed},
		{"detail and catchall are nobody's", ours.issue(nil, "you+x@example.test", "any@example.test", "*@example.test"), "", failed},
		{"an account's name", ours.issue(nil, "you"), "", failed},
		{"disabled", ours.issue(nil, "off@example.test"), "", failed},
		{"no address", ours.issue(nil), "", none},
		{"another authority", theirs.issue(nil, "you@example.test"), "", none},
		{"over", ours.issue(over, "you@example.test"), "", none},
		{"for servers", ours.issue(forServers, "you@example.test"), "", none},
		{"a key that proves nothing", ours.small("you@example.test"), "", none}, // POL-10
		{"no certificate", nil, "", none},
		{"pinned", self, "", "you"},
		{"pinned, and not who it says", self, "boss", failed},
		{"pinned and over", late, "", none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, offer := visit(t, addr, tt.cert)
			if offered := strings.Contains(offer, "AUTH EXTERNAL "); offered != (tt.want != none) || !strings.Contains(offer, " PLAIN") {
				t.Errorf("the offer is %q", offer)
			}
			authzid := "="
			if tt.authzid != "" {
				authzid = base64.StdEncoding.EncodeToString([]byte(tt.authzid))
			}
			if tt.want == failed || tt.want == none {
				v.say("AUTH EXTERNAL "+authzid+"\r\n", tt.want)
				v.say("MAIL FROM:<>\r\n", "550 5.0.0 you are <>")
				// The password is as good as without.
				v.say("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00you\x00a-good-password"))+"\r\n", "235")
				return
			}
			v.say("AUTH EXTERNAL "+authzid+"\r\n", "235 2.7.0")
			v.say("MAIL FROM:<>\r\n", "550 5.0.0 you are <"+tt.want+">")
		})
	}
}

// Nobody has certificates verified at every EHLO, or more of them than a chain has.
func TestExternalIsCheap(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	var log lockedBuffer
	auth := login.NewExternal(&login.Checker{Accounts: company(t), Log: slog.New(slog.NewTextHandler(&log, nil))}, login.Trust{Roots: roots})
	addr := door(t, auth, &tls.Config{Certificates: []tls.Certificate{*theirs.issue(nil)}, ClientAuth: tls.RequestClientCert, ClientCAs: roots})
	v, _ := visit(t, addr, theirs.issue(nil, "you@example.test"))
	for range 5 {
		v.say("EHLO client.test\r\n", "250")
	}
	if n := strings.Count(log.String(), "client certificate not verified"); n != 1 {
		t.Errorf("verified %d times", n)
	}
	for n, want := range map[int]bool{7: true, 8: false} { // beside its own
		c := ours.issue(nil, "you@example.test")
		for range n {
			c.Certificate = append(c.Certificate, theirs.cert.Raw)
		}
		if _, offer := visit(t, addr, c); strings.Contains(offer, "AUTH EXTERNAL ") != want {
			t.Errorf("%d certificates more: %q", n, offer)
		}
	}
}

// lockedBuffer is a log that is read while it may be written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// INB-3: who asks for salts and goes away, by "*", with what is no base64, or
// without a word, has failed to log in like one with a wrong password: delayed, then
// refused. Who goes before there was a salt has learnt nothing.
func TestSaltProbes(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t, "ours")
	conf := &tls.Config{Certificates: []tls.Certificate{*ours.issue(nil)}}
	for name, probe := range map[string]func(v *visitor){
		"cancelled":  func(v *visitor) { v.say("*\r\n", "501 5.7.0") },
		"no base64":  func(v *visitor) { v.say("!\r\n", "501 5.5.2") },
		"too long":   func(v *visitor) { v.say(strings.Repeat("A", 20000)+"\r\n", "500 5.5.6") },
		"hung up":    func(v *visitor) { v.Close() },
		"hung up, 2": func(v *visitor) { v.Write([]byte("bi")); v.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log lockedBuffer
			addr := door(t, &login.Checker{Accounts: company(t), Limits: login.Limits{Delay: -1, Failures: 3},
				Log: slog.New(slog.NewTextHandler(&log, nil))}, conf)
			for range 10 { // nothing is learnt
				v, _ := visit(t, addr, nil)
				v.say("AUTH SCRAM-SHA-256\r\n", "334 \r\n")
				v.say("*\r\n", "501 5.7.0")
				v.say("AUTH LOGIN\r\n", "334")
				v.say("eW91\r\n", "334")
				v.say("*\r\n", "501 5.7.0")
			}
			for i := range 3 {
				v, _ := visit(t, addr, nil)
				v.say("AUTH SCRAM-SHA-256\r\n", "334 \r\n")
				v.say(base64.StdEncoding.EncodeToString([]byte("n,,n=you,r=abc"))+"\r\n", "334 cj1hYm")
				probe(v)
				for end := time.Now().Add(2 * time.Minute); strings.Count(log.String(), "login failed") != i+1; time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("probe %d is not counted: %s", i, log.String())
					}
				}
			}
			v, _ := visit(t, addr, nil)
			v.say("AUTH SCRAM-SHA-256 "+base64.StdEncoding.EncodeToString([]byte("n,,n=you,r=abc"))+"\r\n", "421 4.7.0")
		})
	}
}

// RFC 4954 §4: without an initial response an empty challenge asks for it.
func TestExternalAsks(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t, "ours")
	cert := ours.issue(nil)
	auth := login.NewExternal(&login.Checker{Accounts: company(t), Limits: login.Limits{Delay: -1, Failures: 2}},
		login.Trust{Pinned: map[[sha256.Size]byte]string{sum(cert): "you@example.test"}})
	addr := door(t, auth, &tls.Config{Certificates: []tls.Certificate{*ours.issue(nil)}, ClientAuth: tls.RequestClientCert})
	v, _ := visit(t, addr, cert)
	v.say("AUTH EXTERNAL\r\n", "334 \r\n")
	v.say("AGE=\r\n", "501 5.5.2") // a NUL
	v.say("AUTH EXTERNAL /w==\r\n", "501 5.5.2")
	v, _ = visit(t, addr, cert)
	v.say("AUTH EXTERNAL\r\n", "334 \r\n")
	v.say("\r\n", "235 2.7.0")
	// Refusals count as failed logins do (INB-3).
	for range 2 {
		v, _ = visit(t, addr, cert)
		v.say("AUTH EXTERNAL Ym9zcw==\r\n", "535 5.7.8")
	}
	v, _ = visit(t, addr, cert)
	v.say("AUTH EXTERNAL Ym9zcw==\r\n", "421 4.7.0")
	// But the network is home to the one who has logged in there.
	v, _ = visit(t, addr, cert)
	v.say("AUTH EXTERNAL =\r\n", "235 2.7.0")
}
