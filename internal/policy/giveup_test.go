package policy

import (
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
	"waxwing/smtp"
	"waxwing/tlsrpt"
)

// TestGiveUp enumerates what can come of up to three hosts (POL-4).
func TestGiveUp(t *testing.T) {
	t.Parallel()
	if f := giveUp(nil); f != nil {
		t.Errorf("no hosts: %v", f)
	}
	all := []Happened{Unqualified, NoRequireTLS, MayWork}
	for _, a := range all {
		for _, b := range all {
			for _, c := range all {
				tried := []Tried{{Happened: a, Text: "one"}, {Happened: b, Text: "two"}, {Happened: c, Text: "three"}}
				f := giveUp(tried)
				waits := a == MayWork || b == MayWork || c == MayWork
				if (f == nil) != waits {
					t.Fatalf("%v %v %v: %+v", a, b, c, f)
				}
				if waits {
					continue
				}
				want := smtp.Enhanced{Class: 5, Subject: 7, Detail: 10}
				if a == NoRequireTLS || b == NoRequireTLS || c == NoRequireTLS {
					want.Detail = 30
				}
				if f.Enhanced != want || !f.Permanent || !strings.Contains(f.Text, "three") {
					t.Errorf("%v %v %v: %+v", a, b, c, f)
				}
				if f.Word.Meaning() == "" {
					t.Errorf("%q is no known word", f.Word)
				}
			}
		}
	}
	if f := giveUp(make([]Tried, 1000)); len(f.Text) > 1000 {
		t.Errorf("a text of %d bytes", len(f.Text))
	}
}

// What happened at each host is read from its visit; one that was not reached may work.
func TestGiveUpVisits(t *testing.T) {
	t.Parallel()
	skipped := delivery.Plan{Skip: &delivery.Failure{Word: "sts-mx-mismatch", Text: "skipped", Permanent: true}}
	passing := delivery.Plan{Skip: &delivery.Failure{Word: "dns-servfail", Text: "later"}}
	used := delivery.Plan{TLS: delivery.TLSRequired}
	offersNot := delivery.Visit{Plan: used, Sessions: []delivery.Session{{TLS: &delivery.TLSFacts{}}}}
	broken := delivery.Visit{Plan: used, Sessions: []delivery.Session{{TLSFailure: &delivery.TLSFailure{Word: "cert-expired", Text: "expired"}}}}
	strict := Input{Need: delivery.RequireTLS}
	for _, c := range []struct {
		name   string
		in     Input
		plans  []delivery.Plan
		visits []delivery.Visit
		status string // "": it waits
	}{
		{"a skipped host stands between two that were tried", strict, []delivery.Plan{used, skipped, used}, []delivery.Visit{broken, offersNot}, "5.7.30"},
		{"the first is skipped", strict, []delivery.Plan{skipped, used}, []delivery.Visit{broken}, "5.7.10"},
		{"the last was not reached", strict, []delivery.Plan{used, used}, []delivery.Visit{broken}, ""},
		{"one is skipped for now", strict, []delivery.Plan{used, passing}, []delivery.Visit{broken}, ""},
		{"none was reached", strict, []delivery.Plan{skipped, used}, nil, ""},
		{"all are skipped", strict, []delivery.Plan{skipped, skipped}, nil, "5.7.10"},
		{"there is none", strict, nil, nil, ""},
		{"a bounce", Input{Need: delivery.RequireTLS, NullSender: true}, []delivery.Plan{used}, []delivery.Visit{broken}, ""},
		{"an ordinary message", Input{}, []delivery.Plan{used}, []delivery.Visit{broken}, ""},
		{"TLSOptional", Input{Need: delivery.TLSOptional}, []delivery.Plan{used}, []delivery.Visit{broken}, ""},
	} {
		got := ""
		if f := GiveUp(c.in, c.plans, c.visits); f != nil {
			got = f.Enhanced.String()
		}
		if got != c.status {
			t.Errorf("%s: %q, want %q", c.name, got, c.status)
		}
	}
}

