package receive

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/login"
	"waxwing/internal/received"
	"waxwing/internal/signing"
	"waxwing/internal/turns"
	"waxwing/internal/verify"
	"waxwing/message"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// people is a fake of internal/accounts: joe and ann at here.test, far, whose mailboxes another
// program keeps, and the aliases team, lonely and board; and the domain paused.test is disabled for now.
type people struct {
	broken error
}

func (p people) IsHosted(_ context.Context, d dns.Name) (bool, error) {
	return d.ASCII() == "here.test", p.broken
}

func (p people) Resolve(_ context.Context, local string, d dns.Name) (account.Target, error) {
	local, _, _ = strings.Cut(strings.ToLower(local), "+")
	switch {
	case p.broken != nil:
		return account.Target{}, p.broken
	case d.ASCII() == "paused.test":
		return account.Target{Account: local}, nil
	case d.ASCII() != "here.test":
		return account.Target{}, accounts.ErrNotHosted
	case local == "joe", local == "ann", local == "postmaster":
		return account.Target{Account: local}, nil
	case local == "far":
		return account.Target{Account: local, Transport: "dovecot"}, nil
	case local == "team", local == "lonely", local == "board", local == "all", local == "out":
		return account.Target{Alias: local + "@here.test"}, nil
	}
	return account.Target{}, accounts.ErrNoSuchAddress
}

func (p people) MaySendAs(_ context.Context, name, address string) (bool, error) {
	local, _, _ := strings.Cut(strings.TrimSuffix(address, "@here.test"), "+")
	return local == name && strings.HasSuffix(address, "@here.test"), p.broken
}

// Admit: nobody is behind lonely, and board may write to board.
func (p people) Admit(_ context.Context, alias string, _ account.Poster) (account.Admission, error) {
	return map[string]account.Admission{"lonely@here.test": account.AdmitClosed, "board@here.test": account.AdmitNobody}[alias], p.broken
}

// Expand: behind team are joe and ann, behind all somebody elsewhere too, behind out nobody else.
func (p people) Expand(_ context.Context, alias string, _ account.Poster) (account.Expansion, error) {
	here, far := []account.Target{{Account: "joe"}, {Account: "ann"}, {Account: "off", Refused: true}}, []string{"them@far.test"}
	return map[string]account.Expansion{"team@here.test": {Inside: here}, "all@here.test": {Inside: here, Outside: far}, "out@here.test": {Outside: far}}[alias], p.broken
}

// Trusted: ann trusts a list.
func (p people) Trusted(_ context.Context, account string) ([]dns.Name, error) {
	if account == "ann" {
		return []dns.Name{dns.MustParse("anns-list.test")}, p.broken
	}
	return nil, p.broken
}

func (p people) Access(context.Context, string) (account.Access, error) { return account.Access{}, nil }
func (p people) DisabledMail(context.Context, dns.Name) (account.DisabledMail, error) {
	return account.PutOff, p.broken
}

func (p people) IsDisabled(_ context.Context, d dns.Name) (bool, error) {
	return d.ASCII() == "paused.test", p.broken
}

func (p people) Login(_ context.Context, user string) (string, error) {
	return strings.TrimSuffix(user, "@here.test"), nil
}

func (p people) StandIns(context.Context, string) ([]string, error) { return nil, nil }

var joesPassword = sync.OnceValue(func() account.Credentials {
	c, err := account.NewCredentials("correct horse")
	if err != nil {
		panic(err)
	}
	return c
})

func (p people) Credentials(_ context.Context, name string) (account.Credentials, bool, error) {
	return joesPassword(), name == "joe", nil
}

// outbox is a fake queue.
type outbox struct {
	mu   sync.Mutex
	sent []sent
	fail error
}

type sent struct {
	env  delivery.Envelope
	body string
	file bool
}

func (o *outbox) Enqueue(_ context.Context, env *delivery.Envelope, c delivery.Content) error {
	if o.fail != nil {
		return o.fail
	}
	r, err := c.Open()
	if err != nil {
		return err
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if int64(len(b)) != c.Size() || env.Size != c.Size() {
		return fmt.Errorf("size %d, content %d, envelope %d", len(b), c.Size(), env.Size)
	}
	_, inMemory := c.(delivery.Bytes)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, sent{*env, string(b), !inMemory})
	return nil
}

