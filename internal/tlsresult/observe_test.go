package tlsresult

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/smtp"
	"waxwing/tlsrpt"
)

var (
	example = dns.MustParse("example.org")
	mx1     = dns.MustParse("mx1.example.org")
	mx2     = dns.MustParse("mx2.example.org")
)

func host(n dns.Name) delivery.Host { return delivery.Host{Name: delivery.MXHost{Name: n}} }

func tlsa(n dns.Name) delivery.Policy {
	return delivery.Policy{Type: tlsrpt.PolicyTLSA, Domain: n, Strings: []string{"3 1 1 aa"}, Needs: delivery.NeedDANE}
}

func sts() delivery.Policy {
	return delivery.Policy{Type: tlsrpt.PolicySTS, Domain: example, Strings: []string{"version: STSv1"}, MX: []string{"*.example.org"}, Needs: delivery.NeedPKIX}
}

func none() delivery.Policy {
	return delivery.Policy{Type: tlsrpt.PolicyNone, Domain: example, Needs: delivery.NeedTLS}
}

func with(p delivery.Policy, t tlsrpt.ResultType, r reason.Word) delivery.Policy {
	p.Failed = &delivery.TLSFailure{Type: t, Word: r, Text: "text"}
	return p
}

func fails(t tlsrpt.ResultType, r reason.Word) *delivery.TLSFailure {
	return &delivery.TLSFailure{Type: t, Word: r, Text: "words"}
}

func session(change func(*delivery.Session)) delivery.Session {
	s := delivery.Session{
		Addr: netip.MustParseAddr("192.0.2.1"), Local: netip.MustParseAddr("198.51.100.1"), Connected: true, Greeted: true,
		HELO: "mx1.example.org", TLS: &delivery.TLSFacts{Version: "TLS1.3"},
	}
	if change != nil {
		change(&s)
	}
	return s
}

// tally is an observation in short.
type tally struct {
	typ        tlsrpt.PolicyType
	ok, failed int
	reasons    string
}

func tallies(obs []delivery.Observation) []tally {
	var out []tally
	for _, o := range obs {
		t := tally{o.Type, o.OK, o.Failed, ""}
		for i, d := range o.Details {
			if i > 0 {
				t.reasons += " "
			}
			t.reasons += string(d.Type) + "/" + d.Reason
		}
		out = append(out, t)
	}
	return out
}