func TestTriedHost(t *testing.T) {
	t.Parallel()
	tls := &delivery.TLSFacts{Version: "TLS1.3"}
	failure := func(w reason.Word) *delivery.TLSFailure { return &delivery.TLSFailure{Word: w, Text: "text"} }
	enforced := delivery.Plan{PKIX: delivery.CheckRequire, Reports: []delivery.Policy{{Type: tlsrpt.PolicySTS, Needs: delivery.NeedPKIX}}}
	testing := enforced
	testing.PKIX, testing.DANE = delivery.CheckReport, delivery.CheckRequire
	daneOnly := delivery.Plan{DANE: delivery.CheckRequire, PKIX: delivery.CheckRequire, Reports: []delivery.Policy{{Type: tlsrpt.PolicyTLSA, Needs: delivery.NeedDANE}}}
	noPolicy := delivery.Plan{PKIX: delivery.CheckRequire, Reports: []delivery.Policy{{Type: tlsrpt.PolicySTS, Needs: delivery.NeedTLS}}}
	skip := func(permanent bool) delivery.Plan {
		return delivery.Plan{Skip: &delivery.Failure{Word: reason.STSMXMismatch, Permanent: permanent, Text: "text"}}
	}
	fresh, stale := delivery.Finding{Fresh: true}, delivery.Finding{}
	for _, c := range []struct {
		name     string
		finding  delivery.Finding
		plan     delivery.Plan
		sessions []delivery.Session
		want     Happened
		why      reason.Word
	}{
		{"skipped for good", fresh, skip(true), nil, Unqualified, reason.STSMXMismatch},
		{"skipped for now", fresh, skip(false), nil, MayWork, reason.STSMXMismatch},
		{"not reached", fresh, delivery.Plan{}, nil, MayWork, ""},
		{"unreachable", fresh, delivery.Plan{}, []delivery.Session{{Err: &delivery.Failure{Word: "connect-timeout"}}}, MayWork, "connect-timeout"},
		{"not offered", fresh, delivery.Plan{}, []delivery.Session{{TLSFailure: failure("starttls-not-offered")}}, Unqualified, "starttls-not-offered"},
		{"not offered, as an error", fresh, delivery.Plan{}, []delivery.Session{{Err: &delivery.Failure{Word: reason.StartTLSNotOffered}}}, Unqualified, reason.StartTLSNotOffered},
		{"4xx to STARTTLS", fresh, delivery.Plan{}, []delivery.Session{{TLSFailure: failure("starttls-reply-454")}}, MayWork, "starttls-reply-454"},
		{"5xx to STARTTLS", fresh, delivery.Plan{}, []delivery.Session{{TLSFailure: failure("starttls-reply-502")}}, Unqualified, "starttls-reply-502"},
		{"handshake timeout", fresh, delivery.Plan{}, []delivery.Session{{TLSFailure: failure(reason.TLSTimeout)}}, MayWork, reason.TLSTimeout},
		{"wrong certificate", fresh, delivery.Plan{}, []delivery.Session{{TLSFailure: failure("cert-expired")}}, Unqualified, "cert-expired"},
		{"wrong certificate, enforced, checked", fresh, enforced, []delivery.Session{{TLSFailure: failure("cert-expired")}}, Unqualified, "cert-expired"},
		{"wrong certificate, enforced, not checked", stale, enforced, []delivery.Session{{TLSFailure: failure("cert-expired")}}, MayWork, "cert-expired"},
		{"wrong DANE, testing, not checked", stale, testing, []delivery.Session{{TLSFailure: failure("dane-no-match")}}, Unqualified, "dane-no-match"},
		{"wrong DANE, nothing else published, not checked", stale, daneOnly, []delivery.Session{{TLSFailure: failure("dane-no-match")}}, Unqualified, "dane-no-match"},
		{"wrong certificate, policy not to be had", stale, noPolicy, []delivery.Session{{TLSFailure: failure("cert-expired")}}, Unqualified, "cert-expired"},
		{"no REQUIRETLS", fresh, delivery.Plan{}, []delivery.Session{{TLS: tls}}, NoRequireTLS, reason.RequireTLSNotOffered},
		{"no REQUIRETLS, as an error", fresh, delivery.Plan{}, []delivery.Session{{TLS: tls, Err: &delivery.Failure{Word: reason.RequireTLSNotOffered}}}, NoRequireTLS, reason.RequireTLSNotOffered},
		{"lost after the handshake", fresh, delivery.Plan{}, []delivery.Session{{TLS: tls, Err: &delivery.Failure{Word: "connection-lost"}}}, MayWork, "connection-lost"},
		{"4xx to MAIL", fresh, delivery.Plan{}, []delivery.Session{{TLS: tls, RequireTLS: true}}, MayWork, ""},
		{"the better of two addresses", fresh, delivery.Plan{}, []delivery.Session{{TLSFailure: failure("cert-expired")}, {TLS: tls}}, NoRequireTLS, reason.RequireTLSNotOffered},
		{"the better of two addresses, other order", fresh, delivery.Plan{}, []delivery.Session{{TLS: tls}, {TLSFailure: failure("cert-expired")}}, NoRequireTLS, reason.RequireTLSNotOffered},
		{"the first of two addresses that are alike", fresh, delivery.Plan{}, []delivery.Session{{TLSFailure: failure("cert-expired")}, {TLSFailure: failure("tls-version")}}, Unqualified, "cert-expired"},
	} {
		got := triedHost(Input{Finding: c.finding}, delivery.Visit{Plan: c.plan, Sessions: c.sessions})
		if got.Happened != c.want || got.Word != c.why {
			t.Errorf("%s: got %+v, want %v %s", c.name, got, c.want, c.why)
		}
	}
}

