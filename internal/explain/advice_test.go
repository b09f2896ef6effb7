package explain

import (
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// finding is an Explanation of a.test whose one host mx.a.test is well.
func finding(change func(*Explanation)) Explanation {
	cert := Certificate{NotAfter: noon.AddDate(0, 2, 0), TLSA: "3 1 1 abcd"}
	e := Explanation{Domain: "a.test", Need: "follow-policy", At: noon, Signed: true, MTASTS: MTASTS{Looked: true},
		TLSRPT: []TLSRPT{{Domain: "a.test", RUA: []string{"mailto:x@a.test"}}},
		Hosts: []Host{{Name: "mx.a.test", TLSAName: "_25._tcp.mx.a.test", DANE: "usable", TLSA: []string{"3 1 1 abcd"}, TLS: "required", Verify: "dane",
			Contacts: []Contact{{Address: "192.0.2.1", StartTLS: true, TLS: &delivery.TLSFacts{}, Chain: []Certificate{cert},
				PKIX: &Verification{OK: true}, DANE: &Verification{OK: true}}}}}}
	if change != nil {
		change(&e)
	}
	return e
}

func enforced(e *Explanation) {
	e.MTASTS = MTASTS{Looked: true, Mode: "enforce", ID: "1", MX: []string{"mx.a.test"}, MaxAge: 1209600}
	e.Signed = false
	h := &e.Hosts[0]
	h.DANE, h.TLSA, h.Verify = "none", nil, "pkix"
	h.Contacts[0].DANE = nil
}

func plain(e *Explanation) {
	e.Signed = false
	h := &e.Hosts[0]
	h.DANE, h.TLSA, h.TLS, h.Verify, h.Plaintext = "none", nil, "opportunistic", "none", true
	h.Contacts[0].DANE = nil
}

// TestAdvise goes over what can be found, one thing at a time.
func TestAdvise(t *testing.T) {
	t.Parallel()
	contact := func(e *Explanation) *Contact { return &e.Hosts[0].Contacts[0] }
	stop := func(w reason.Word) func(*Explanation) {
		return func(e *Explanation) {
			*e = Explanation{Domain: "a.test", Stop: &Reason{Word: w, Text: "text"}}
		}
	}
	for _, tt := range []struct {
		name string
		on   func(*Explanation)
		then func(*Explanation)
		word string // of the only advice; "": none
		who  string
		kind string // fault or better
		part string // of its text
	}{
		{name: "all well"},
		{name: "all well with MTA-STS", on: enforced},
		// DANE.
		{"certificate not in TLSA", nil, func(e *Explanation) { contact(e).DANE = &Verification{Word: "dane-no-match"} },
			"dane-no-match", "mx.a.test", "fault", "publish _25._tcp.mx.a.test. IN TLSA 3 1 1 abcd now"},
		{"trust anchor expired", nil, func(e *Explanation) { contact(e).DANE = &Verification{Word: "dane-ta-expired", Text: "x"} },
			"dane-ta-expired", "mx.a.test", "fault", "renew it (x)"},
		{"TLSA unusable", nil, func(e *Explanation) { e.Hosts[0].DANE = "unusable" }, "tlsa-unusable", "mx.a.test", "fault", "IN TLSA 3 1 1 abcd instead"},
		{"TLSA bogus", nil, func(e *Explanation) { e.Hosts[0].DANE, e.Hosts[0].Skip = "failed", &Reason{Word: "dns-bogus"} },
			"dns-bogus", "mx.a.test", "fault", "repair the zone's signatures"},
		{"TLSA lookup fails", nil, func(e *Explanation) { e.Hosts[0].DANE, e.Hosts[0].Skip = "failed", &Reason{Word: "dns-servfail"} },
			"dns-servfail", "mx.a.test", "fault", `if only with "no such name"`},
		{"signed, no TLSA", nil, func(e *Explanation) { e.Hosts[0].DANE = "none" }, "no-tlsa", "mx.a.test", "better", "IN TLSA 3 1 1 abcd"},
		{"signed, no TLSA, not connected", nil, func(e *Explanation) { e.Hosts[0].DANE, e.Hosts[0].Contacts = "none", nil },
			"no-tlsa", "mx.a.test", "better", "waxwing dane record mx.a.test"},
		{"TLSA on one host of two", nil, func(e *Explanation) {
			e.Hosts = append(e.Hosts, Host{Name: "mx2.a.test", TLSAName: "_25._tcp.mx2.a.test", DANE: "none"})
		}, "tlsa-on-some-hosts", "mx2.a.test", "better", "publish _25._tcp.mx2.a.test."},
		// Nothing published.
		{"unprotected", plain, func(*Explanation) {}, "unprotected", "a.test", "better", "sign the zones"},
		{"mode none", plain, func(e *Explanation) { e.MTASTS.Mode = "none" }, "unprotected", "a.test", "better", "MTA-STS"},
		// Certificates.
		{"expires soon, asked for", enforced, func(e *Explanation) { contact(e).Chain[0].NotAfter = noon.Add(80 * time.Hour) },
			"certificate-expires-soon", "mx.a.test", "fault", "expires in 3 days, on 2026-02-03"},
		{"expires tomorrow", enforced, func(e *Explanation) { contact(e).Chain[0].NotAfter = noon.Add(25 * time.Hour) }, "certificate-expires-soon", "mx.a.test", "fault", "in 1 day,"},
		{"expires today", enforced, func(e *Explanation) { contact(e).Chain[0].NotAfter = noon.Add(time.Hour) }, "certificate-expires-soon", "mx.a.test", "fault", "less than a day"},
		{"expires soon, DANE only", nil, func(e *Explanation) { contact(e).Chain[0].NotAfter = noon.Add(80 * time.Hour) }, "certificate-expires-soon", "mx.a.test", "better", ""},
		{"self-signed under DANE is well", nil, func(e *Explanation) { contact(e).PKIX = &Verification{Word: "cert-self-signed"} }, "", "", "", ""},
		{"expired under MTA-STS", enforced, func(e *Explanation) { contact(e).PKIX = &Verification{Word: "cert-expired"} }, "cert-expired", "mx.a.test", "fault", "renew it"},
		{"wrong name under MTA-STS", enforced, func(e *Explanation) { contact(e).PKIX = &Verification{Word: "cert-host-mismatch"} }, "cert-host-mismatch", "mx.a.test", "fault", "the name in the MX record"},
		// Connections.
		{"refused", nil, func(e *Explanation) {
			*contact(e) = Contact{Address: "192.0.2.1", Failure: &Reason{Word: "connect-refused", Meaning: "m"}}
		},
			adviceUnreachable, "mx.a.test", "fault", "m at 192.0.2.1 (): see that its mail server runs"},
		// SES-16: what a host said is not that it cannot be reached.
		{"turned away", nil, func(e *Explanation) {
			*contact(e) = Contact{Address: "192.0.2.1", Failure: &Reason{Word: "greeting-reply", Meaning: "m", Text: "554 listed"}}
		}, "greeting-reply", "mx.a.test", "fault", "m at 192.0.2.1 (554 listed): it answers, and turns this server away"},
		{"timeout of one", nil, func(e *Explanation) {
			*contact(e) = Contact{Address: "192.0.2.1", Failure: &Reason{Word: "connect-timeout", Meaning: "m"}}
		}, adviceUnreachable, "mx.a.test", "fault", "see that it answers on port 25"},
		{"timeout of all", nil, func(e *Explanation) {
			*contact(e) = Contact{Address: "192.0.2.1", Failure: &Reason{Word: "connect-timeout", Meaning: "m"}}
			e.Hosts[0].Contacts = append(e.Hosts[0].Contacts, Contact{Address: "192.0.2.2", Failure: &Reason{Word: "connect-unreachable", Meaning: "m"}})
		}, adviceOurWay, "", "fault", "no IPv4 address of any host could be reached"},
		{"no IPv6 here", nil, func(e *Explanation) {
			for _, a := range []string{"2001:db8::1", "2001:db8::2"} {
				e.Hosts[0].Contacts = append(e.Hosts[0].Contacts, Contact{Address: a, Failure: &Reason{Word: "connect-unreachable", Meaning: "m"}})
			}
		}, adviceOurWay, "", "fault", "whether this machine has IPv6 at all"},
		{"something else listens", nil, func(e *Explanation) {
			*contact(e) = Contact{Address: "192.0.2.1", Failure: &Reason{Word: "protocol-error", Meaning: "m"}}
		}, "protocol-error", "mx.a.test", "fault", "does not speak SMTP"},
		{"POL-10: weak TLS", plain, func(e *Explanation) {
			e.MTASTS.Mode, e.MTASTS.MX, e.MTASTS.MaxAge = "enforce", []string{"mx.a.test"}, 1209600
			contact(e).TLS = &delivery.TLSFacts{Weak: &delivery.TLSFailure{Word: "tls-version", Text: "TLS 1.0"}}
		}, "tls-version", "mx.a.test", "better", "update the host's TLS (TLS 1.0)"},
		{"POL-10: small hello", nil, func(e *Explanation) { contact(e).SmallHello = true }, "small-hello", "mx.a.test", "better", "post-quantum"},
		// SES-16: several causes over several hosts are told apart.
		{"REQUIRETLS to an untrusted name", nil, func(e *Explanation) {
			e.Hosts[0].Skip, e.Hosts[0].Contacts = &Reason{Word: reason.RequireTLSUntrustedName}, nil
			e.Stop = &Reason{Word: reason.RequireTLSUntrustedName}
		}, "requiretls-untrusted-name", "", "fault", "sign the domain with DNSSEC"},
		{"no STARTTLS where required", nil, func(e *Explanation) { *contact(e) = Contact{TLSFailure: &Reason{Word: reason.StartTLSNotOffered}} },
			"starttls-not-offered", "mx.a.test", "fault", "switch TLS on"},
		{"handshake", nil, func(e *Explanation) { *contact(e) = Contact{TLSFailure: &Reason{Word: "tls-version", Text: "x"}} }, "tls-version", "mx.a.test", "fault", "update the host's TLS (x)"},
		{"alert", nil, func(e *Explanation) {
			*contact(e) = Contact{TLSFailure: &Reason{Word: "tls-alert-handshake-failure", Text: "x"}}
		}, "tls-alert-handshake-failure", "mx.a.test", "fault", "ciphers"},
		{"REQUIRETLS", nil, func(e *Explanation) { e.Need = "require-tls" }, "requiretls-not-offered", "mx.a.test", "fault", "switch it on"},
		// MTA-STS.
		{"policy lists no host", enforced, func(e *Explanation) { e.MTASTS.MX = []string{"*.b.test"} }, "sts-mx-mismatch", "a.test", "fault",
			`lists none of the domain's hosts: it has *.b.test, and the MX records name mx.a.test. Add "mx: mx.a.test"`},
		{"policy lists some", enforced, func(e *Explanation) { e.Hosts = append(e.Hosts, Host{Name: "mx2.a.test", DANE: "none"}) },
			"sts-mx-mismatch", "a.test", "fault", `does not list mx2.a.test: add "mx: mx2.a.test"`},
		{"wildcard is a match", enforced, func(e *Explanation) { e.MTASTS.MX = []string{"*.a.test"} }, "", "", "", ""},
		{"wildcard is one label", enforced, func(e *Explanation) { e.MTASTS.MX = []string{"*.test"} }, "sts-mx-mismatch", "a.test", "fault", ""},
		{"policy lists more", enforced, func(e *Explanation) { e.MTASTS.MX = []string{"mx.a.test", "old.a.test"} }, "sts-mx-unused", "a.test", "better", "old.a.test, which matches no host"},
		{"testing", enforced, func(e *Explanation) { e.MTASTS.Mode = "testing" }, "sts-testing", "a.test", "better", "mode: enforce"},
		{"short max_age", enforced, func(e *Explanation) { e.MTASTS.MaxAge = 86400 }, "sts-max-age-short", "a.test", "better", "24h0m0s only"},
		{"id not changed", enforced, func(e *Explanation) { e.MTASTS.Live = &Live{Mode: "enforce"} }, "sts-id-unchanged", "a.test", "fault", `the id "1"`},
		{"live is the same", enforced, func(e *Explanation) { e.MTASTS.Live = &Live{Mode: "enforce", Same: true} }, "", "", "", ""},
		{"live cannot be fetched", enforced, func(e *Explanation) { e.MTASTS.Live = &Live{Failure: "webpki", Detail: "x"} }, "webpki", "a.test", "fault", "mta-sts.a.test (x)"},
		// TLS reporting.
		{"no TLSRPT", nil, func(e *Explanation) { e.TLSRPT[0].Failure = rptNone }, "no-tlsrpt", "a.test", "better", `_smtp._tls.a.test. IN TXT "v=TLSRPTv1; rua=mailto:tls-reports@a.test"`},
		{"no TLSRPT of a host", nil, func(e *Explanation) {
			e.TLSRPT = append(e.TLSRPT, TLSRPT{Domain: "mx.a.test", Failure: rptNone})
		}, "", "", "", ""},
		{"TLSRPT syntax", nil, func(e *Explanation) { e.TLSRPT[0].Failure = rptSyntax }, "tlsrpt-record", "a.test", "fault", "once"},
		{"two TLSRPT records", nil, func(e *Explanation) { e.TLSRPT[0].Failure = rptMultiple }, "tlsrpt-record", "a.test", "fault", "once"},
		{"TLSRPT lookup", nil, func(e *Explanation) { e.TLSRPT[0].Failure = "dns-bogus" }, "dns-bogus", "a.test", "fault", "cannot be looked up"},
		// What ends it before any host.
		{"no such domain", nil, stop("no-such-domain"), "no-such-domain", "", "fault", "typing errors"},
		{"null MX", nil, stop("null-mx"), "null-mx", "", "fault", "no address to write to"},
		{"MX unusable", nil, stop("mx-unusable"), "mx-unusable", "a.test", "fault", "correct the MX records"},
		{"we are the host", nil, stop("mx-self"), "mx-self", "", "fault", "add the domain here"},
		{"bogus", nil, stop("dns-bogus"), "dns-bogus", "a.test", "fault", "signatures"},
		{"host without address", nil, func(e *Explanation) {
			e.Hosts[0] = Host{Name: "mx.a.test", DANE: "none", Fail: &Reason{Word: "no-address", Text: "mx.a.test has no address", Meaning: "the host has no address"}}
		}, "no-address", "a.test", "fault", "mx.a.test has no address: publish an A or AAAA record for it"},
		{"store", nil, func(e *Explanation) { e.SeenFail = "gone" }, "last-seen-unreadable", "", "better", "gone"},
	} {
		e := finding(tt.on)
		if tt.then != nil {
			tt.then(&e)
		}
		got := Advise(e)
		if tt.word == "" {
			if len(got) > 0 {
				t.Errorf("%s: %+v", tt.name, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Word != tt.word || got[0].For != tt.who || got[0].Fault != (tt.kind == "fault") || !strings.Contains(got[0].Text, tt.part) {
			t.Errorf("%s: %+v, want %s for %q with %q", tt.name, got, tt.kind, tt.who, tt.part)
		}
	}
}

// Every fault of an MTA-STS record or policy has its advice, with the domain's name.
func TestAdviseMTASTS(t *testing.T) {
	t.Parallel()
	for _, w := range []reason.Word{reason.STSMultipleRecords, reason.STSRecordSyntax, reason.STSLookupFailed, reason.STSNoPolicy, reason.STSFetch, reason.STSWebPKI, reason.STSPolicySyntax} {
		e := finding(plain)
		e.MTASTS.Failure, e.MTASTS.Detail = string(w), "detail"
		got := Advise(e)
		if len(got) != 1 || got[0].Word != string(w) || !got[0].Fault || strings.Contains(got[0].Text, "DOMAIN") || strings.HasPrefix(got[0].Text, " ") {
			t.Errorf("%s: %+v", w, got)
		}
	}
}

// Faults stand before what would be better, and nothing is said twice.
func TestAdviseOrder(t *testing.T) {
	t.Parallel()
	e := finding(nil)
	e.TLSRPT[0].Failure = rptNone
	c := e.Hosts[0].Contacts[0]
	c.DANE = &Verification{Word: "dane-no-match"}
	e.Hosts[0].Contacts = []Contact{c, c}
	got := Advise(e)
	if len(got) != 2 || !got[0].Fault || got[1].Fault {
		t.Errorf("%+v", got)
	}
	// A resolver that does not answer may be ours.
	got = Advise(Explanation{Domain: "a.test", Stop: &Reason{Word: reason.DNSError}})
	if len(got) != 2 || got[1].Word != "resolver" {
		t.Errorf("%+v", got)
	}
}
