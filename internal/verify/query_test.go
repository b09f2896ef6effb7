package verify

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"waxwing/dkim"
	"waxwing/dmarc"
	"waxwing/dns"
	"waxwing/internal/disposition"
	"waxwing/internal/junk"
	"waxwing/internal/reason"
	"waxwing/spf"
)

// AUT-2: each fact that is kept can be searched for, and is not found by any other value.
func TestQuery(t *testing.T) {
	t.Parallel()
	full := Kept{Facts: &Facts{IP: netip.MustParseAddr("::ffff:192.0.2.7"), HELO: "mx.far.test.", Sender: "joe@bounces.far.test", IPRev: IPRev{Result: "pass"},
		SPF:  []SPF{{Identity: helo, Result: spf.None}, {Identity: MailFrom, Result: spf.SoftFail}},
		DKIM: []Signature{{Domain: dns.MustParse("good.test"), Result: dkim.Pass}, {Domain: dns.MustParse("bad.test"), Result: dkim.Fail}},
		ARC:  &ARC{Result: dkim.Fail}, DMARC: []DMARC{{From: dns.MustParse("news.far.test"), Result: dmarc.Fail, Secure: true}},
		Decision: disposition.Decision{Action: disposition.Junk, Word: reason.DMARCQuarantine, Override: disposition.TestMode}},
		Junk: &junk.Decision{Action: junk.Junk, Evidence: []junk.Evidence{{Word: reason.FirstContact}}}}
	bare := Kept{Facts: &Facts{IP: netip.MustParseAddr("2001:db8::1"), Author: "there is no From field", IPRev: IPRev{Result: "none"}}}
	tried := map[string]bool{}
	for query, want := range map[string]string{ // f: full is found, b: bare is
		"decided=junk": "f", "decided=deliver": "b", "reason=dmarc-quarantine": "f", "reason=policy_test_mode": "f", "reason=first-contact": "f", "reason=dmarc-fail": "",
		"client=192.0.2.7": "f", "client=192.0.2.0/24": "f", "client=192.0.3.0/24": "", "client=2001:db8::/32": "b", "helo=MX.far.test": "f", "helo=far.test": "",
		"sender=far.test": "f", "sender=bounces.far.test": "f", "sender=near.test": "", "author=far.test": "f", "author=bounces.far.test": "",
		"signed=good.test": "f", "signed=bad.test": "", "iprev=pass": "f", "iprev=none": "b", "spf=softfail": "f", "spf=none": "",
		"dkim=pass": "f", "dkim=fail": "f", "dkim=none": "b", "dkim=policy": "", "dmarc=fail": "f", "dmarc=permerror": "b", "dmarc=pass": "",
		"arc=fail": "f", "arc=none": "b", "dnssec=yes": "f", "dnssec=no": "b", "junk=junk": "f", "junk=inbox": "",
		"dmarc=fail spf=softfail": "f", "dmarc=fail spf=pass": "", "": "fb",
	} {
		var q Query
		for _, s := range strings.Fields(query) {
			c, err := ParseCondition(s)
			if err != nil {
				t.Fatal(err)
			}
			q, tried[c.name] = append(q, c), true
		}
		got := ""
		if q.Matches(full) {
			got += "f"
		}
		if q.Matches(bare) {
			got += "b"
		}
		if got != want {
			t.Errorf("%q finds %q, and should find %q", query, got, want)
		}
		if q.Matches(Kept{}) {
			t.Errorf("%q finds a message about which nothing is known", query)
		}
	}
	for name := range facts {
		if !tried[name] {
			t.Errorf("%s is tried by no case above", name)
		}
	}
	for query, want := range map[string]string{"dmarc": "no fact with its value", "dmarc=": "no fact with its value", "size=1": "there is no fact", "dmarc=reject": "is never", "client=far.test": "neither an address", "author=..": "author: "} {
		if _, err := ParseCondition(query); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", query, err)
		}
	}
}

// AUT-1: what weakens a signature is told of that one, also where it is valid.
func TestWhyNotes(t *testing.T) {
	t.Parallel()
	f := &Facts{DKIM: []Signature{{Domain: dns.MustParse("a.test"), Result: dkim.Pass, Bits: 2048},
		{Domain: dns.MustParse("b.test"), Result: dkim.Fail, Bits: 1024, BodyLength: true, Testing: true, Expires: time.Unix(1.8e9, 0)}}}
	why := f.Why()
	for _, want := range []string{"dkim: pass d=a.test (no dnssec)\n",
		"dkim: fail d=b.test [an RSA key of 1024 bits] [its author lets others add to the body: l=] [the key is in test mode: t=y] [valid until 2027-01-15T08:00:00Z: x=] (no dnssec)\n"} {
		if !strings.Contains(why, want) {
			t.Errorf("no %q in\n%s", want, why)
		}
	}
}
