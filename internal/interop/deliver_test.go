//go:build linux

package interop

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/spool"
)

// TestResolver: the DNSSEC self-test (DNS-6) is content with a real validating
// resolver over really signed zones.
func TestResolver(t *testing.T) {
	t.Parallel()
	w := open(t)
	res := w.wax.DNS.SelfTest(t.Context(), dns.SelfTestNames{Signed: dns.MustParse(waxDomain), Bogus: dns.MustParse("bogus.example"), Large: dns.MustParse(waxDomain)})
	if len(res.Servers) != 1 || !res.Servers[0].OK() {
		t.Errorf("self-test: %+v\n%s", res, tail(w.dns.log()))
	}
}

// TestDeliver sends a mail for every case and asks both sides what became of it.
func TestDeliver(t *testing.T) {
	t.Parallel()
	w := open(t)
	for _, c := range allCases() {
		t.Run(c.peer+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			p := w.peer(t, c.peer)
			if p.brokenTLS {
				c = c.broken()
			}
			token, to := newToken(), "alice@"+c.domain
			w.submit(t, mail{to: []string{to}, token: token})
			it := w.settled(t, to)
			c.check(t, w, it)
			c.checkPeer(t, p, token)
		})
	}
}

// check holds Waxwing's view against the case.
func (c deliveryCase) check(t *testing.T, w *world, it spool.Item) {
	t.Helper()
	want := spool.Delivered
	if c.tls == "" {
		want = spool.Waiting
	}
	if it.State == want && it.TLS == c.tls && (string(it.Word) == c.word || c.tls != "") {
		return
	}
	t.Errorf("state %v, TLS %q, word %q (%s %s); want %v, %q, %q", it.State, it.TLS, it.Word, it.Text, it.Reply, want, c.tls, c.word)
	shown, err := spool.Show(t.Context(), w.wax.Queue.Store, it.Envelope.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range shown.Attempts {
		b, _ := json.MarshalIndent(a.Detail, "", " ")
		t.Logf("%s", b)
	}
}

// checkPeer holds the peer's view against the case: the mail is there once, and
// came over TLS; or it is not there, and the peer was never told of it.
func (c deliveryCase) checkPeer(t *testing.T, p *peer, token string) {
	t.Helper()
	var mail []string
	if c.tls != "" {
		mail = p.await(t, token, 1)
	} else if got, err := p.mail(token); err != nil || len(got) > 0 {
		t.Errorf("the mail waits, and %s has it (%v):\n%s", c.peer, err, got)
	}
	switch {
	case c.tls == "" && strings.Contains(p.log(), "<alice@"+c.domain):
		t.Errorf("the mail waits, and %s was told its recipient:\n%s", c.peer, tail(p.log()))
	case c.tls != "" && len(mail) != 1:
		t.Errorf("the mail is delivered, and %s has it %d times:\n%s", c.peer, len(mail), tail(p.log()))
	case c.tls != "" && cameOverTLS(mail[0]) != (c.tls != "none"):
		t.Errorf("%s says otherwise than Waxwing (%s) of TLS:\n%s", c.peer, c.tls, mail[0])
	}
}

// cameOverTLS reads the peer's own Received field, the first one.
func cameOverTLS(mail string) bool {
	first, _, _ := strings.Cut(mail[strings.Index(mail, "Received:")+1:], "Received:")
	return strings.Contains(first, "TLSv1.") || strings.Contains(first, "TLS1.")
}

// TestOneRecipientRefused: each recipient of a message has its own result, and
// each peer is asked once.
func TestOneRecipientRefused(t *testing.T) {
	t.Parallel()
	w := open(t)
	for _, name := range []string{"postfix", "exim", "opensmtpd", "opensmtpd6"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := w.peer(t, name)
			token, domain, travels := newToken(), "ee."+name+".example", "dane"
			if p.brokenTLS {
				domain, travels = name+"-plain.example", "none"
			}
			good, bad, other := "alice+several@"+domain, "nobody@"+domain, "bob+several@"+domain
			w.submit(t, mail{to: []string{good, bad, other}, token: token})
			for _, to := range []string{good, other} {
				if it := w.settled(t, to); it.State != spool.Delivered || it.TLS != travels {
					t.Errorf("%s: state %v, TLS %q, %s %s", to, it.State, it.TLS, it.Text, it.Reply)
				}
			}
			it := w.settled(t, bad)
			if it.State != spool.Failed || !strings.HasPrefix(it.Reply, "5") { // OpenSMTPD says 524
				t.Errorf("%s: state %v, reply %q; want it refused for good", bad, it.State, it.Reply)
			}
			if mail := p.await(t, token, 2); len(mail) != 2 {
				t.Errorf("%s has the mail %d times, want it once for each of two:\n%s", name, len(mail), tail(p.log()))
			}
		})
	}
}

// await waits until the peer has n mails with the token, or long enough.
func (p *peer) await(t *testing.T, token string, n int) (mail []string) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); len(mail) < n && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var err error
		if mail, err = p.mail(token); err != nil {
			t.Fatal(err)
		}
	}
	return mail
}

// newToken marks one mail.
func newToken() string { return "token-" + rand.Text() }