func (o *outbox) last(t *testing.T) sent {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.sent) == 0 {
		t.Fatal("nothing was queued")
	}
	return o.sent[len(o.sent)-1]
}

func (o *outbox) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.sent)
}

// seal is a fake signer that shows what it was given.
type seal struct{ err error }

func (s seal) Sign(_ context.Context, from dns.Name, msg []byte, _ []string) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	return fmt.Appendf(nil, "DKIM-Signature: d=%s; l=%d\r\n", from, len(msg)), nil
}

// nullMX answers MX questions; silent.test fails, others have none.
type nullMX struct{ dns.Resolver }

func (nullMX) LookupMX(_ context.Context, n dns.Name) (dns.Answer[dns.MX], error) {
	switch n.ASCII() {
	case "nomail.test":
		return dns.Answer[dns.MX]{Records: []dns.MX{{Null: true}}}, nil
	case "silent.test":
		return dns.Answer[dns.MX]{}, &dns.Error{Name: n, Type: "MX", Timeout: true}
	}
	return dns.Answer[dns.MX]{}, nil
}

// sink takes reports whose text says so.
type sink struct {
	mu    sync.Mutex
	taken []Report
}

func (s *sink) Take(_ context.Context, r Report) (bool, string, error) {
	text := string(r.Message)
	switch {
	case strings.Contains(text, "busy"):
		return false, "", errors.New("database is away")
	case strings.Contains(text, "crowd"):
		return false, "", fmt.Errorf("no turn: %w", turns.ErrBusy)
	case !strings.Contains(text, "a report"):
		return false, "no DKIM signature", nil
	}
	r.Message = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = append(s.taken, r)
	return true, "", nil
}

var serverTLS = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.here.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
})

// noon is when everything here happens.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func common(q *outbox) Door {
	return Door{Hostname: "mx.here.test", Accounts: people{}, Queue: q, Postmaster: func(context.Context) (string, error) { return "postmaster@here.test", nil }, Now: func() time.Time { return noon }}
}

// client talks to a server over a socket.
type client struct {
	t  *testing.T
	nc net.Conn
	br *bufio.Reader
}

func serve(t *testing.T, b smtpserver.Backend, auth smtpserver.Authenticator) *client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &smtpserver.Server{Hostname: "mx.here.test", Backend: b, Auth: auth, TLS: serverTLS(), Offer: smtpserver.Offer{RequireTLS: true, FutureRelease: time.Hour}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-done })
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	c := &client{t, nc, bufio.NewReader(nc)}
	c.want("220")
	c.do("250", "EHLO client.test")
	return c
}

// want reads a whole reply.
func (c *client) want(prefix string) string {
	c.t.Helper()
	for {
		line, err := c.br.ReadString('\n')
		if err != nil {
			c.t.Fatalf("want %s: %v", prefix, err)
		}
		if len(line) < 4 || line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, prefix) {
			c.t.Fatalf("got %q, want %q", line, prefix)
		}
		return strings.TrimSpace(line)
	}
}

func (c *client) do(want, line string) string {
	c.t.Helper()
	io.WriteString(c.nc, line+"\r\n")
	return c.want(want)
}

func (c *client) starttls() {
	c.t.Helper()
	c.do("220", "STARTTLS")
	tc := tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true})
	if err := tc.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.nc, c.br = tc, bufio.NewReader(tc)
	c.do("250", "EHLO client.test")
}

func (c *client) login() {
	c.t.Helper()
	c.starttls()
	c.do("235", "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00joe\x00correct horse")))
}

// send runs a transaction and returns the final reply.
func (c *client) send(want, mail, rcpt, msg string) string {
	c.t.Helper()
	c.do("250", "MAIL FROM:"+mail)
	for _, r := range strings.Fields(rcpt) {
		c.do("250", "RCPT TO:"+r)
	}
	c.do("354", "DATA")
	return c.do(want, msg+"\r\n.")
}

