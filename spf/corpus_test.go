package spf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"waxwing/dns"
)

// suite is one document of the openspf test suites.
type suite struct {
	Description string
	Tests       map[string]struct {
		Spec        any
		Helo        string
		Host        string
		MailFrom    string `yaml:"mailfrom"`
		Result      any
		Explanation string
	}
	Zone map[string][]any `yaml:"zonedata"`
}

// exceptions are cases in which the RFC leads to another result than the file
// has, by "file/case": the result, and the section that says so.
var exceptions = map[string]struct {
	result Result
	why    string
}{
	"test.yml/default-modifier":       {Neutral, "default= is pyspf's own; RFC 7208 §6: unknown modifiers are ignored"},
	"test.yml/default-modifier-harsh": {Neutral, "default= is pyspf's own; RFC 7208 §6: unknown modifiers are ignored"},
}

// TestCorpus runs the openspf suite for RFC 7208, all of it, and pyspf's own cases.
func TestCorpus(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]int{"rfc7208-tests.yml": 203, "test.yml": 16} {
		ran := 0
		for _, s := range readSuites(t, "testdata/"+file) {
			z := newZone(t, s.Zone)
			for name, c := range s.Tests {
				ran++
				t.Run(file+"/"+name, func(t *testing.T) {
					check := Checker{Resolver: z, Receiver: "receiver.example", Now: func() time.Time { return time.Unix(1e9, 0) }}
					got := check.Check(t.Context(), Query{IP: netip.MustParseAddr(c.Host), Helo: c.Helo, MailFrom: c.MailFrom})
					wants := results(c.Result)
					if e, ok := exceptions[file+"/"+name]; ok {
						t.Logf("differs: %s", e.why)
						wants = []Result{e.result}
					}
					if !slices.Contains(wants, got.Result) {
						t.Errorf("spec %v: %s from %s (HELO %s): %+v, want %v", c.Spec, c.MailFrom, c.Host, c.Helo, got, wants)
					}
					explanation := c.Explanation
					if explanation == "DEFAULT" {
						explanation = ""
					}
					// The suite has nibbles in capitals, RFC 7208 §7.4 has them small.
					if c.Explanation != "" && !strings.EqualFold(got.Explanation, explanation) {
						t.Errorf("spec %v: explanation %q, want %q", c.Spec, got.Explanation, explanation)
					}
				})
			}
		}
		if ran != want {
			t.Errorf("%s: %d cases ran, want %d", file, ran, want)
		}
	}
}

func results(v any) []Result {
	switch v := v.(type) {
	case string:
		return []Result{Result(v)}
	case []any:
		var out []Result
		for _, s := range v {
			out = append(out, Result(fmt.Sprint(s)))
		}
		return out
	}
	return nil
}

func readSuites(t *testing.T, file string) []suite {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	var out []suite
	for {
		var s suite
		err := d.Decode(&s)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, s)
	}
}

// zone is the suite's zonedata as a resolver. Methods that SPF does not need panic.
type zone struct {
	dns.Resolver
	records map[string][]record
	t       *testing.T
}

type record struct {
	kind string // "TIMEOUT" alone, or a type
	data any
}

func newZone(t *testing.T, data map[string][]any) *zone {
	z := &zone{records: map[string][]record{}, t: t}
	for name, entries := range data {
		key := strings.ToLower(strings.TrimSuffix(name, "."))
		hasTXT := false
		for _, e := range entries {
			r := record{kind: "TIMEOUT"}
			if m, ok := e.(map[string]any); ok {
				for k, v := range m {
					r = record{k, v}
				}
			}
			hasTXT = hasTXT || r.kind == "TXT"
			z.records[key] = append(z.records[key], r)
		}
		if hasTXT {
			continue
		}
		for _, r := range z.records[key] { // the suite's rule: SPF stands for TXT where there is none
			if r.kind == "SPF" {
				z.records[key] = append(z.records[key], record{"TXT", r.data})
			}
		}
	}
	return z
}

// find returns the data of a type, CNAMEs followed.
func (z *zone) find(name dns.Name, kind string) (out []any, nx bool, err error) {
	key := name.ASCII()
	for range 16 {
		rs, ok := z.records[key]
		if !ok {
			return nil, true, nil
		}
		next := ""
		for _, r := range rs {
			switch {
			case r.kind == kind && r.data == "TIMEOUT":
				return nil, false, &dns.Error{Name: name, Type: kind, Timeout: true}
			case r.kind == kind && r.data != "NONE":
				out = append(out, r.data)
			case r.kind == "CNAME":
				next = strings.ToLower(strings.TrimSuffix(r.data.(string), "."))
			}
		}
		for _, r := range rs {
			if r.kind == "TIMEOUT" && len(out) == 0 {
				return nil, false, &dns.Error{Name: name, Type: kind, Timeout: true}
			}
		}
		if len(out) > 0 || next == "" {
			return out, false, nil
		}
		key = next
	}
	return nil, false, &dns.Error{Name: name, Type: kind}
}

func answer[T any](z *zone, name dns.Name, kind string, conv func(any) (T, bool)) (dns.Answer[T], error) {
	data, nx, err := z.find(name, kind)
	a := dns.Answer[T]{Name: name, NXDomain: nx, Security: dns.Secure}
	for _, d := range data {
		if v, ok := conv(d); ok {
			a.Records = append(a.Records, v)
		}
	}
	return a, err
}

func toAddr(v any) (netip.Addr, bool) {
	a, err := netip.ParseAddr(fmt.Sprint(v))
	return a, err == nil
}

func (z *zone) LookupA(_ context.Context, n dns.Name) (dns.Answer[netip.Addr], error) {
	return answer(z, n, "A", toAddr)
}

func (z *zone) LookupAAAA(_ context.Context, n dns.Name) (dns.Answer[netip.Addr], error) {
	return answer(z, n, "AAAA", toAddr)
}

func (z *zone) LookupMX(_ context.Context, n dns.Name) (dns.Answer[dns.MX], error) {
	return answer(z, n, "MX", func(v any) (dns.MX, bool) {
		pair := v.([]any)
		host, err := dns.ParseQuestion(pair[1].(string)) // a case has an MX host with a colon and a slash
		return dns.MX{Pref: uint16(pair[0].(int)), Host: host, Null: err != nil}, true
	})
}

func (z *zone) LookupTXT(_ context.Context, n dns.Name) (dns.Answer[string], error) {
	return answer(z, n, "TXT", func(v any) (string, bool) {
		s := ""
		switch v := v.(type) {
		case string:
			s = v
		case []any:
			for _, part := range v {
				s += fmt.Sprint(part)
			}
		}
		return latin1(s), true
	})
}

// latin1 makes octets of the code points below 256 that YAML's \x escapes are.
func latin1(s string) string {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

func (z *zone) LookupPTR(_ context.Context, a netip.Addr) (dns.Answer[dns.Name], error) {
	n, err := dns.ReverseName(a)
	if err != nil {
		z.t.Fatal(err)
	}
	return answer(z, n, "PTR", func(v any) (dns.Name, bool) {
		n, err := dns.ParseLax(v.(string))
		return n, err == nil
	})
}