func TestSession(t *testing.T) {
	t.Parallel()
	pkix := fails(tlsrpt.CertificateExpired, "certificate-expired")
	dane := fails(tlsrpt.ValidationFailure, "dane-no-match")
	passed := &delivery.Verification{}
	for _, tt := range []struct {
		name     string
		policies []delivery.Policy
		s        delivery.Session
		want     []tally
	}{
		{"opportunistic TLS, certificate of no matter", []delivery.Policy{none()},
			session(func(s *delivery.Session) { s.PKIX = &delivery.Verification{Failure: pkix} }),
			[]tally{{tlsrpt.PolicyNone, 1, 0, ""}}},
		{"RPT-2: STARTTLS not offered under no policy", []delivery.Policy{none()},
			session(func(s *delivery.Session) { s.TLS = nil }),
			[]tally{{tlsrpt.PolicyNone, 0, 1, "starttls-not-supported/starttls-not-offered"}}},
		{"handshake failed", []delivery.Policy{none()},
			session(func(s *delivery.Session) {
				s.TLS, s.TLSFailure = nil, fails(tlsrpt.ValidationFailure, "handshake-failure")
			}),
			[]tally{{tlsrpt.PolicyNone, 0, 1, "validation-failure/handshake-failure"}}},
		{"RPT-2: plaintext retry", []delivery.Policy{none()}, session(func(s *delivery.Session) { s.TLS, s.Plaintext = nil, true }), nil},
		{"SES-6: a kept connection's first message to this domain", []delivery.Policy{sts()},
			session(func(s *delivery.Session) { s.Reused, s.PKIX = true, passed }), []tally{{tlsrpt.PolicySTS, 1, 0, ""}}},
		{"SES-6: and the next, failed or not", []delivery.Policy{sts()},
			session(func(s *delivery.Session) {
				s.Reused, s.Repeat, s.PKIX = true, true, &delivery.Verification{Failure: pkix}
			}), nil},
		{"RFC 8460 §4.3.4: no connection", []delivery.Policy{sts()}, delivery.Session{Err: &delivery.Failure{}}, nil},
		{"RFC 8460 §4.3.4: no greeting", []delivery.Policy{sts()}, delivery.Session{Connected: true, Err: &delivery.Failure{}}, nil},
		{"closed before the answer to EHLO", []delivery.Policy{sts()},
			session(func(s *delivery.Session) { s.TLS, s.HELO, s.Err = nil, "", &delivery.Failure{} }), nil},
		{"we stopped before STARTTLS", []delivery.Policy{sts()},
			session(func(s *delivery.Session) { s.TLS, s.Err = nil, &delivery.Failure{Word: "canceled"} }), nil},
		{"not offered, later refused in plaintext", []delivery.Policy{none()},
			session(func(s *delivery.Session) {
				s.TLS, s.TLSFailure, s.Err = nil, fails(tlsrpt.StartTLSNotSupported, "starttls-not-offered"), &delivery.Failure{}
			}),
			[]tally{{tlsrpt.PolicyNone, 0, 1, "starttls-not-supported/starttls-not-offered"}}},
		{"tlsa succeeds, sts fails", []delivery.Policy{tlsa(mx1), sts()},
			session(func(s *delivery.Session) {
				s.DANE, s.PKIX, s.TLSFailure = passed, &delivery.Verification{Failure: pkix}, pkix
			}),
			[]tally{{tlsrpt.PolicyTLSA, 1, 0, ""}, {tlsrpt.PolicySTS, 0, 1, "certificate-expired/certificate-expired"}}},
		{"sts succeeds, tlsa fails, the failure ended the handshake", []delivery.Policy{tlsa(mx1), sts()},
			session(func(s *delivery.Session) {
				s.TLS, s.PKIX, s.DANE, s.TLSFailure = nil, passed, &delivery.Verification{Failure: dane}, dane
			}),
			[]tally{{tlsrpt.PolicyTLSA, 0, 1, "validation-failure/dane-no-match"}, {tlsrpt.PolicySTS, 1, 0, ""}}},
		{"an alert after both checks passed fails both", []delivery.Policy{tlsa(mx1), sts()},
			session(func(s *delivery.Session) {
				s.DANE, s.PKIX, s.TLSFailure = passed, passed, fails(tlsrpt.ValidationFailure, "alert-bad-certificate")
			}),
			[]tally{{tlsrpt.PolicyTLSA, 0, 1, "validation-failure/alert-bad-certificate"}, {tlsrpt.PolicySTS, 0, 1, "validation-failure/alert-bad-certificate"}}},
		{"mode testing: certificate fails, mail went", []delivery.Policy{sts()},
			session(func(s *delivery.Session) { s.PKIX = &delivery.Verification{Failure: pkix} }),
			[]tally{{tlsrpt.PolicySTS, 0, 1, "certificate-expired/certificate-expired"}}},
		{"mode testing: host not in the policy, certificate good", []delivery.Policy{with(sts(), tlsrpt.ValidationFailure, "sts-mx-mismatch")},
			session(func(s *delivery.Session) { s.PKIX = passed }),
			[]tally{{tlsrpt.PolicySTS, 0, 1, "validation-failure/sts-mx-mismatch"}}},
		{"mode testing: host not in the policy, certificate bad: one session, two details", []delivery.Policy{with(sts(), tlsrpt.ValidationFailure, "sts-mx-mismatch")},
			session(func(s *delivery.Session) { s.PKIX = &delivery.Verification{Failure: pkix} }),
			[]tally{{tlsrpt.PolicySTS, 0, 1, "validation-failure/sts-mx-mismatch certificate-expired/certificate-expired"}}},
		{"POL-7: policy not fetched fails the session whatever TLS did", []delivery.Policy{with(sts(), tlsrpt.STSPolicyFetchError, "fetch")},
			session(nil), []tally{{tlsrpt.PolicySTS, 0, 1, "sts-policy-fetch-error/fetch"}}},
		{"all TLSA unusable: TLS is enough", []delivery.Policy{with(tlsa(mx1), tlsrpt.TLSAInvalid, "tlsa-unusable")},
			session(func(s *delivery.Session) { s.PKIX = &delivery.Verification{Failure: pkix} }),
			[]tally{{tlsrpt.PolicyTLSA, 0, 1, "tlsa-invalid/tlsa-unusable"}}},
		{"POL-10: weak TLS is TLS where nothing is asked for", []delivery.Policy{none()}, session(weak), []tally{{tlsrpt.PolicyNone, 1, 0, ""}}},
		{"POL-10: mode testing shows what enforce would refuse", []delivery.Policy{tlsa(mx1), sts()},
			session(func(s *delivery.Session) { weak(s); s.DANE, s.PKIX = passed, &delivery.Verification{Failure: pkix} }),
			[]tally{{tlsrpt.PolicyTLSA, 0, 1, "validation-failure/tls-version"}, {tlsrpt.PolicySTS, 0, 1, "validation-failure/tls-version certificate-expired/certificate-expired"}}},
		{"POL-10: a small hello followed, which counts", []delivery.Policy{none()},
			session(func(s *delivery.Session) {
				s.TLS, s.TLSFailure, s.Again = nil, fails(tlsrpt.ValidationFailure, "tls-closed"), true
			}), nil},
		{"nobody verified: no success", []delivery.Policy{sts()}, session(nil), []tally{{tlsrpt.PolicySTS, 0, 1, "validation-failure/not-verified"}}},
		{"our own fault is not theirs", []delivery.Policy{sts()},
			session(func(s *delivery.Session) {
				s.PKIX = &delivery.Verification{Failure: fails(tlsrpt.CertificateNotTrusted, "roots-unavailable")}
			}), nil},
		{"the same failure twice is one detail", []delivery.Policy{with(sts(), tlsrpt.CertificateExpired, "certificate-expired")},
			session(func(s *delivery.Session) { s.PKIX = &delivery.Verification{Failure: pkix} }),
			[]tally{{tlsrpt.PolicySTS, 0, 1, "certificate-expired/certificate-expired"}}},
	} {
		res := &delivery.Result{Transport: "direct", Visits: []delivery.Visit{
			{Plan: delivery.Plan{Host: host(mx1), Reports: tt.policies}, Sessions: []delivery.Session{tt.s}}}}
		got := tallies(Observe(job(), res))
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %v\nwant %v", tt.name, got, tt.want)
		}
	}
}