// INB-4: hosted domains only, whatever the form of the address.
func TestMXRecipients(t *testing.T) {
	t.Parallel()
	c := serve(t, &MX{Door: common(&outbox{}), DNS: nullMX{}}, nil)
	for _, tt := range []struct{ cmd, want string }{
		{"MAIL FROM:<a@nomail.test>", "550 5.7.27"},
		{"MAIL FROM:<a@silent.test>", "250"},
		{"RCPT TO:<joe@here.test>", "250"},
		{"RCPT TO:<JOE+x@HERE.test>", "250"},
		{"RCPT TO:<nobody@here.test>", "550 5.1.1"},
		{"RCPT TO:<joe@elsewhere.test>", "550 5.7.1"},
		{"RCPT TO:<joe@sub.here.test>", "550 5.7.1"},
		{"RCPT TO:<joe@[127.0.0.1]>", "550 5.7.1"},
		{"RCPT TO:<@here.test:joe@elsewhere.test>", "550 5.7.1"},
		{`RCPT TO:<"joe@elsewhere.test"@here.test>`, "550 5.1.1"},
		{"RCPT TO:<joe%elsewhere.test@here.test>", "550 5.1.1"},
		{"RCPT TO:<postmaster>", "250"},
		{"RCPT TO:<Postmaster@here.test>", "250"},
		{"RSET", "250"},
		{"MAIL FROM:<>", "250"},
		{"RSET", "250"},
		{"MAIL FROM:<a@[127.0.0.1]>", "250"},
	} {
		c.do(tt.want, tt.cmd)
	}
}

func TestMXEnvelope(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	c := serve(t, &MX{Door: common(q)}, nil)
	reply := c.send("250 2.0.0 message accepted as ", "<a@x.test> BODY=8BITMIME RET=FULL ENVID=e+3D1", "<joe@here.test>", "Subject: hi\r\nAuthentication-Results: MX.here.test; spf=pass\r\nAuthentication-Results: other.test; none\r\n"+
		"Authentication-Results: (x \\) (y)) mx.here.test(z)\t1; spf=pass\r\nAuthentication-Results: \"mx.here.test\" (v);x\r\n\r\nbody")
	got := q.last(t)
	id := reply[strings.LastIndex(reply, " ")+1:]
	want := "Received: from client.test ([127.0.0.1])\r\n\tby mx.here.test with ESMTP\r\n\tid " + id + "\r\n\tfor <joe@here.test>;\r\n\tFri, 2 Jan 2026 12:00:00 +0000\r\n" +
		"Subject: hi\r\nAuthentication-Results: other.test; none\r\n\r\nbody\r\n"
	if got.body != want {
		t.Errorf("message:\n%q\nwant:\n%q", got.body, want)
	}
	e := got.env
	if e.Sender != "a@x.test" || e.EightBit || e.Ret != delivery.RetFull || e.EnvID != "e=1" || e.Account != "" || e.Need != delivery.FollowPolicy || !e.Accepted.Equal(noon) {
		t.Errorf("envelope %+v", e)
	}
	if len(e.Recipients) != 1 || !e.Recipients[0].Local || e.Recipients[0].Domain.String() != "here.test" {
		t.Errorf("recipients %+v", e.Recipients)
	}
}

// RFC 8689 §4.1, INB-7.
func TestTLSNeed(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	c := serve(t, &MX{Door: common(q)}, nil)
	c.do("555", "MAIL FROM:<a@x.test> REQUIRETLS")
	c.starttls()
	for _, tt := range []struct {
		mail, header string
		want         delivery.TLSNeed
	}{
		{"", "", delivery.FollowPolicy},
		{" REQUIRETLS", "", delivery.RequireTLS},
		{"", "TLS-Required: No\r\n", delivery.TLSOptional},
		{"", "tls-required:  no \r\n", delivery.TLSOptional},
		{" REQUIRETLS", "TLS-Required: No\r\n", delivery.RequireTLS},
		{"", "TLS-Required: Yes\r\n", delivery.FollowPolicy},
		{"", "TLS-Required: No\r\nTLS-Required: No\r\n", delivery.FollowPolicy},
	} {
		c.send("250", "<a@x.test>"+tt.mail, "<joe@here.test>", "A: b\r\n"+tt.header+"\r\nx")
		got := q.last(t)
		if got.env.Need != tt.want {
			t.Errorf("MAIL%s, %q: need %s, want %s", tt.mail, tt.header, got.env.Need, tt.want)
		}
		line := "with ESMTPS (TLS1.3)"
		if tt.want == delivery.RequireTLS {
			line = "with ESMTPS (TLS1.3 REQUIRETLS)"
		}
		if !strings.Contains(got.body, line) || !strings.Contains(got.body, "\r\n\ttls TLS_") || !strings.Contains(got.body, " group X25519MLKEM768;") {
			t.Errorf("Received lacks %q: %q", line, got.body)
		}
	}
}

