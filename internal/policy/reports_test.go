package policy

import (
	"fmt"
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
)

// RPT-22, RPT-23: what waits because the record could not be looked up says why, to
// people and in the report, with the extended DNS error where the reply held one.
func TestDeferredSaysWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		err    error
		reason reason.Word
		ede    uint16
	}{
		{"with an extended error", &dns.Error{RCode: "SERVFAIL", EDE: []dns.EDE{{Code: 22}, {Code: 23}}}, "dns-servfail", 22},
		{"without one", &dns.Error{RCode: "SERVFAIL"}, "dns-servfail", 0},
		{"not from the DNS", nil, reason.DNSError, 0},
	} {
		f := finding("", false, reason.STSLookupFailed)
		f.Defer, f.Failure.Err = true, c.err
		d := Decide(Input{Domain: domain, Finding: f, Destination: delivery.Destination{Hosts: hosts(false)}})
		if d.Stop == nil || !strings.HasSuffix(d.Stop.Text, f.Failure.Error()) {
			t.Errorf("%s: stop %+v", c.name, d.Stop)
		}
		if got := d.Reports[0].Failed; got.Word != c.reason || got.EDE != c.ede || got.Text != f.Failure.Error() {
			t.Errorf("%s: reported %+v", c.name, got)
		}
	}
	// A finding that does not say what failed still waits.
	if d := Decide(Input{Domain: domain, Finding: delivery.Finding{Defer: true}}); d.Stop == nil || d.Reports[0].Failed.Word != reason.DNSError {
		t.Errorf("without a failure: %+v", d)
	}
}

// reportedOf is what the first entry of a plan's report says of its failure.
func reportedOf(t *testing.T, h delivery.Host, f delivery.Finding) *delivery.TLSFailure {
	t.Helper()
	d := Decide(Input{Domain: domain, Finding: f, Destination: delivery.Destination{HasMX: true, MXSecure: true, Hosts: []delivery.Host{h}}})
	if len(d.Plans) != 1 || len(d.Plans[0].Reports) != 1 || d.Plans[0].Reports[0].Failed == nil {
		t.Fatalf("%+v", d)
	}
	return d.Plans[0].Reports[0].Failed
}

// RPT-23 for TLSA lookups; a state without the failure that belongs to it is still
// reported, under the word of the state.
func TestReportedDANE(t *testing.T) {
	t.Parallel()
	h := host(inside, delivery.DANEFailed, dns.Secure)
	h.DANE.Fail.EDE = 9
	if f := reportedOf(t, h, delivery.Finding{}); f.EDE != 9 || f.Word != "dns-bogus" {
		t.Errorf("%+v", f)
	}
	for state, want := range map[delivery.DANEState]reason.Word{delivery.DANEFailed: reason.DNSError, delivery.DANEUnusable: reason.TLSAUnusable} {
		h := host(inside, state, dns.Secure)
		h.DANE.Fail = nil
		if f := reportedOf(t, h, delivery.Finding{}); f.Word != want || f.EDE != 0 || f.Text == "" {
			t.Errorf("%s: %+v", state, f)
		}
	}
}

// POL-2: the error names the host and the patterns, ten of them and how many more.
func TestMismatchNamesPatterns(t *testing.T) {
	t.Parallel()
	for n, end := range map[int]string{1: "allows: mx0.example.com", 10: ", mx9.example.com", 11: ", mx9.example.com and 1 more"} {
		f := finding(mtasts.ModeEnforce, true, "")
		f.Policy.MX = nil
		for i := range n {
			f.Policy.MX = append(f.Policy.MX, mtasts.Pattern{Name: dns.MustParse(fmt.Sprintf("mx%d.example.com", i))})
		}
		text := reportedOf(t, host(outside, delivery.DANENone, dns.Insecure), f).Text
		if !strings.HasSuffix(text, end) || !strings.Contains(text, outside.String()) {
			t.Errorf("%d patterns: %s", n, text)
		}
	}
}

// POL-1: the SNI is the TLSA base domain, which is another name than the host's where
// that is an alias (RFC 7672 §2.2.2); without DANE it is the host's.
func TestSNI(t *testing.T) {
	t.Parallel()
	base := dns.MustParse("node7.example.com")
	for _, state := range states[:3] {
		h, want := host(inside, state, dns.Secure), inside
		if state != delivery.DANENone {
			h.DANE.Base, want = base, base
		}
		in := Input{Domain: domain, Destination: delivery.Destination{HasMX: true, MXSecure: true, Hosts: []delivery.Host{h}}}
		if p := Decide(in).Plans[0]; p.SNI != want {
			t.Errorf("%s: SNI %s, want %s", state, p.SNI, want)
		}
		in.Destination.MXSecure = false // DANE-6: DANE does not apply
		if p := Decide(in).Plans[0]; p.SNI != inside {
			t.Errorf("%s behind an MX answer that is not secure: SNI %s", state, p.SNI)
		}
	}
}

// An exception is for a domain: nothing is set aside for an address literal, and
// nothing by an exception that sets nothing aside.
func TestExceptionOfNothing(t *testing.T) {
	t.Parallel()
	all := delivery.Exception{STS: delivery.STSOff, DANEOff: true, Reason: "ticket 4711"}
	for _, in := range []Input{{Exception: all}, {Domain: domain, Exception: delivery.Exception{Reason: "ticket 4711"}}} {
		in.Destination.Hosts = []delivery.Host{host(inside, delivery.DANENone, dns.Insecure)}
		if d := Decide(in); len(d.SetAside) != 0 {
			t.Errorf("%s: set aside %v", describe(in), d.SetAside)
		}
	}
}
