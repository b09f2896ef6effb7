package companion

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/tlsrpt"
)

// recorded is a file of testdata by lines.
func recorded(t testing.TB, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) < 5 {
		t.Fatalf("%s has %d lines", name, len(lines))
	}
	return lines
}

const (
	datagramsFile = "postfix-3.10.13-datagrams.txt"
	queriesFile   = "postfix-3.10.13-socketmap-queries.txt"
	hexOfKey      = "3c1abf37f1c57318ec5dc59aa2c403f1958d3e431d7ff46ea6687d22b08e5ff1"
)

func stsStrings(mode, mx string) []string {
	return []string{"version: STSv1", "mode: " + mode, "mx: " + mx, "max_age: 604800"}
}

func noFault(dns.Name) *delivery.TLSFailure { return nil }

// someFault: faulty.test has one.
func someFault(d dns.Name) *delivery.TLSFailure {
	if d.ASCII() == "faulty.test" {
		return &delivery.TLSFailure{Type: tlsrpt.STSWebPKIInvalid, Word: "webpki", Text: "words"}
	}
	return nil
}

// seen is an observation in a few words: "type policy-domain ok|type of failure".
type seen struct {
	domain, typ, policyDomain string
	strings, mx               []string
	failure                   tlsrpt.ResultType // "": a success
	host, receiver            string
}

// expected is what the recorded datagrams come to, in their order; nil: left out.
func expected() []*seen {
	return []*seen{
		{"dane.test", "tlsa", "mx.dane.test", []string{"3 1 1 " + hexOfKey}, nil, "", "", ""},
		{"danebad.test", "tlsa", "mx.danebad.test", []string{"3 1 1 " + strings.Repeat("0", 64)}, nil, tlsrpt.CertificateNotTrusted, "mx.danebad.test", "127.0.0.2"},
		{"danenotls.test", "tlsa", "mx.danenotls.test", []string{"3 1 1 " + hexOfKey}, nil, tlsrpt.StartTLSNotSupported, "mx.danenotls.test", "127.0.0.3"},
		{"none.test", "no-policy-found", "none.test", nil, nil, "", "", ""},
		{"sts.test", "sts", "sts.test", stsStrings("enforce", "mx.sts.test"), []string{"mx.sts.test"}, "", "", ""},
		{"stsbad.test", "sts", "stsbad.test", stsStrings("enforce", "mx.stsbad.test"), []string{"mx.stsbad.test"}, tlsrpt.CertificateHostMismatch, "mx.stsbad.test", "127.0.0.2"},
		nil, // ststesting.test: a success that nobody verified
		{"stsfail.test", "sts", "stsfail.test", nil, nil, tlsrpt.STSWebPKIInvalid, "mx.stsfail.test", "127.0.0.2"},
		{"stsnotls.test", "sts", "stsnotls.test", []string{"version: STSv1"}, []string{"mx.stsnotls.test"}, tlsrpt.StartTLSNotSupported, "mx.stsnotls.test", "127.0.0.3"},
		{"none.test", "no-policy-found", "none.test", nil, nil, "", "", ""},
		{"sts.test", "no-policy-found", "sts.test", nil, nil, "", "", ""}, // written Sts.TEST
	}
}

func (s *seen) observation() delivery.Observation {
	o := delivery.Observation{RecipientDomain: dns.MustParse(s.domain), Type: tlsrpt.PolicyType(s.typ), PolicyDomain: dns.MustParse(s.policyDomain), Strings: s.strings, MX: s.mx, OK: 1}
	if s.failure != "" {
		o.OK, o.Failed = 0, 1
		o.Details = []delivery.Detail{{Type: s.failure, SendingIP: "127.0.0.1", MXHostname: s.host, HELO: "sink.example", ReceiverIP: s.receiver, Count: 1}}
	}
	return o
}

func TestRecordedDatagrams(t *testing.T) {
	t.Parallel()
	want := expected()
	lines := recorded(t, datagramsFile)
	if len(lines) != len(want) {
		t.Fatalf("%d datagrams, want %d", len(lines), len(want))
	}
	for i, l := range lines {
		got, err := observe([]byte(l), noFault)
		if err != nil {
			t.Errorf("%s: %v", l, err)
			continue
		}
		if want[i] == nil {
			if len(got.observations) != 0 || got.unverified != 1 {
				t.Errorf("%s: got %+v, want one success left out", l, got)
			}
			continue
		}
		if len(got.observations) != 1 || got.unverified != 0 {
			t.Errorf("%s: got %+v", l, got)
			continue
		}
		have, exact := asJSON(t, got.observations[0]), asJSON(t, want[i].observation())
		if have != exact {
			t.Errorf("%s:\n got %s\nwant %s", l, have, exact)
		}
	}
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "[]", "null")
}