// TestMXLoops (QUE-11): more than 100 Received fields are a loop.
func TestMXLoops(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	c := serve(t, &MX{Door: common(q)}, nil)
	c.send("250", "<>", "<joe@here.test>", strings.Repeat("Received: x\r\n", 100)+"\r\n")
	c.send("554 5.4.6", "<>", "<joe@here.test>", strings.Repeat("Received: x\r\n", 101)+"\r\n")
	c.send("554 5.4.6", "<>", "<joe@here.test>", "no header\r\n"+strings.Repeat("received: x\r\n", 101)+"\r\n")
	c.send("250", "<>", "<joe@here.test>", "no header at all")
	c.send("552 5.3.4", "<>", "<joe@here.test>", strings.Repeat("X: "+strings.Repeat("x", 900)+"\r\n", 300)+"\r\n")
	c.send("250", "<>", "<joe@here.test>", "")
	if q.count() != 3 {
		t.Errorf("%d messages queued, want 3", q.count())
	}
}

// A failing queue or account store is temporary, and never looks like acceptance.
func TestFailures(t *testing.T) {
	t.Parallel()
	q := &outbox{fail: errors.New("disk full at /secret")}
	c := serve(t, &MX{Door: common(q)}, nil)
	if r := c.send("451 4.3.0", "<>", "<joe@here.test>", "A: b\r\n\r\nx"); strings.Contains(r, "secret") {
		t.Errorf("the cause was told: %s", r)
	}
	b := &MX{Door: common(q)}
	b.Accounts = people{broken: errors.New("gone")}
	c = serve(t, b, nil)
	c.do("250", "MAIL FROM:<>")
	c.do("451 4.3.0", "RCPT TO:<joe@here.test>")
}

func TestLongMessage(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	b := &Submission{Door: common(q), Signer: seal{}}
	b.TempDir = t.TempDir()
	c := serve(t, b, &login.Checker{Accounts: people{}})
	c.login()
	line := strings.Repeat("x", 98) + "\r\n"
	body := strings.Repeat(line, 30000) + "end" // 3 MB
	c.send("250", "<joe@here.test>", "<ann@here.test>", "From: joe@here.test\r\nBcc: secret@x.test\r\nDate: today\r\nMessage-ID: <1@x>\r\n\r\n"+body)
	got := q.last(t)
	if !got.file || got.env.EightBit {
		t.Errorf("file %v, eight %v", got.file, got.env.EightBit)
	}
	rest := "From: joe@here.test\r\nDate: today\r\nMessage-ID: <1@x>\r\n\r\n" + body + "\r\n"
	want := fmt.Sprintf("DKIM-Signature: d=here.test; l=%d\r\n%s", len(rest), rest)
	if !strings.HasSuffix(got.body, want) {
		t.Errorf("message begins %q", got.body[:min(len(got.body), 500)])
	}
	left, err := os.ReadDir(b.TempDir)
	if err != nil || len(left) != 0 {
		t.Errorf("files left: %v %v", left, err)
	}
	// Its 1 MiB part being whole must not be mistaken for the end.
	c.send("250", "<joe@here.test>", "<ann@here.test>", "From: joe@here.test\r\n\r\n"+strings.Repeat("y", 1<<20))
	if n := len(q.last(t).body); n < 1<<20 {
		t.Errorf("%d octets", n)
	}
}