func weak(s *delivery.Session) {
	s.TLS = &delivery.TLSFacts{Version: "TLS1.0", Weak: fails(tlsrpt.ValidationFailure, "tls-version")}
}

func job() *delivery.Job {
	return &delivery.Job{Domain: delivery.RecipientDomain{Name: example}}
}

func TestDetailFields(t *testing.T) {
	t.Parallel()
	res := &delivery.Result{Transport: "direct", Visits: []delivery.Visit{{
		Plan:     delivery.Plan{Host: host(mx1), Reports: []delivery.Policy{none()}},
		Sessions: []delivery.Session{session(func(s *delivery.Session) { s.TLS, s.HELO = nil, "helo.example says hi" })}}}}
	got := Observe(job(), res)[0].Details[0]
	want := delivery.Detail{Type: tlsrpt.StartTLSNotSupported, SendingIP: "198.51.100.1", MXHostname: "mx1.example.org", HELO: "helo.example",
		ReceiverIP: "192.0.2.1", Reason: "starttls-not-offered", Info: "STARTTLS was not offered", Count: 1}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// RPT-1, POL-7, decided: a host that policy ruled out is one session that should
// have been (RPT-2), wherever the walk over the hosts came to it. Behind a host
// that took the mail no session was due: counting it would report a failure for
// every mail to a domain whose last backup host is not in its policy.
func TestSkippedHosts(t *testing.T) {
	t.Parallel()
	mismatch := with(sts(), tlsrpt.ValidationFailure, "sts-mx-mismatch")
	skip := delivery.Plan{Host: host(mx1), Skip: &delivery.Failure{Word: "sts-mx-mismatch"}, Reports: []delivery.Policy{mismatch, tlsa(mx1)}}
	good := delivery.Plan{Host: host(mx2), Reports: []delivery.Policy{sts()}}
	tried := delivery.Visit{Plan: good, Sessions: []delivery.Session{session(func(s *delivery.Session) { s.PKIX = &delivery.Verification{} })}}
	delivered := []delivery.RecipientResult{{Outcome: delivery.Delivered}}
	deferred := []delivery.RecipientResult{{Outcome: delivery.Deferred}}
	skipped := tally{tlsrpt.PolicySTS, 0, 1, "validation-failure/sts-mx-mismatch"}
	ok := tally{tlsrpt.PolicySTS, 1, 0, ""}
	for _, tt := range []struct {
		name  string
		plans []delivery.Plan
		tried []delivery.Visit
		rcpts []delivery.RecipientResult
		want  []tally
	}{
		{"every host skipped: one session that should have been, only under the policy that ruled it out",
			[]delivery.Plan{skip}, nil, deferred, []tally{skipped}},
		{"skipped, then the next took the mail", []delivery.Plan{skip, good}, []delivery.Visit{tried}, delivered, []tally{skipped, ok}},
		{"the first took the mail: the skipped one behind was never due", []delivery.Plan{good, skip}, []delivery.Visit{tried}, delivered, []tally{ok}},
		{"the first refused for good: same", []delivery.Plan{good, skip}, []delivery.Visit{tried},
			[]delivery.RecipientResult{{Outcome: delivery.Failed, Host: delivery.MXHost{Name: mx2}, Reply: smtp.NewReply(550, smtp.Enhanced{}, "no")}}, []tally{ok}},
		{"the first failed for now: the skipped one was due", []delivery.Plan{good, skip}, []delivery.Visit{tried}, deferred, []tally{skipped, ok}},
		{"broken off before the second host", []delivery.Plan{good, {Host: host(mx1)}, skip}, []delivery.Visit{tried}, deferred, []tally{ok}},
	} {
		res := &delivery.Result{Transport: "direct", Decision: delivery.Decision{Plans: tt.plans}, Visits: tt.tried, Recipients: tt.rcpts}
		if got := tallies(Observe(job(), res)); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n got %v\nwant %v", tt.name, got, tt.want)
		}
	}
}

