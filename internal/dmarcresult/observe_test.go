package dmarcresult

import (
	"net/netip"
	"slices"
	"testing"

	"waxwing/dkim"
	"waxwing/dmarc"
	"waxwing/dns"
	"waxwing/internal/disposition"
	"waxwing/internal/reason"
	"waxwing/internal/verify"
	"waxwing/spf"
)

var overrides = []string{"local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder"}

// DMR-1, RFC 9990 §3.1.1.9: over all results, policies, decisions and overrides there can be, the
// words are those of the schema, and a message that is not authenticated and was treated in
// another way than its domain asks for has the reason why.
func TestObserveSpace(t *testing.T) {
	t.Parallel()
	policies := []dmarc.Policy{dmarc.PolicyNone, dmarc.PolicyQuarantine, dmarc.PolicyReject}
	n := 0
	for _, result := range []dmarc.Result{dmarc.Pass, dmarc.Fail, dmarc.TempError, dmarc.None} {
		for _, policy := range policies {
			for _, testing := range []bool{false, true} {
				rec := &dmarc.Record{Policy: policy, RUA: []string{"mailto:a@example.org"}, Testing: testing}
				apply := policy
				if testing {
					apply = map[dmarc.Policy]dmarc.Policy{dmarc.PolicyReject: dmarc.PolicyQuarantine, dmarc.PolicyQuarantine: dmarc.PolicyNone, dmarc.PolicyNone: dmarc.PolicyNone}[policy]
				}
				for _, trust := range []disposition.Trust{disposition.Untrusted, disposition.TrustedByOperator} {
					for _, own := range []bool{false, true} {
						for _, over := range []bool{false, true} {
							d := verify.DMARC{From: dns.MustParse("a.example.org"), At: dns.MustParse("example.org"), Result: result, Policy: policy, Apply: apply, Record: rec}
							f := &verify.Facts{IP: netip.MustParseAddr("192.0.2.1"), DMARC: []verify.DMARC{d}}
							f.Decision = disposition.Decide(disposition.Facts{DMARC: result, Policy: policy, Apply: apply, Trust: trust, OwnSPFFail: own, PutOff: over})
							for _, action := range []disposition.Action{f.Decision.Action, disposition.Reject} { // a later check may refuse it too
								f.Decision.Action = action
								if action == disposition.Defer {
									continue // it comes again
								}
								all := Observe(f, false)
								if len(all) != 1 {
									t.Fatalf("%d rows", len(all))
								}
								r := all[0].Record
								n++
								if !slices.Contains([]string{"none", "pass", "quarantine", "reject"}, r.Disposition) || r.Disposition == "pass" && (result != dmarc.Pass || policy == dmarc.PolicyNone) {
									t.Errorf("%s under %s: %s", result, policy, r.Disposition)
								}
								if result != dmarc.Pass && r.Disposition != string(policy) && len(r.Reasons) == 0 {
									t.Errorf("%s under %s (test mode %v) was %s: no reason", result, policy, testing, r.Disposition)
								}
								if (r.Disposition == "pass" || result != dmarc.Pass && r.Disposition == string(policy)) && len(r.Reasons) > 0 {
									t.Errorf("%s under %s was %s, as it should: %v", result, policy, r.Disposition, r.Reasons)
								}
								for _, why := range r.Reasons {
									if _, known := reason.Of(reason.Word(why.Comment)); !slices.Contains(overrides, why.Type) || !known {
										t.Errorf("reason %+v", why)
									}
									if why.Type == "policy_test_mode" && !testing {
										t.Errorf("no test mode: %+v", why)
									}
								}
							}
						}
					}
				}
			}
		}
	}
	if n < 150 {
		t.Errorf("only %d cases", n)
	}
}

// What a row tells: the policy with its defaults, the results in the order of RFC 9990 §3.1.3.
func TestObserve(t *testing.T) {
	t.Parallel()
	rec, err := dmarc.Parse("v=DMARC1; p=reject; sp=quarantine; aspf=s; rua=mailto:a@example.org")
	if err != nil {
		t.Fatal(err)
	}
	from := dns.MustParse("example.org")
	f := &verify.Facts{IP: netip.MustParseAddr("2001:db8::1"), HELO: "mail.example.net", Sender: "x@Bounce.Example.net",
		SPF: []verify.SPF{{Identity: "helo", Domain: "mail.example.net", Result: spf.None}, {Identity: verify.MailFrom, Domain: "bounce.example.net", Result: spf.Pass}},
		DKIM: []verify.Signature{{Domain: dns.MustParse("example.net"), Selector: "x", Result: dkim.Fail}, {Result: dkim.PermError}, {Domain: dns.MustParse("list.example"), Selector: "l", Result: dkim.Pass},
			{Domain: dns.MustParse("m.example.org"), Selector: "r", Result: dkim.Pass}, {Domain: from, Selector: "s", Result: dkim.Pass}},
		DMARC: []verify.DMARC{{From: from, At: from, Result: dmarc.Pass, Policy: dmarc.PolicyReject, Apply: dmarc.PolicyReject, Record: rec, AlignedDKIM: []dns.Name{dns.MustParse("m.example.org"), from}},
			{From: dns.MustParse("silent.example"), Result: dmarc.None}}, // asks for nothing
		Decision: disposition.Decision{Action: disposition.Deliver, Word: reason.DMARCPass}}
	all := Observe(f, true)
	if len(all) != 1 || !all[0].Report {
		t.Fatalf("%+v", all)
	}
	p, r := all[0].Policy, all[0].Record
	if p.Domain != "example.org" || p.P != "reject" || p.SP != "quarantine" || p.NP != "quarantine" || p.ADKIM != "r" || p.ASPF != "s" || p.FO != "0" || p.Testing != "n" || p.DiscoveryMethod != "treewalk" {
		t.Errorf("%+v", p)
	}
	if r.Disposition != "pass" || r.DKIM != "pass" || r.SPF != "fail" || r.HeaderFrom != "example.org" || r.EnvelopeFrom != "bounce.example.net" || len(r.Reasons) != 0 {
		t.Errorf("%+v", r)
	}
	order := ""
	for _, s := range r.DKIMResults {
		order += s.Selector + "=" + s.Result + " "
	}
	if order != "s=pass r=pass l=pass x=fail " || len(r.SPFResults) != 1 || r.SPFResults[0].Domain != "bounce.example.net" || r.SPFResults[0].Scope != "mfrom" {
		t.Errorf("%s, %+v", order, r.SPFResults)
	}
}