// TestSubmission (INB-5): only who has logged in, only as itself, completed and signed.
func TestSubmission(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	c := serve(t, &Submission{Door: common(q), Signer: seal{}}, &login.Checker{Accounts: people{}})
	c.do("530 5.7.0", "MAIL FROM:<joe@here.test>")
	c.do("538", "AUTH PLAIN AAAA")
	c.login()
	c.do("553 5.7.1", "MAIL FROM:<ann@here.test>")
	c.do("553 5.7.1", "MAIL FROM:<joe@elsewhere.test>")
	c.do("250", "MAIL FROM:<joe@here.test>")
	c.do("550 5.1.1", "RCPT TO:<nobody@here.test>")
	c.do("501 5.1.3", "RCPT TO:<a@1.2.3.4>")
	c.do("250", "RCPT TO:<x@elsewhere.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@elsewhere.test")
	c.do("250", "RCPT TO:<x@elsewhere.test>")
	c.do("250", "RCPT TO:<ann@here.test>")
	c.do("354", "DATA")
	c.do("250", "From: Joe <joe@here.test>\r\nBcc: ann@here.test\r\n\r\nhi\r\n.")
	got := q.last(t)
	e := got.env
	if e.Account != "joe" || len(e.Recipients) != 2 || e.Recipients[0].Local || !e.Recipients[1].Local ||
		e.Recipients[0].Notify != delivery.NotifySuccess|delivery.NotifyFailure || e.Recipients[0].ORcpt != "rfc822;x@elsewhere.test" {
		t.Errorf("envelope %+v", e)
	}
	for _, want := range []string{"with ESMTPSA (TLS1.3)", "\r\nDKIM-Signature: d=here.test;", "\r\nDate: Fri, 2 Jan 2026", "\r\nMessage-ID: <", "@here.test>\r\n", "\r\n\r\nhi\r\n"} {
		if !strings.Contains(got.body, want) {
			t.Errorf("message lacks %q: %q", want, got.body)
		}
	}
	for _, bad := range []string{"Bcc", "for <"} {
		if strings.Contains(got.body, bad) {
			t.Errorf("message holds %q: %q", bad, got.body)
		}
	}
	for _, tt := range []struct{ header, want string }{
		{"From: ann@here.test\r\n", "550 5.7.1"},
		{"From: joe@here.test, ann@here.test\r\n", "550 5.7.1"},
		{"From: joe@here.test\r\nFrom: ann@here.test\r\n", "550 5.6.0"},
		{"From: joe@here.test\r\nSender: ann@here.test\r\n", "550 5.7.1"},
		{"From: joe@here.test\r\nSender: joe@here.test\r\nSender: ann@here.test\r\n", "550 5.6.0"},
		{"Subject: none\r\n", "550 5.6.0"},
		{"From: joe@here.test\r\nno field\r\n", "550 5.6.0"},
		{"From: joe+list@here.test\r\n", "250"},
	} {
		c.send(tt.want, "<>", "<x@elsewhere.test>", tt.header+"\r\n")
	}
}

// RFC 4865: what was asked for goes with the message as it was asked; a time
// that is past holds nothing.
func TestHold(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	c := serve(t, &Submission{Door: common(q), Signer: seal{}}, &login.Checker{Accounts: people{}})
	c.login()
	for param, want := range map[string]string{"": "", " HOLDFOR=60": "for;60", " HOLDUNTIL=2001-01-01T00:00:00Z": "until;2001-01-01T00:00:00Z"} {
		c.send("250", "<joe@here.test>"+param, "<x@elsewhere.test>", "From: joe@here.test\r\n\r\n")
		env := q.last(t).env
		if held := env.NotBefore.Sub(env.Accepted); env.Hold != want || (held == time.Minute) != (want == "for;60") || (env.NotBefore.IsZero()) == (want == "for;60") {
			t.Errorf("%q: %q, until %s", param, env.Hold, env.NotBefore)
		}
	}
}

// A message is not accepted unsigned by accident, but a domain without keys may send.
func TestSigningFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{{signing.ErrNoKeys, "250"}, {errors.New("store is away"), "451 4.3.0"}} {
		c := serve(t, &Submission{Door: common(&outbox{}), Signer: seal{tt.err}}, &login.Checker{Accounts: people{}})
		c.login()
		c.send(tt.want, "<joe@here.test>", "<x@elsewhere.test>", "From: joe@here.test\r\n\r\n")
	}
}