// TestStopRequireTLS: all hosts ruled out before one was dialled (POL-4).
func TestStopRequireTLS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		finding   delivery.Finding
		secure    bool
		host      delivery.Host
		permanent bool
	}{
		{"nothing published", finding("", true, ""), false, host(inside, delivery.DANENone, dns.Insecure), true},
		{"policy in mode testing", finding(mtasts.ModeTesting, true, ""), false, host(inside, delivery.DANENone, dns.Insecure), true},
		{"cached mode testing, not checked", finding(mtasts.ModeTesting, false, ""), false, host(inside, delivery.DANENone, dns.Insecure), false},
		{"fetch failed", finding("", true, reason.STSFetch), false, host(inside, delivery.DANENone, dns.Insecure), false},
		{"broken policy, remembered", backedOff(finding("", true, reason.STSPolicySyntax)), false, host(inside, delivery.DANENone, dns.Insecure), false},
		{"broken policy", finding("", true, reason.STSPolicySyntax), false, host(inside, delivery.DANENone, dns.Insecure), true},
		{"mismatch, checked", finding(mtasts.ModeEnforce, true, ""), true, host(outside, delivery.DANEUsable, dns.Secure), true},
		{"mismatch, not checked", finding(mtasts.ModeEnforce, false, ""), true, host(outside, delivery.DANEUsable, dns.Secure), false},
		{"TLSA lookup failed", finding("", true, ""), true, host(inside, delivery.DANEFailed, dns.Secure), false},
		{"no address for now", finding("", true, ""), true, broken(false), false},
	} {
		d := Decide(Input{Need: delivery.RequireTLS, Domain: domain, Finding: c.finding,
			Destination: delivery.Destination{HasMX: true, MXSecure: c.secure, Hosts: []delivery.Host{c.host}}})
		if d.Stop == nil || d.Stop.Permanent != c.permanent {
			t.Errorf("%s: %+v", c.name, d.Stop)
			continue
		}
		if want := (smtp.Enhanced{Class: 5, Subject: 7, Detail: 10}); c.permanent && d.Stop.Enhanced != want {
			t.Errorf("%s: code %s", c.name, d.Stop.Enhanced)
		}
	}
}

func backedOff(f delivery.Finding) delivery.Finding {
	f.BackOff = true
	return f
}

