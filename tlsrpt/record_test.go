package tlsrpt

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"waxwing/internal/foreign"
	"waxwing/message"
)

func TestParseRecord(t *testing.T) {
	t.Parallel()
	const syntax = "syntax"
	for _, tt := range []struct {
		name string
		txts []string
		rua  []string
		err  string
	}{
		{"RFC 8460 §3.1.1", []string{"v=TLSRPTv1;rua=mailto:reports@example.com"}, []string{"mailto:reports@example.com"}, ""},
		{"RFC 8460 §3.1.2", []string{"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"}, []string{"https://reporting.example.com/v1/tlsrpt"}, ""},
		{"two addresses, spaces, closing delimiter", []string{"v=TLSRPTv1 ;\trua=mailto:a@b.example , https://c.example/ ;"}, []string{"mailto:a@b.example", "https://c.example/"}, ""},
		{"other texts discarded", []string{"v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@b.example", "v=TLSRPTv10; rua=x"}, []string{"mailto:a@b.example"}, ""},
		{"unknown fields ignored", []string{"v=TLSRPTv1; x-a.b_c=1:2; rua=mailto:a@b.example"}, []string{"mailto:a@b.example"}, ""},
		{"other scheme", []string{"v=TLSRPTv1; rua=ftp://a.example/,mailto:a@b.example"}, []string{"mailto:a@b.example"}, ""},
		{"encoded comma", []string{"v=TLSRPTv1; rua=mailto:a%2Cb@c.example"}, []string{"mailto:a%2Cb@c.example"}, ""},
		{"none", nil, nil, ErrNoRecord.Error()},
		{"version is case-sensitive", []string{"v=tlsrptv1; rua=mailto:a@b.example"}, nil, ErrNoRecord.Error()},
		{"version without delimiter", []string{"v=TLSRPTv1"}, nil, ErrNoRecord.Error()},
		{"two records count as none", []string{"v=TLSRPTv1; rua=mailto:a@b.example", "v=TLSRPTv1; rua=mailto:a@b.example"}, nil, ErrMultiple.Error()},
		{"no rua", []string{"v=TLSRPTv1; a=b"}, nil, syntax},
		{"rua is case-sensitive", []string{"v=TLSRPTv1; RUA=mailto:a@b.example"}, nil, syntax},
		{"empty rua", []string{"v=TLSRPTv1; rua="}, nil, syntax},
		// RPT-24: an address that cannot be used costs that address.
		{"a fault beside a good address", []string{"v=TLSRPTv1; rua=mailto:nobody,mailto:a@b.example,https://u:p@c.example/"}, []string{"mailto:a@b.example"}, ""},
		{"an empty address beside a good one", []string{"v=TLSRPTv1; rua=,mailto:a@b.example"}, []string{"mailto:a@b.example"}, ""},
		{"only faults", []string{"v=TLSRPTv1; rua=mailto:nobody,a@b.example"}, nil, syntax},
		{"no scheme", []string{"v=TLSRPTv1; rua=a@b.example"}, nil, syntax},
		{"bare exclamation point", []string{"v=TLSRPTv1; rua=mailto:a@b.example!10m"}, nil, syntax},
		{"empty field", []string{"v=TLSRPTv1;; rua=mailto:a@b.example"}, nil, syntax},
		{"no address", []string{"v=TLSRPTv1; rua=mailto:example.com"}, nil, syntax},
		{"header injection", []string{"v=TLSRPTv1; rua=mailto:a%0d%0aBcc:x@b.example"}, nil, syntax},
		{"user in the URL", []string{"v=TLSRPTv1; rua=https://u:p@b.example/"}, nil, syntax},
		{"field without value", []string{"v=TLSRPTv1; rua=mailto:a@b.example; x="}, nil, syntax},
		{"too long", []string{"v=TLSRPTv1; rua=mailto:a@b.example; x=" + strings.Repeat("y", 9000)}, nil, syntax},
		{"too many", []string{"v=TLSRPTv1; rua=" + strings.Repeat("mailto:a@b.example,", 80) + "mailto:a@b.example"}, nil, syntax},
	} {
		r, err := ParseRecord(tt.txts)
		var se *SyntaxError
		switch {
		case tt.err == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.err == syntax && !errors.As(err, &se):
			t.Errorf("%s: error %v, want a SyntaxError", tt.name, err)
		case tt.err != "" && tt.err != syntax && (err == nil || err.Error() != tt.err):
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.err)
		case tt.err == "" && !reflect.DeepEqual(r.RUA, tt.rua):
			t.Errorf("%s: rua %q, want %q", tt.name, r.RUA, tt.rua)
		}
	}
}