// RPT-14: taken, or delivered with the reason.
func TestReports(t *testing.T) {
	t.Parallel()
	q, s := &outbox{}, &sink{}
	b := &MX{Door: common(q), Reports: s, IsReport: func(_ context.Context, local string, d dns.Name) bool {
		return local == "tlsrpt" || d.ASCII() == "mx.here.test"
	}}
	c := serve(t, b, nil)
	c.send("250 2.0.0 report taken", "<a@x.test>", "<tlsrpt@here.test> <tlsrpt@mx.here.test>", "A: b\r\n\r\na report")
	if len(s.taken) != 2 || q.count() != 0 || s.taken[0].Recipient != "tlsrpt@here.test" {
		t.Errorf("taken %+v, queued %d", s.taken, q.count())
	}
	c.send("250", "<a@x.test>", "<tlsrpt@here.test> <joe@here.test>", "A: b\r\n\r\na report")
	if e := q.last(t).env; len(e.Recipients) != 1 || e.Recipients[0].Address != "joe@here.test" {
		t.Errorf("recipients %+v", e.Recipients)
	}
	c.send("250", "<a@x.test>", "<tlsrpt@here.test>", "A: b\r\n\r\nspam")
	got := q.last(t)
	if !strings.Contains(got.body, "\r\nWaxwing-Report-Not-Taken: tlsrpt@here.test: no DKIM signature\r\nA: b") ||
		len(got.env.Recipients) != 1 || got.env.Recipients[0].Address != "postmaster@here.test" {
		t.Errorf("got %+v %q", got.env.Recipients, got.body)
	}
	c.send("451 4.3.0", "<a@x.test>", "<tlsrpt@here.test>", "A: b\r\n\r\nbusy")
	c.send("451 4.3.2", "<a@x.test>", "<tlsrpt@here.test>", "A: b\r\n\r\ncrowd")
	before := len(s.taken)
	c.send("250", "<a@x.test>", strings.TrimSpace(strings.Repeat("<tlsrpt@here.test> ", 20)), "A: b\r\n\r\na report")
	if n := len(s.taken) - before; n != 1 {
		t.Errorf("a report for one address, named 20 times, was looked at %d times", n)
	}
	c.send("250", "<a@x.test>", "<tlsrpt@here.test>", "A: b\r\n\r\na report"+strings.Repeat("\r\n"+strings.Repeat("x", 900), 20000))
	if got := q.last(t); !got.file || !strings.Contains(got.body, "tlsrpt@here.test: larger than 16777216 octets") {
		t.Errorf("got %q", got.body[:500])
	}
}

// RPT-21: the reader who is set gets what is no report, without a word what is one where both are
// kept; a reader who has no mail here changes nothing.
func TestReaderOfReports(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		reader       string
		keep         bool
		report, spam string // who gets it; "": nobody
	}{
		{"joe@here.test", false, "", "joe@here.test"}, {"joe@here.test", true, "joe@here.test", "joe@here.test"},
		{"nobody@here.test", false, "", "postmaster@here.test"}, {"", true, "postmaster@here.test", "postmaster@here.test"},
	} {
		q := &outbox{}
		b := &MX{Door: common(q), Reports: &sink{}, IsReport: func(_ context.Context, local string, _ dns.Name) bool { return local == "tlsrpt" },
			Reader: func(_ context.Context, _ string, at dns.Name) ReportReader {
				return ReportReader{Address: tt.reader, Mailbox: "Reports", Keep: tt.keep && at.ASCII() == "here.test"}
			}}
		c := serve(t, b, nil)
		for i, want := range []string{tt.report, tt.spam} {
			before := q.count()
			c.send("250", "<a@x.test>", "<tlsrpt@here.test>", "A: b\r\n\r\n"+[]string{"a report", "spam"}[i])
			switch {
			case want == "" && q.count() != before:
				t.Errorf("%+v: a report was delivered", tt)
			case want != "":
				if got := q.last(t); len(got.env.Recipients) != 1 || got.env.Recipients[0].Address != want || got.env.Recipients[0].Mailbox != "Reports" || strings.Contains(got.body, "Not-Taken") != (i == 1) {
					t.Errorf("%+v: %+v %q", tt, got.env.Recipients, got.body)
				}
			}
		}
	}
}

// Mail to a report address at a host name that is no hosted domain was accepted
// and then bounced to whoever it claimed to be from.
func TestReportAddressMakesNoBackscatter(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	b := &MX{Door: common(q), Reports: &sink{}, IsReport: func(_ context.Context, local string, d dns.Name) bool { return local == "tlsrpt" }}
	c := serve(t, b, nil)
	c.send("250", "<victim@x.test>", "<tlsrpt@mx.here.test>", "A: b\r\n\r\nspam")
	if e := q.last(t).env; len(e.Recipients) != 1 || e.Recipients[0].Address != "postmaster@here.test" || e.Recipients[0].Domain.String() != "here.test" {
		t.Errorf("recipients %+v", e.Recipients)
	}
	for _, nobody := range []string{"", "postmaster@gone.test"} {
		b := &MX{Door: common(q), Reports: &sink{}, IsReport: b.IsReport}
		b.Postmaster = func(context.Context) (string, error) { return nobody, nil }
		c := serve(t, b, nil)
		c.do("250", "EHLO x.test")
		c.do("250", "MAIL FROM:<victim@x.test>")
		c.do("550 5.1.1", "RCPT TO:<tlsrpt@mx.here.test>")
	}
}

