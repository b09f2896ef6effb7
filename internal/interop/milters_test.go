//go:build linux

package interop

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/milters"
	"waxwing/internal/receive"
	"waxwing/internal/store/storetest"
	"waxwing/milter"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// taken keeps what a door takes.
type taken struct {
	mu   sync.Mutex
	env  delivery.Envelope
	text string
	n    int
}

func (q *taken) Enqueue(_ context.Context, env *delivery.Envelope, c delivery.Content) error {
	r, err := c.Open()
	if err != nil {
		return err
	}
	b, err := io.ReadAll(r)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.env, q.text, q.n = *env, string(b), q.n+1
	return err
}

// last is the message that was taken since it was asked before.
func (q *taken) last(t *testing.T) (delivery.Envelope, string) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n != 1 {
		t.Fatalf("%d messages were taken", q.n)
	}
	q.n = 0
	return q.env, q.text
}

// eicar is the test virus, in base64 so that no scanner takes this file for one.
func eicar(t *testing.T) string {
	b, err := base64.StdEncoding.DecodeString("WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo=")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const milterIP = "127.6.0.5"

// startMilters starts opendkim to sign and to verify, and clamav-milter to refuse and to put aside, with
// a virus database of one signature. The keys of DKIM stand in a file: nobody asks DNS.
func startMilters(t *testing.T) map[string]*process {
	t.Helper()
	dir := filepath.Join(root, "behind-the-door")
	if err := os.MkdirAll(filepath.Join(dir, "viruses"), 0o755); err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	clam := "MilterSocket inet:PORT@" + milterIP + "\nClamdSocket tcp:" + milterIP + ":3310\nForeground yes\nUser root\nOnFail Defer\nAddHeader Replace\nMilterSocketMode 660\n"
	for name, text := range map[string]string{
		"key.pem":            string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		"keys":               "sel._domainkey.here.example v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public) + "\n",
		"sign.conf":          "Mode s\nSyslog no\nUserID root\nDomain here.example\nSelector sel\nKeyFile " + dir + "/key.pem\nRequireSafeKeys no\nInternalHosts 127.9.9.9\n",
		"verify.conf":        "Mode v\nSyslog no\nUserID root\nAuthservID opendkim.example\nAlwaysAddARHeader yes\nTestPublicKeys " + dir + "/keys\nInternalHosts 127.9.9.9\n",
		"viruses/test.ndb":   "Eicar-Test:0:*:" + hex.EncodeToString([]byte(eicar(t))) + "\n",
		"clamd.conf":         "TCPSocket 3310\nTCPAddr " + milterIP + "\nDatabaseDirectory " + dir + "/viruses\nForeground yes\nUser root\n",
		"clamav-refuse.conf": strings.Replace(clam, "PORT", "7357", 1) + "OnInfected Reject\nRejectMsg the message holds %v\n",
		"clamav-aside.conf":  strings.Replace(clam, "PORT", "7358", 1) + "OnInfected Quarantine\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]*process{}
	for _, p := range []struct{ name, port, program, args string }{
		{"opendkim, signing", "8891", "opendkim", "-f -x " + dir + "/sign.conf -p inet:8891@" + milterIP},
		{"opendkim, verifying", "8893", "opendkim", "-f -x " + dir + "/verify.conf -p inet:8893@" + milterIP},
		{"clamd", "3310", "clamd", "-F -c " + dir + "/clamd.conf"},
		{"clamav-milter, refusing", "7357", "clamav-milter", "-c " + dir + "/clamav-refuse.conf"},
		{"clamav-milter, putting aside", "7358", "clamav-milter", "-c " + dir + "/clamav-aside.conf"},
	} {
		if all[p.name], err = start(p.name, milterIP+":"+p.port, p.program, strings.Fields(p.args)...); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestMilters (JNK-3): Debian's opendkim signs what an account sends, and finds what it has signed good when
// it comes back; fields that claim to be its own are removed. Debian's clamav-milter refuses a virus in
// words of its own, or has it held, and lets other mail pass with its field.
func TestMilters(t *testing.T) {
	t.Parallel()
	need(t, "opendkim", "clamav-milter", "clamd")
	running := startMilters(t)
	defer func() {
		if t.Failed() {
			for name, p := range running {
				t.Logf("%s: %s", name, tail(p.log()))
			}
		}
	}()
	door, q := milterDoor(t)
	const letter = "From: joe@here.example\r\nTo: ann@far.example\r\nSubject: lunch\r\nDate: Mon, 30 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@here.example>\r\n"
	joe := smtp.Address{Local: "joe", Domain: "here.example"}
	out := &receive.Submission{Door: door(config.OfAccounts, "8891")}
	if err := out.Hand(t.Context(), receive.Handed{Caller: receive.Caller{Account: "joe", Name: "api", Remote: netip.MustParseAddrPort("192.0.2.7:4711")}, Mail: smtp.MailParams{From: joe},
		Rcpts: []smtp.RcptParams{{To: smtp.Address{Local: "ann", Domain: "far.example"}}}, Data: strings.NewReader(letter + "\r\nShall we meet at noon?\r\n")}); err != nil {
		t.Fatal(err)
	}
	_, signed := q.last(t)
	if !strings.Contains(signed, "\r\nDKIM-Signature: v=1;") || !strings.Contains(signed, "d=here.example; s=sel;") {
		t.Fatalf("opendkim has not signed\n%s", signed)
	}

	addr := serveMX(t, &receive.MX{Door: door(config.OfServers, "8893", "7357")})
	forged := "Authentication-Results: opendkim.example; dkim=pass header.d=forged-one.example\r\nAuthentication-Results: other.example; dkim=pass header.d=stays.example\r\n" +
		"Authentication-Results: opendkim.example; dkim=pass header.d=forged-two.example\r\n"
	_, own, _ := strings.Cut(signed, "\r\nDKIM-Signature:")
	if err := hand(addr, "joe@here.example", "joe@here.example", forged+"DKIM-Signature:"+own); err != nil {
		t.Fatal(err)
	}
	_, got := q.last(t)
	said := strings.Join(strings.Fields(got), " ")
	for _, want := range []string{"Authentication-Results: opendkim.example; dkim=pass", "header.d=here.example", "stays.example", "X-Virus-Scanned: clamav-milter"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "forged") {
		t.Errorf("a forged field is left:\n%s", got)
	}
	t.Logf("opendkim and clamav-milter:\n%s", got[:strings.Index(got, "\r\n\r\n")])

	virus := letter + "\r\n" + eicar(t) + "\r\n"
	err := hand(addr, "x@far.example", "joe@here.example", virus)
	if err == nil || !strings.Contains(err.Error(), "the message holds Eicar-Test") {
		t.Errorf("clamav-milter: %v", err)
	}
	t.Logf("clamav-milter, of a virus: %v", err)
	addr = serveMX(t, &receive.MX{Door: door(config.OfServers, "7358")})
	if err := hand(addr, "x@far.example", "joe@here.example", virus); err != nil {
		t.Fatal(err)
	}
	env, _ := q.last(t)
	if env.Quarantine.Word != "milter-quarantine" || env.Quarantine.Text != "m7358: quarantined by clamav-milter" {
		t.Errorf("%+v", env.Quarantine)
	}
	t.Logf("clamav-milter, putting aside: %s", env.Quarantine.Text)
}

// milterDoor makes doors with milters at some ports of milterIP, and what keeps what they take.
func milterDoor(t *testing.T) (door func(of config.MailOf, ports ...string) receive.Door, q *taken) {
	t.Helper()
	users := &accounts.Store{DB: storetest.Open(t)}
	for _, err := range []error{users.AddDomain(t.Context(), dns.MustParse("here.example")), users.AddAccount(t.Context(), "joe", "correct horse"), users.AddAddress(t.Context(), "joe@here.example", "joe")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	q = &taken{}
	return func(of config.MailOf, ports ...string) receive.Door {
		d := receive.Door{Hostname: "mx.here.example", Accounts: users, Queue: q}
		d.Milters = &milters.Room{Largest: 10 << 20, Macros: milter.Macros{"j": d.Hostname, "{daemon_name}": "MTA"}}
		var all []config.Milter
		for _, p := range ports {
			all = append(all, config.Milter{Name: "m" + p, Address: milterIP + ":" + p, For: []config.MailOf{of}, Timeout: 2 * time.Minute, Quarantine: config.QuarantineHold})
		}
		d.Milters.Milters = milters.New(all, of, milters.NewPlaces(all))
		return d
	}, q
}

// TestMilterDMARC (JNK-3): Debian's opendmarc stands behind opendkim and reads what that has written into the message:
// mail that the author's domain has signed passes with its field, forged mail is refused in its words where the
// policy is reject, and held where it is quarantine.
func TestMilterDMARC(t *testing.T) {
	t.Parallel()
	need(t, "opendkim", "opendmarc")
	w := open(t)
	dir := filepath.Join(root, "dmarc-behind-the-door")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"unbound.conf":  "server:\n local-zone: \"example.\" nodefault\n do-not-query-localhost: no\n module-config: \"iterator\"\nforward-zone:\n name: \".\"\n forward-addr: " + resolverIP + "\n",
		"opendkim.conf": "Mode v\nSyslog no\nUserID root\nAuthservID opendkim.example\nAlwaysAddARHeader yes\nResolverConfiguration " + dir + "/unbound.conf\nInternalHosts 127.9.9.9\n",
		"opendmarc.conf": "Socket inet:8895@" + milterIP + "\nSyslog no\nUserID root\nBackground no\nAuthservID opendmarc.example\nTrustedAuthservIDs opendkim.example\nPublicSuffixList " + dir +
			"/suffixes\nIgnoreHosts " + dir + "/nobody\nRejectFailures true\nHoldQuarantinedMessages true\n",
		"suffixes": "example\n", "nobody": "127.9.9.9\n", // by itself it takes 127.0.0.1 for a client of ours
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := start("opendkim, before opendmarc", milterIP+":8894", "opendkim", "-f", "-x", dir+"/opendkim.conf", "-p", "inet:8894@"+milterIP); err != nil {
		t.Fatal(err)
	}
	if _, err := start("opendmarc, refusing", milterIP+":8895", "opendmarc", "-f", "-c", dir+"/opendmarc.conf"); err != nil {
		t.Fatal(err)
	}
	door, q := milterDoor(t)
	addr := serveMX(t, &receive.MX{Door: door(config.OfServers, "8894", "8895")})
	letter := func(author string) []byte {
		return []byte("From: ann@" + author + "\r\nTo: joe@here.example\r\nSubject: lunch\r\nDate: Mon, 30 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@" + author + ">\r\n\r\nAt noon?\r\n")
	}
	good := letter("strict.example")
	field, err := dkim.Sign(good, []dkim.Key{{Domain: dns.MustParse("strict.example"), Selector: "k2048", Signer: w.corpus.keys[0].signer}}, dkim.SignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := hand(addr, "ann@strict.example", "joe@here.example", string(field)+string(good)); err != nil {
		t.Fatal(err)
	}
	if _, got := q.last(t); !strings.Contains(strings.Join(strings.Fields(got), " "), "Authentication-Results: opendmarc.example; dmarc=pass") {
		t.Errorf("opendmarc says nothing of a pass:\n%s", got)
	}
	err = hand(addr, "ann@strict.example", "joe@here.example", string(good))
	if err == nil || !strings.Contains(err.Error(), "rejected by DMARC policy for strict.example") {
		t.Errorf("opendmarc, of a forged message: %v", err)
	}
	t.Logf("opendmarc, of a forged message: %v", err)
	if err := hand(addr, "ann@relaxed.example", "joe@here.example", string(letter("relaxed.example"))); err != nil {
		t.Fatal(err)
	}
	env, _ := q.last(t)
	if env.Quarantine.Word != "milter-quarantine" || !strings.Contains(env.Quarantine.Text, "m8895") {
		t.Errorf("%+v", env.Quarantine)
	}
	t.Logf("opendmarc, putting aside: %s", env.Quarantine.Text)
}

// serveMX has a backend listen until the test ends.
func serveMX(t *testing.T, b smtpserver.Backend) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", milterIP+":0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- (&smtpserver.Server{Hostname: "mx.here.example", Backend: b}).Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-done })
	return l.Addr().String()
}
