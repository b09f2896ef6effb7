//go:build linux

package interop

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/spool"
	"waxwing/internal/transport"
)

// outcome is what becomes of a host under DANE, in words that both sides know.
type outcome string

const (
	unreachable outcome = "DNSSEC lets nobody near"
	noTLSA      outcome = "no TLSA records"
	unusable    outcome = "no usable TLSA records"
	matched     outcome = "certificate matches"
	mismatched  outcome = "certificate does not match"
	noTLS       outcome = "TLS is wanted and cannot be had"
)

// TestFinger: Postfix's posttls-finger and Waxwing come to the same result on
// every host, by the same TLSA record.
func TestFinger(t *testing.T) {
	t.Parallel()
	need(t, "posttls-finger")
	w := open(t)
	for _, c := range allCases() {
		if c.sts != "" || c.also != "" || c.peer == "postfix" && c.tls == "none" {
			continue // posttls-finger looks at one host, and not at MTA-STS
		}
		t.Run(c.peer+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			p := w.peer(t, c.peer)
			said, _ := output(root, "posttls-finger", "-c", "-t", "20", "-T", "20", "-l", "dane-only", c.domain)
			theirs := fingerOutcome(said)
			ours, plan := w.outcome(t, c)
			if p.brokenTLS && ours == noTLSA {
				// Nothing is published; and posttls-finger, told to look for nothing but
				// DANE, has no more to say than that, or that TLS fails.
				if theirs != noTLSA && theirs != noTLS {
					t.Errorf("Waxwing: %s; posttls-finger: %s:\n%s", ours, theirs, said)
				}
				return
			}
			if p.brokenTLS && ours == mismatched {
				theirs = mismatched // Waxwing looks at the certificate before the handshake fails
			}
			if c.name == "insecure-mx" {
				// Postfix looks at TLSA records also of hosts that an unsigned zone
				// names; RFC 7672 §2.2.1 leaves it free, and Waxwing does not.
				if ours != noTLSA || theirs != mismatched && theirs != noTLS {
					t.Errorf("the known difference is another now: Waxwing: %s; posttls-finger: %s:\n%s", ours, theirs, said)
				}
				return
			}
			if ours != theirs {
				t.Errorf("Waxwing: %s; posttls-finger: %s:\n%s", ours, theirs, said)
			}
			if ours == matched && !plan.has(said) {
				t.Errorf("posttls-finger matched another record than Waxwing has, %v:\n%s", plan.TLSA, said)
			}
		})
	}
}

func fingerOutcome(said string) outcome {
	for _, c := range []struct {
		text string
		v    outcome
	}{
		{"address lookup failed", unreachable},
		{"TLSA lookup error", unreachable},
		{"no usable TLSA records found", unusable},
		{"no TLSA records found", noTLSA},
		{"Verified TLS connection established", matched},
		{"Untrusted TLS connection established", mismatched},
	} {
		if strings.Contains(said, c.text) {
			return c.v
		}
	}
	return noTLS
}

// outcome is Waxwing's: its plan, and what became of a mail.
func (w *world) outcome(t *testing.T, c deliveryCase) (outcome, planned) {
	t.Helper()
	_, _, dec := w.wax.Direct.Plan(t.Context(), transport.PlanRequest{Domain: delivery.RecipientDomain{Name: dns.MustParse(c.domain)}})
	if dec.Stop != nil || len(dec.Plans) != 1 || dec.Plans[0].Skip != nil {
		return unreachable, planned{}
	}
	plan := planned{dec.Plans[0]}
	if plan.DANE != delivery.CheckRequire {
		for _, f := range plan.Basis {
			if f.Word == "tlsa-unusable" {
				return unusable, plan
			}
		}
		return noTLSA, plan
	}
	to := "alice+finger@" + c.domain
	w.submit(t, mail{to: []string{to}, token: newToken()})
	switch it := w.settled(t, to); {
	case it.State == spool.Delivered && it.TLS == "dane":
		return matched, plan
	case it.State == spool.Waiting && strings.HasPrefix(string(it.Word), "dane-"):
		return mismatched, plan
	case it.State == spool.Waiting && it.Word == "ehlo-reply": // TLS stood, and something else was amiss
		return matched, plan
	case it.State == spool.Waiting:
		return noTLS, plan
	}
	return "sent in spite of it", plan
}

type planned struct{ delivery.Plan }

var matchLine = regexp.MustCompile(`Matched DANE (?:EE|TA) certificate at depth \d: (\d) (\d) (\d) ([0-9A-F]+)`)

// has finds the record that posttls-finger matched among the plan's.
func (p planned) has(said string) bool {
	m := matchLine.FindStringSubmatch(said)
	if m == nil {
		return false
	}
	data, _ := hex.DecodeString(m[4])
	for _, r := range p.TLSA {
		if r.Usage == m[1][0]-'0' && r.Selector == m[2][0]-'0' && r.MatchingType == m[3][0]-'0' && bytes.Equal(r.Data, data) {
			return true
		}
	}
	return false
}

// TestDANETool: GnuTLS's danetool, which validates DNSSEC itself, agrees on
// which hosts match. It looks at no names and takes PKIX-EE, which SMTP does not.
func TestDANETool(t *testing.T) {
	t.Parallel()
	need(t, "danetool")
	w := open(t)
	p := w.peer(t, "exim")
	anchor, err := os.ReadFile(root + "/dns/anchor")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/usr/share/dns", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/usr/share/dns/root.key", anchor, 0o644); err != nil { // where danetool looks
		t.Fatal(err)
	}
	for _, label := range []string{"mx", "mxta", "mxbad"} {
		t.Run(label, func(t *testing.T) {
			host := dns.MustParse(label + ".exim.example")
			said, err := output(root, "danetool", "--check", host.ASCII(), "--port", "25", "--local-dns", "--load-certificate", p.path("tls.crt"))
			theirs := strings.Contains(said, "Verification: Certificate matches")
			if !theirs && !strings.Contains(said, "The certificate differs") {
				t.Fatalf("danetool gives no result: %v\n%s", err, said)
			}
			ans, err := w.wax.DNS.LookupTLSA(t.Context(), dns.MustParse("_25._tcp."+host.ASCII()))
			if err != nil {
				t.Fatal(err)
			}
			usable, _ := dane.Usable(ans.Records)
			_, err = dane.Verify(usable, []dns.Name{host}, []*x509.Certificate{p.cert.Leaf, w.issuer.cert}, time.Now())
			if theirs != (err == nil) {
				t.Errorf("package dane: %v; danetool:\n%s", err, said)
			}
		})
	}
}