// RFC 5321 §4.5.1; and DSNs come from postmaster at the host's name.
func TestPostmasterOfTheHost(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	c := serve(t, &MX{Door: common(q)}, nil)
	for _, to := range []string{"<postmaster>", "<POSTMASTER>", "<Postmaster@MX.here.test>"} {
		c.send("250", "<a@x.test>", to, "A: b\r\n\r\nhelp")
		if e := q.last(t).env; e.Recipients[0].Address != "postmaster@here.test" || !e.Recipients[0].Local {
			t.Errorf("%s: %+v", to, e.Recipients)
		}
	}
	c.do("250", "MAIL FROM:<a@x.test>")
	c.do("550 5.7.1", "RCPT TO:<joe@mx.here.test>")
	c.do("550 5.7.1", "RCPT TO:<postmaster@other.test>")
}

// pointers is a resolver of PTR, A and AAAA.
type pointers struct {
	dns.Resolver
	ptr      []dns.Name
	addrs    map[string]netip.Addr
	security dns.Security
}

func (p pointers) LookupPTR(context.Context, netip.Addr) (dns.Answer[dns.Name], error) {
	return dns.Answer[dns.Name]{Records: p.ptr, Security: dns.Secure}, nil
}

func (p pointers) LookupA(_ context.Context, n dns.Name) (dns.Answer[netip.Addr], error) {
	a := dns.Answer[netip.Addr]{Security: p.security}
	if addr, ok := p.addrs[n.ASCII()]; ok {
		a.Records = []netip.Addr{addr}
	}
	return a, nil
}