// TestFaulty: what was passed over is named (RPT-24).
func TestFaulty(t *testing.T) {
	t.Parallel()
	r, err := ParseRecord([]string{"v=TLSRPTv1; rua=mailto:nobody,mailto:a@b.example,ftp://c.example/"})
	if err != nil || len(r.Faulty) != 1 || !strings.Contains(r.Faulty[0], "mailto:nobody") || len(r.Unsupported) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestParseURI: an address is decoded and then written as one (RPT-27).
func TestParseURI(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"mailto:a@c.example":                 "a@c.example",
		"mailto:a%2Bb.c@c.example?subject=x": "a+b.c@c.example",
		"mailto:a%2Cb@c.example":             `"a,b"@c.example`,
		"mailto:a%20b@c.example":             `"a b"@c.example`,
		"mailto:%22a%20b%22@c.example":       `"a b"@c.example`,
		"mailto:%22a%5C%22b%22@c.example":    `"a\"b"@c.example`,
		"mailto:%22plain%22@c.example":       "plain@c.example",
		"mailto:a%40b@c.example":             `"a@b"@c.example`,
		"mailto:.a@c.example":                `".a"@c.example`,
		"mailto:a%3Cb%3E@c.example":          `"a<b>"@c.example`,
	} {
		if u, err := ParseURI(in); err != nil || u.Mail != want {
			t.Errorf("%s: %q, %v; want %q", in, u.Mail, err, want)
		}
	}
	for _, in := range []string{"mailto:a%0Ab@c.example", "mailto:a%0Db@c.example", "mailto:a%00b@c.example", "mailto:a@c%20d.example", "mailto:a@c%3E.example", "mailto:a%09b@c.example"} {
		if u, err := ParseURI(in); err == nil {
			t.Errorf("%s was taken: %+v", in, u)
		}
	}
}

