package dmarcfailure

import (
	"net/netip"
	"slices"
	"testing"

	"waxwing/dkim"
	"waxwing/dmarc"
	"waxwing/dns"
	"waxwing/internal/disposition"
	"waxwing/internal/verify"
	"waxwing/spf"
)

func factsOf(record string, signed, sent bool) *verify.Facts {
	rec, err := dmarc.Parse(record)
	if err != nil {
		panic(err)
	}
	name := dns.MustParse("a.example")
	d := verify.DMARC{From: name, At: name, Record: rec, Result: dmarc.Fail, AlignedSPF: sent}
	f := &verify.Facts{IP: netip.MustParseAddr("192.0.2.1"), Sender: "joe@sub.a.example", Decision: disposition.Decision{Action: disposition.Reject},
		SPF:  []verify.SPF{{Identity: verify.MailFrom, Domain: "sub.a.example", Result: spf.Fail}},
		DKIM: []verify.Signature{{Domain: dns.MustParse("other.example"), Result: dkim.Fail, Selector: "o"}, {Domain: name, Result: dkim.Fail, Selector: "s1"}}}
	if sent {
		d.Result, f.SPF[0].Result = dmarc.Pass, spf.Pass
	}
	if signed {
		d.Result, d.AlignedDKIM, f.DKIM = dmarc.Pass, []dns.Name{name}, []verify.Signature{{Domain: name, Result: dkim.Pass}}
	}
	f.DMARC = []verify.DMARC{d}
	return f
}

// DMR-4: who asks to be told of what, over the options of a record and what can pass.
func TestObserve(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		options                     string
		neither, signed, sent, both string
	}{
		{"", "dmarc", "", "", ""},
		{"; fo=0", "dmarc", "", "", ""},
		{"; fo=1", "dmarc", "dmarc", "dmarc", ""},
		{"; fo=d", "signature", "", "signature", ""},
		{"; fo=s", "spf", "spf", "", ""},
		{"; fo=1:d:s", "dmarc", "dmarc", "dmarc", ""},
		{"; fo=0:d:s", "dmarc", "spf", "signature", ""},
		{"; psd=y", "", "", "", ""}, // RFC 9991 §2
	} {
		for i, want := range []string{tt.neither, tt.signed, tt.sent, tt.both} {
			got := Observe(factsOf("v=DMARC1; p=reject; ruf=mailto:f@a.example"+tt.options, i&1 != 0, i&2 != 0))
			if kind := ""; len(got) > 0 {
				kind = got[0].Report.Failure
				if kind != want {
					t.Errorf("%s, %d: %s, want %s", tt.options, i, kind, want)
				}
			} else if want != "" {
				t.Errorf("%s, %d: nothing, want %s", tt.options, i, want)
			}
		}
	}
	if got := Observe(factsOf("v=DMARC1; p=reject; rua=mailto:f@a.example", false, false)); got != nil {
		t.Errorf("nobody asks, %+v", got)
	}
	f := factsOf("v=DMARC1; p=reject; ruf=mailto:f@a.example", false, false)
	f.DMARC[0].Result = dmarc.TempError
	if got := Observe(f); got != nil {
		t.Errorf("a lookup failed, %+v", got)
	}
}

// What RFC 9991 §4 requires is said: of the identities that are aligned, not of others.
func TestFailure(t *testing.T) {
	t.Parallel()
	x := Observe(factsOf("v=DMARC1; p=reject; ruf=mailto:f@a.example", false, false))[0]
	r := x.Report
	if r.Signature.Domain != "a.example" || r.Signature.Selector != "s1" || x.SPF.ASCII() != "sub.a.example" || !slices.Equal(r.Alignment, []string{"dkim", "spf"}) || r.Delivery != "reject" || r.Domain != "a.example" {
		t.Errorf("%+v", x)
	}
	f := factsOf("v=DMARC1; p=reject; ruf=mailto:f@a.example", false, false)
	f.SPF[0].Domain, f.DKIM = "elsewhere.example", f.DKIM[:1]
	if x := Observe(f)[0]; !x.SPF.IsZero() || x.Report.Signature.Domain != "" {
		t.Errorf("%+v", x)
	}
}