// INB-6: only a name that leads back counts, and it says whether by secure answers.
func TestReverse(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr("192.0.2.1")
	names := []dns.Name{dns.MustParse("liar.test"), dns.MustParse("mail.test")}
	for _, tt := range []struct {
		p    pointers
		want string
	}{
		{pointers{ptr: names, addrs: map[string]netip.Addr{"mail.test": addr}, security: dns.Secure}, "from c (mail.test [192.0.2.1]) (DNSSEC)\r\n"},
		{pointers{ptr: names, addrs: map[string]netip.Addr{"mail.test": addr}, security: dns.Insecure}, "from c (mail.test [192.0.2.1])\r\n"},
		{pointers{ptr: names, addrs: map[string]netip.Addr{"liar.test": netip.MustParseAddr("192.0.2.2")}, security: dns.Secure}, "from c ([192.0.2.1])\r\n"},
		{pointers{}, "from c ([192.0.2.1])\r\n"},
	} {
		tr := received.Trace{HELO: "c", Addr: addr, Hostname: "mx.test", Protocol: "SMTP", Now: noon}
		tr.Name, tr.Secure, _ = verify.LookUpName(t.Context(), nil, tt.p, addr).Result(t.Context())
		if got := string(tr.Field()); !strings.Contains(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// BenchmarkMX: messages of 10 KiB through server and backend, into a queue that
// throws them away.
func BenchmarkMX(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &smtpserver.Server{Hostname: "mx.here.test", Backend: &MX{Door: common(nil)}, Limits: smtpserver.Limits{Transactions: 1 << 30}}
	s.Backend.(*MX).Queue = nowhere{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	defer func() { cancel(); <-done }()
	head := []byte("MAIL FROM:<a@x.test>\r\nRCPT TO:<joe@here.test>\r\nDATA\r\n")
	body := []byte("From: a@x.test\r\nTo: joe@here.test\r\nSubject: hi\r\n\r\n" + strings.Repeat(strings.Repeat("x", 78)+"\r\n", 128) + ".\r\n")
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer nc.Close()
		br := bufio.NewReader(nc)
		expect := func(n int) {
			for range n {
				if line, err := br.ReadSlice('\n'); err != nil || line[0] > '3' {
					b.Errorf("%q %v", line, err)
				}
			}
		}
		io.WriteString(nc, "HELO c.test\r\n")
		expect(2)
		for pb.Next() {
			nc.Write(head)
			expect(3)
			nc.Write(body)
			expect(1)
		}
	})
}

type nowhere struct{}

func (nowhere) Enqueue(context.Context, *delivery.Envelope, delivery.Content) error { return nil }

// FuzzTake: whatever the message, what goes to the queue is what came with the
// promised changes, from memory and from a file alike.
func FuzzTake(f *testing.F) {
	f.Add([]byte("From: joe@here.test\r\nBcc: a@b\r\n c@d\r\n\r\nbody\r\n"))
	f.Add([]byte("From: joe@here.test\r\nDate: x\r\nMessage-ID: y\r\n"))
	f.Add([]byte("\r\nFrom: joe@here.test\r\n"))
	f.Add([]byte("From joe@here.test\n>From a\r\nFrom: joe@here.test\r\n"))
	f.Add([]byte("Authentication-Results: mx.here.test; x\r\nTo: \r\n\r\n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		c := common(&outbox{})
		for name, edit := range map[string]early{
			"none":       func(context.Context, *Facts) *smtp.Reply { return nil },
			"mx":         (&MX{Door: c}).removeForged,
			"submission": (&Submission{Door: c}).complete,
		} {
			in, r := c.take(strings.NewReader(string(msg)), func(in *incoming) *smtp.Reply {
				return edit(context.Background(), &Facts{Conn: nobody{}, in: in})
			})
			if r != nil {
				continue
			}
			got := open(t, in.content([]byte("P: q\r\n")))
			rest, ok := strings.CutPrefix(got, "P: q\r\n")
			whole, err := in.whole()
			if !ok || err != nil || string(whole) != rest {
				t.Fatalf("%s: content %q, whole %q, %v", name, got, whole, err)
			}
			if came := string(msg[message.MboxLines(msg):]); !in.edited && rest != came {
				t.Fatalf("%s: %q became %q", name, came, rest)
			}
			if name == "submission" && (in.header.Has("Bcc") || !in.header.Has("Date") || !in.header.Has("Message-ID")) {
				t.Fatalf("header %q", in.header.Bytes())
			}
			if in.odd == nil {
				spilled(t, in, rest)
			}
			in.close()
		}
	})
}

// spilled writes the message to a file and compares.
func spilled(t *testing.T, in *incoming, rest string) {
	t.Helper()
	if err := in.spill(t.TempDir(), strings.NewReader("more\xff")); err != nil {
		t.Fatal(err)
	}
	whole, err := in.whole()
	if got := open(t, in.content(nil)); err != nil || got != rest+"more\xff" || string(whole) != got || !in.eightBit() {
		t.Fatalf("file %q, %v, want %q", got, err, rest)
	}
}

func open(t *testing.T, c delivery.Content) string {
	t.Helper()
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != c.Size() {
		t.Fatalf("%d octets, size %d, %v", len(b), c.Size(), err)
	}
	return string(b)
}

// nobody is a connection on which joe has logged in.
type nobody struct{ smtpserver.Conn }

func (nobody) Identity() string { return "joe" }

// TestSevenBitsBeforeSigning (RFC 6376 §5.3): what this server signs is made
// seven bits first, so that a host without 8BITMIME can be given it; what it
// does not sign stays as it is.
func TestSevenBitsBeforeSigning(t *testing.T) {
	t.Parallel()
	const text = "From: joe@here.test\r\nSubject: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n"
	for name, signer := range map[string]Signer{"signed": seal{}, "unsigned": seal{err: signing.ErrNoKeys}} {
		q := &outbox{}
		c := serve(t, &Submission{Door: common(q), Signer: signer}, &login.Checker{Accounts: people{}})
		c.login()
		c.send("250", "<joe@here.test> BODY=8BITMIME", "<a@far.test>", text)
		got := q.last(t)
		eight := strings.ContainsFunc(got.body, func(r rune) bool { return r > 127 })
		if want := name == "unsigned"; eight != want || got.env.EightBit != want {
			t.Errorf("%s: 8-bit text %v, envelope says %v; want %v", name, eight, got.env.EightBit, want)
		}
		if name == "signed" && !strings.Contains(got.body, "Gr=C3=BC=C3=9Fe") {
			t.Errorf("the text is gone: %q", got.body)
		}
	}
}