// What just fits in a record, and what no longer does; "" is what is refused.
func TestRecordBorders(t *testing.T) {
	t.Parallel()
	const rua = "; rua=mailto:a@b.example"
	address := "mailto:a@b.example"
	many := func(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	fill := strings.Repeat("y", maxRecord-len(rua+"; x="))
	for _, c := range []struct {
		name, fields string
		good         bool
	}{
		{"8,192 octets", rua + "; x=" + fill, true},
		{"8,193 octets", rua + "; x=y" + fill, false},
		{"64 addresses", "; rua=" + many(maxRUA, address), true},
		{"65 addresses", "; rua=" + many(maxRUA+1, address), false},
		{"64 addresses of any kind", "; rua=" + many(maxRUA-2, address) + ",ftp://c.example/,nobody", true},
		{"65 addresses of any kind", "; rua=" + many(maxRUA-1, address) + ",ftp://c.example/,nobody", false},
		{"only addresses of other kinds", "; rua=ftp://c.example/", true},
		{"a name of 32 octets", rua + "; " + strings.Repeat("n", 32) + "=1", true},
		{"a name of 33 octets", rua + "; " + strings.Repeat("n", 33) + "=1", false},
		{"a name of one octet", rua + "; 9=1", true},
		{"no name", rua + "; =1", false},
		{"a name that begins with a hyphen", rua + "; -a=1", false},
		{"a space in a name", rua + "; a b=1", false},
		{"all of a name", rua + "; aZ_-.9=1", true},
		{"all of a value", rua + "; x=!:~<", true},
		{"a space in a value", rua + "; x=a b", false},
		{"a DEL in a value", rua + "; x=a\x7f", false},
		{"a second =", rua + "; x=a=b", false},
		{"nothing in the middle", rua + ";;x=1", false},
		{"two at the end", rua + ";;", false},
		{"white space at the end", rua + "; \t", true},
	} {
		r, err := ParseRecord([]string{version + c.fields})
		if (err == nil) != c.good || c.good && len(r.RUA)+len(r.Unsupported) == 0 {
			t.Errorf("%s: %+v, %v", c.name, r, err)
		}
	}
}

// Unknown fields are kept in order (RFC 8460 §3).
func TestExtensions(t *testing.T) {
	t.Parallel()
	r, err := ParseRecord([]string{"v=TLSRPTv1; b=2; rua=mailto:a@b.example; a=1"})
	if err != nil || !reflect.DeepEqual(r.Extensions, []Extension{{"b", "2"}, {"a", "1"}}) {
		t.Errorf("%+v, %v", r, err)
	}
}

// RFC 8460 §3: which addresses are ones.
func TestURIBorders(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("l", 320-len("@c.example"))
	for in, want := range map[string]URI{
		"https://c.example":             {HTTPS: "https://c.example"},
		"https://c.example:8443/a?b~":   {HTTPS: "https://c.example:8443/a?b~"},
		"mailto:" + long + "@c.example": {Mail: long + "@c.example"},
		"mailto:%22@c.example":          {Mail: `"\""@c.example`},
		"mailto:%22%22@c.example":       {Mail: `""@c.example`},
		"mailto:%22a@c.example":         {Mail: `"\"a"@c.example`},
		"mailto:a%22@c.example":         {Mail: `"a\""@c.example`},
		"mailto:%22a%5C%22@c.example":   {Mail: `"a\\"@c.example`},
		"ftp://c.example/":              {},
	} {
		if u, err := ParseURI(in); err != nil || u != want {
			t.Errorf("%s: %+v, %v, want %+v", in, u, err, want)
		}
	}
	for _, in := range []string{
		"", "https:", "https:///a", "https://:443/", "https://u@c.example/", "https://c.example/#f", "https://[::1", "a@c.example", "%zz",
		"mailto:l" + long + "@c.example", "mailto:@c.example", "mailto:a@", "mailto:@", "mailto:a", "mailto:%zz@c.example", "mailto:a%7F@c.example", "mailto:a@c%7F.example",
		"mailto:a@c%22.example", "mailto:a@c%3C.example", "mailto:a@%20c.example",
	} {
		var fault *SyntaxError
		if u, err := ParseURI(in); !errors.As(err, &fault) {
			t.Errorf("%q was taken: %+v, %v", in, u, err)
		}
	}
	for _, c := range []string{" ", "\x1f", "\x7f", "\x80", "ü", "!", ",", ";"} {
		in := "https://c.example/" + c
		if u, err := ParseURI(in); err == nil || !strings.Contains(err.Error(), "has to be percent-encoded") {
			t.Errorf("%q: %+v, %v", in, u, err)
		}
	}
}

func TestAlnum(t *testing.T) {
	t.Parallel()
	for i := range 256 {
		want := strings.Contains("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", string([]byte{byte(i)}))
		if alnum(byte(i)) != want {
			t.Errorf("%q: %v", rune(i), !want)
		}
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	whole := strings.Repeat("a", 80)
	if foreign.Clip(whole, 80) != whole || foreign.Clip(whole+"a", 80) != whole+"…" {
		t.Errorf("%q, %q", foreign.Clip(whole, 80), foreign.Clip(whole+"a", 80))
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add("v=TLSRPTv1; rua=mailto:a@b.example,https://c.example/x; ext=1;")
	f.Add("v=TLSRPTv1;rua=mailto:%40@x")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRecord([]string{s})
		if err != nil {
			return
		}
		for _, a := range r.RUA {
			u, err := ParseURI(a)
			if err != nil || (u.Mail == "") == (u.HTTPS == "") {
				t.Fatalf("accepted address %q: %+v, %v", a, u, err)
			}
			if strings.ContainsAny(u.Mail, "\r\n\x00") {
				t.Fatalf("address %q would break a header", u.Mail)
			}
			if list, err := message.ParseAddressList("<" + u.Mail + ">"); u.Mail != "" && (err != nil || len(list) != 1) && !strings.ContainsAny(u.Mail[strings.LastIndexByte(u.Mail, '@'):], "()[],:;\\@\"") {
				t.Fatalf("address %q is none in a To field: %v", u.Mail, err)
			}
		}
	})
}