func TestObserve(t *testing.T) {
	t.Parallel()
	const failing = `,"f":1,"failure-details":[`
	for _, tt := range []struct{ name, in, want string }{
		{"with dpv", `{"dpv":"1","d":"a.test","policies":[{"policy-type":9,"f":0}]}`, "no-policy-found a.test ok"},
		{"a later dpv", `{"dpv":"2","d":"a.test","policies":[{"policy-type":9,"f":0}],"more":{}}`, "no-policy-found a.test ok"},
		{"case and U-labels", `{"d":"B\u00fccher.TEST.","policies":[{"policy-type":9,"policy-domain":"xn--bcher-kva.test","f":0}]}`, "no-policy-found xn--bcher-kva.test ok"},
		{"several policies", `{"d":"a.test","policies":[{"policy-type":1,"policy-domain":"mx.a.test","f":0},{"policy-type":2,"policy-domain":"a.test","f":1}]}`,
			"tlsa mx.a.test ok, sts a.test failed validation-failure/no-detail-given"},
		{"a success with details", `{"d":"a.test","policies":[{"policy-type":9,"f":0,"failure-details":[{"c":201}]}]}`, "no-policy-found a.test ok"},
		{"details with reasons", `{"d":"a.test","policies":[{"policy-type":2` + failing + `{"c":205,"f":"self-signed_certificate"},{"c":204,"a":"words"},{"c":304,"a":"words","f":"all-TLSA-records-unusable"}]}]}`,
			"sts a.test failed validation-failure/self-signed_certificate certificate-expired/words tlsa-invalid/all-TLSA-records-unusable+words"},
		{"the same detail twice", `{"d":"a.test","policies":[{"policy-type":2` + failing + `{"c":205,"f":"x","a":"1"},{"c":205,"f":"x","a":"2"}]}]}`, "sts a.test failed validation-failure/x+1"},
		{"an unknown code", `{"d":"a.test","policies":[{"policy-type":2` + failing + `{"c":901,"f":"x"}]}]}`, "sts a.test failed validation-failure/libtlsrpt code 901 x"},
		{"testing, and failed", `{"d":"a.test","policies":[{"policy-type":2,"policy-string":["mode: testing"]` + failing + `{"c":201}]}]}`, "sts a.test failed starttls-not-supported/"},
		{"testing, written otherwise", `{"d":"a.test","policies":[{"policy-type":2,"policy-string":["version: STSv1","mode:testing "],"f":0}]}`, "unverified 1"},
		{"no policy to be had, no fault known", `{"d":"a.test","policies":[{"policy-type":2,"f":0}]}`, "unverified 1"},
		{"no policy to be had", `{"d":"faulty.test","policies":[{"policy-type":2,"f":0}]}`, "sts faulty.test failed sts-webpki-invalid/webpki+words"},
		{"testing, and a fault", `{"d":"Faulty.test","policies":[{"policy-type":2,"policy-string":["mode: testing"],"f":0}]}`, "sts faulty.test failed sts-webpki-invalid/webpki+words"},
		{"enforce, and a fault", `{"d":"faulty.test","policies":[{"policy-type":2,"policy-string":["mode: enforce"],"f":0}]}`, "sts faulty.test failed sts-webpki-invalid/webpki+words"},
		{"a failure, and a fault", `{"d":"faulty.test","policies":[{"policy-type":2` + failing + `{"c":201}]}]}`, "sts faulty.test failed starttls-not-supported/ sts-webpki-invalid/webpki+words"},
		{"a fault that Postfix told", `{"d":"faulty.test","policies":[{"policy-type":2` + failing + `{"c":303}]}]}`, "sts faulty.test failed sts-webpki-invalid/"},
		{"a fault of MTA-STS is none of DANE", `{"d":"faulty.test","policies":[{"policy-type":1,"f":0}]}`, "tlsa faulty.test ok"},
		{"testing is a word of MTA-STS", `{"d":"a.test","policies":[{"policy-type":9,"policy-string":["mode: testing"],"f":0}]}`, "no-policy-found a.test ok"},
		{"invalid UTF-8", "{\"d\":\"a.test\",\"policies\":[{\"policy-type\":2" + failing + "{\"c\":205,\"f\":\"b\xfcd\xff\"}]}]}", "sts a.test failed validation-failure/b\uFFFDd\uFFFD"},

		{"not JSON", `hello`, "error"},
		{"empty", ``, "error"},
		{"an array", `[]`, "error"},
		{"trailing text", `{"d":"a.test","policies":[{"policy-type":9,"f":0}]} x`, "error"},
		{"no domain", `{"policies":[{"policy-type":9,"f":0}]}`, "error"},
		{"no name", `{"d":"a b","policies":[{"policy-type":9,"f":0}]}`, "error"},
		{"an address", `{"d":"192.0.2.1","policies":[{"policy-type":9,"f":0}]}`, "error"},
		{"no policies", `{"d":"a.test"}`, "error"},
		{"too many policies", `{"d":"a.test","policies":[{"policy-type":9}` + strings.Repeat(`,{"policy-type":9}`, maxPolicies) + `]}`, "error"},
		{"unknown type", `{"d":"a.test","policies":[{"policy-type":3,"f":0}]}`, "error"},
		{"no type", `{"d":"a.test","policies":[{"f":0}]}`, "error"},
		{"no name of a policy domain", `{"d":"a.test","policies":[{"policy-type":9,"policy-domain":"..","f":0}]}`, "error"},
		{"result out of range", `{"d":"a.test","policies":[{"policy-type":9,"f":2}]}`, "error"},
		{"negative result", `{"d":"a.test","policies":[{"policy-type":9,"f":-1}]}`, "error"},
		{"wrong types", `{"d":"a.test","policies":[{"policy-type":"9","f":0}]}`, "error"},
		{"absurd number", `{"d":"a.test","policies":[{"policy-type":9,"f":1e999}]}`, "error"},
		{"deep nesting", strings.Repeat(`[`, 100_000), "error"},
	} {
		if got := short([]byte(tt.in)); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// short is what a datagram comes to, in words.
func short(in []byte) string {
	o, err := observe(in, someFault)
	if err != nil {
		return "error"
	}
	var parts []string
	for _, ob := range o.observations {
		s := string(ob.Type) + " " + ob.PolicyDomain.ASCII() + " ok"
		if ob.Failed > 0 {
			s = strings.TrimSuffix(s, "ok") + "failed"
		}
		for _, d := range ob.Details {
			s += " " + string(d.Type) + "/" + d.Reason
			if d.Info != "" {
				s += "+" + d.Info
			}
		}
		parts = append(parts, s)
	}
	if o.unverified > 0 {
		parts = append(parts, "unverified 1")
	}
	return strings.Join(parts, ", ")
}

func TestHELO(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"250-sink.example\r\n250-STARTTLS": "sink.example",
		"250 sink.example Hello [1.2.3.4]": "sink.example",
		"sink.example":                     "sink.example",
		"250-\n250 x":                      "",
		"":                                 "",
		"\x00\x01 a":                       "a",
		"250":                              "250",
	} {
		if got := heloName(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// FuzzDatagram: whatever is written into the socket, what comes of it can be
// stored and reported: it adds up (RPT-2) and is bounded.
func FuzzDatagram(f *testing.F) {
	for _, l := range recorded(f, datagramsFile) {
		f.Add([]byte(l))
	}
	f.Add([]byte(`{"dpv":"1","d":"a.test","policies":[{"policy-type":2,"f":1,"failure-details":[{"c":205,"h":"250-x\r\n","s":"::1%eth0","r":"x"},{}]}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		o, err := observe(in, someFault)
		if err != nil {
			return
		}
		if len(o.observations)+o.unverified == 0 {
			t.Fatal("a datagram that came to nothing")
		}
		for _, ob := range o.observations {
			if ob.OK+ob.Failed != 1 || (ob.Failed == 1) != (len(ob.Details) > 0) || ob.RecipientDomain.IsZero() || ob.PolicyDomain.IsZero() {
				t.Fatalf("does not add up: %+v", ob)
			}
			for _, d := range ob.Details {
				all := string(d.Type) + d.SendingIP + d.MXHostname + d.HELO + d.ReceiverIP + d.Reason + d.Info
				if d.Count != 1 || d.Type == "" || len(all) > 7*maxText || bytes.ContainsAny([]byte(all), "\x00\r\n") {
					t.Fatalf("unbounded or of several lines: %+v", d)
				}
			}
		}
	})
}