// TestUnknownPolicy: an attempt that waits for the MTA-STS record counts once, under
// sts, without a host (RPT-22), and says which extended error DNS gave (RPT-23).
func TestUnknownPolicy(t *testing.T) {
	t.Parallel()
	unknown := delivery.Policy{Type: tlsrpt.PolicySTS, Domain: example,
		Failed: &delivery.TLSFailure{Type: tlsrpt.STSPolicyFetchError, Word: "dns-bogus", Text: "words", EDE: 6}}
	res := &delivery.Result{Transport: "direct", Decision: delivery.Decision{Stop: &delivery.Failure{Word: "sts-lookup-failed"}, Reports: []delivery.Policy{unknown}}}
	got := Observe(job(), res)
	if len(got) != 1 || got[0].Failed != 1 || got[0].OK != 0 || got[0].Type != tlsrpt.PolicySTS || got[0].PolicyDomain != example ||
		len(got[0].Strings) != 0 || !got[0].MXHost.IsZero() || len(got[0].Details) != 1 {
		t.Fatalf("%+v", got)
	}
	d := got[0].Details[0]
	if d.Type != tlsrpt.STSPolicyFetchError || d.Reason != "dns-bogus" || d.EDE != 6 || d.Info != "words" {
		t.Errorf("%+v", d)
	}
	p := Row{Type: tlsrpt.PolicySTS, PolicyDomain: "example.org", Failed: 1, Details: got[0].Details}.Policy()
	if len(p.Details) != 1 || p.Details[0].Reason != "dns-bogus ede-6: words" {
		t.Errorf("failure-reason-code %q", p.Details[0].Reason)
	}
	d.EDE = 0
	if p := (Row{Details: []delivery.Detail{d}}).Policy(); p.Details[0].Reason != "dns-bogus: words" {
		t.Errorf("without an extended error: %q", p.Details[0].Reason)
	}
}