// SES-16: what is told is the cause that all hosts share; where they differ, none of
// theirs. The text names each host with what came of it.
func TestGiveUpNamesCauses(t *testing.T) {
	t.Parallel()
	mx1, mx2 := delivery.MXHost{Name: inside}, delivery.MXHost{Name: outside}
	const intro = "the sender asked for REQUIRETLS, and no host can be reached over verified TLS"
	for _, c := range []struct {
		tried []Tried
		word  reason.Word
		text  string
	}{
		{[]Tried{{Host: mx1, Word: "cert-expired", Text: "expired"}}, "cert-expired", ": mx1.example.org: expired"},
		{[]Tried{{Host: mx1, Word: "cert-expired"}, {Host: mx2, Word: "cert-expired"}}, "cert-expired", ": mx1.example.org: cert-expired; mx1.example.net: cert-expired"},
		{[]Tried{{Host: mx1, Word: "cert-expired", Text: "expired"}, {Host: mx2, Word: reason.TLSTimeout}}, reason.RequireTLSUnverified, ": mx1.example.org: expired; mx1.example.net: " + string(reason.TLSTimeout)},
		{[]Tried{{Text: "no name"}, {}}, reason.RequireTLSUnverified, ": no name; not tried"},
	} {
		if f := giveUp(c.tried); f.Word != c.word || f.Text != intro+c.text {
			t.Errorf("got %s %q\nwant %s %q", f.Word, f.Text, c.word, intro+c.text)
		}
	}
}

// stopOf is why nothing is dialled for an ordinary message to these hosts.
func stopOf(f delivery.Finding, hosts ...delivery.Host) *delivery.Failure {
	return Decide(Input{Domain: domain, Finding: f, Destination: delivery.Destination{HasMX: true, MXSecure: true, Hosts: hosts}}).Stop
}

// The code of a message that no host can take is that of the lookup that failed, where
// it has one and is what ruled the best host out.
func TestStopCode(t *testing.T) {
	t.Parallel()
	own := smtp.Enhanced{Class: 4, Subject: 4, Detail: 4}
	failed := func(name dns.Name, code smtp.Enhanced) delivery.Host {
		h := host(name, delivery.DANEFailed, dns.Secure)
		h.DANE.Fail = &delivery.Failure{Word: "dns-bogus", Enhanced: code, Text: "validation failed"}
		return h
	}
	second := failed(outside, own)
	second.Preference = 20
	mismatched := host(outside, delivery.DANEUnusable, dns.Secure)
	mismatched.DANE.Fail.Enhanced = own
	for _, c := range []struct {
		name  string
		f     delivery.Finding
		hosts []delivery.Host
		want  smtp.Enhanced
	}{
		{"of the lookup", delivery.Finding{}, []delivery.Host{failed(inside, own)}, own},
		{"a lookup without a code", delivery.Finding{}, []delivery.Host{failed(inside, smtp.Enhanced{})}, codePolicy},
		{"ruled out by something else", finding(mtasts.ModeEnforce, true, ""), []delivery.Host{mismatched}, codePolicy},
		{"of the best host", delivery.Finding{}, []delivery.Host{failed(inside, codeDNS), second}, codeDNS},
		{"of the best host, other order", delivery.Finding{}, []delivery.Host{second, failed(inside, codeDNS)}, codeDNS},
	} {
		if got := stopOf(c.f, c.hosts...); got == nil || got.Enhanced != c.want || got.Permanent {
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
	}
}

// Only a message under RequireTLS ends with its codes (POL-4): another returns because
// its host does not exist, and a null sender's with it.
func TestStopWithoutRequireTLS(t *testing.T) {
	t.Parallel()
	gone := broken(true)
	gone.Fail.Enhanced = smtp.Enhanced{Class: 5, Subject: 1, Detail: 2}
	for _, in := range []Input{{Need: delivery.FollowPolicy}, {Need: delivery.TLSOptional}, {Need: delivery.RequireTLS, NullSender: true}} {
		in.Domain, in.Destination = domain, delivery.Destination{HasMX: true, Hosts: []delivery.Host{gone}}
		if f := Decide(in).Stop; f == nil || f.Enhanced != gone.Fail.Enhanced || strings.Contains(f.Text, "REQUIRETLS") {
			t.Errorf("%s: %+v", describe(in), f)
		}
	}
}