func TestNotRecorded(t *testing.T) {
	t.Parallel()
	res := func() *delivery.Result {
		return &delivery.Result{Transport: "direct", Visits: []delivery.Visit{{
			Plan: delivery.Plan{Host: host(mx1), Reports: []delivery.Policy{none()}}, Sessions: []delivery.Session{session(nil)}}}}
	}
	for name, spoil := range map[string]func(j *delivery.Job, r *delivery.Result){
		"RPT-3: our own TLS reports": func(j *delivery.Job, _ *delivery.Result) { j.Purpose = delivery.TLSReport },
		"RPT-4: address literals": func(j *delivery.Job, _ *delivery.Result) {
			j.Domain = delivery.RecipientDomain{Literal: netip.MustParseAddr("192.0.2.1")}
		},
		"RPT-4: smarthost": func(_ *delivery.Job, r *delivery.Result) { r.Transport = "smarthost" },
		"local":            func(j *delivery.Job, r *delivery.Result) { j.Local = true },
	} {
		j, r := job(), res()
		spoil(j, r)
		if got := Observe(j, r); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	j := job()
	j.Purpose = delivery.DMARCReport
	if got := Observe(j, res()); len(got) != 1 || !got[0].ReportOnly {
		t.Errorf("RPT-3: DMARC report: %+v", got)
	}
}

// RPT-2: successes and failures are the sessions, a failed one has a detail, a
// successful one has none, no detail occurs twice.
func TestObserveProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		res := &delivery.Result{Transport: "direct"}
		want := 0
		for range rapid.IntRange(0, 4).Draw(t, "hosts") {
			p := delivery.Plan{Host: host(mx1), Reports: policies(t)}
			a := delivery.Visit{Plan: p}
			for range rapid.IntRange(0, 3).Draw(t, "sessions") {
				s := anySession(t)
				if isSession(&s) {
					want += len(p.Reports)
				}
				a.Sessions = append(a.Sessions, s)
			}
			res.Visits = append(res.Visits, a)
			res.Decision.Plans = append(res.Decision.Plans, p)
		}
		obs := Observe(job(), res)
		if len(obs) != want {
			t.Fatalf("%d observations, want %d", len(obs), want)
		}
		for _, o := range obs {
			seen := map[delivery.Detail]bool{}
			for _, d := range o.Details {
				if seen[d] || d.Count != 1 || d.Type == "" || d.Reason == "" {
					t.Fatalf("detail %+v", d)
				}
				seen[d] = true
			}
			if o.OK+o.Failed != 1 || (o.Failed == 1) != (len(o.Details) > 0) {
				t.Fatalf("%d ok, %d failed, %d details", o.OK, o.Failed, len(o.Details))
			}
		}
	})
}

func policies(t *rapid.T) []delivery.Policy {
	var out []delivery.Policy
	for range rapid.IntRange(1, 2).Draw(t, "policies") {
		p := rapid.SampledFrom([]delivery.Policy{tlsa(mx1), sts(), none()}).Draw(t, "policy")
		if rapid.Bool().Draw(t, "failed before") {
			p = with(p, tlsrpt.TLSAInvalid, "tlsa-unusable")
		}
		out = append(out, p)
	}
	return out
}

func anySession(t *rapid.T) delivery.Session {
	checks := []*delivery.Verification{nil, {}, {Failure: fails(tlsrpt.CertificateExpired, "certificate-expired")}}
	s := delivery.Session{
		Connected: rapid.Bool().Draw(t, "connected"), Greeted: rapid.Bool().Draw(t, "greeted"), Plaintext: rapid.Bool().Draw(t, "plaintext"),
		HELO: rapid.SampledFrom([]string{"", "h"}).Draw(t, "helo"),
		PKIX: rapid.SampledFrom(checks).Draw(t, "pkix"), DANE: rapid.SampledFrom(checks).Draw(t, "dane"),
	}
	s.TLS = rapid.SampledFrom([]*delivery.TLSFacts{nil, {}, {Weak: fails(tlsrpt.ValidationFailure, "tls-version")}}).Draw(t, "tls")
	s.Err = rapid.SampledFrom([]*delivery.Failure{nil, {}}).Draw(t, "err")
	s.TLSFailure = rapid.SampledFrom([]*delivery.TLSFailure{nil, fails(tlsrpt.ValidationFailure, "handshake-failure"),
		fails(tlsrpt.CertificateExpired, "certificate-expired")}).Draw(t, "tls failure")
	return s
}
