package dnstest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"waxwing/dns"
)

// recorder is a TB that notes errors.
type recorder struct{ errors []string }

func (r *recorder) Helper()                   {}
func (r *recorder) Cleanup(func())            {}
func (r *recorder) Errorf(f string, a ...any) { r.errors = append(r.errors, fmt.Sprintf(f, a...)) }
func (r *recorder) Fatalf(f string, a ...any) { r.Errorf(f, a...) }

// TestResolver covers DNS-8.
func TestResolver(t *testing.T) {
	t.Parallel()
	var rec recorder
	r := &Resolver{T: &rec, Replies: map[string]any{
		"MX a.test":  dns.Answer[dns.MX]{Records: []dns.MX{{Pref: 1, Host: dns.MustParse("mx.test")}}, Security: dns.Secure},
		"A a.test":   &dns.Error{Type: "A", RCode: "SERVFAIL"},
		"TXT a.test": dns.Answer[dns.MX]{},
	}}
	a := dns.MustParse("a.test")
	mx, err := r.LookupMX(t.Context(), a)
	if err != nil || mx.Name != a || len(mx.Records) != 1 {
		t.Errorf("MX: %v, %v", mx, err)
	}
	if _, err := r.LookupA(t.Context(), a); err == nil || len(rec.errors) > 0 {
		t.Errorf("A: %v, %v", err, rec.errors)
	}
	_, err1 := r.LookupTXT(t.Context(), a)
	_, err2 := r.LookupTLSA(t.Context(), a)
	if err1 == nil || err2 == nil || len(rec.errors) != 2 {
		t.Errorf("wrong type and unexpected question: %v, %v, %v", err1, err2, rec.errors)
	}
	if got := strings.Join(r.Asked(), ", "); got != "MX a.test, A a.test, TXT a.test, TLSA a.test" {
		t.Errorf("asked %s", got)
	}
}

// TestChanges: zones change while the server runs.
func TestChanges(t *testing.T) {
	t.Parallel()
	s := Serve(t, Zone{Name: "a.test", Security: dns.Secure, Records: []string{"@ IN A 127.0.0.1"}})
	c := Client(t, s)
	state := func() string {
		a, err := c.LookupA(t.Context(), dns.MustParse("a.test"))
		if e, ok := errors.AsType[*dns.Error](err); ok {
			return string(e.Word())
		}
		return fmt.Sprint(len(a.Records), " ", a.Security, " ", a.NXDomain)
	}
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return nil }, "1 secure false"},
		{func() error { return s.Add("a.test", "@ IN A 127.0.0.2", "x IN A 127.0.0.3") }, "2 secure false"},
		{func() error { s.SetSecurity("a.test", "A", dns.Bogus); return nil }, "dns-bogus"},
		{func() error { s.SetSecurity("a.test", "A", dns.Insecure); return nil }, "2 insecure false"},
		{func() error { s.Remove("a.test", "A"); return nil }, "0 insecure false"},
		{func() error { s.Fail(Failure{Name: "a.test", RCode: "NXDOMAIN"}); return nil }, "0 insecure true"},
		{func() error { s.Unfail("a.test", ""); return nil }, "0 insecure false"},
		{func() error {
			return s.Set(Zone{Name: "a.test", Records: []string{"@ IN CNAME b.test."}})
		}, "0 insecure true"},
		{func() error { return s.Add("b.test", "@ IN A 127.0.0.9") }, "1 insecure false"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := state(); got != step.want {
			t.Errorf("got %s, want %s", got, step.want)
		}
	}
	if err := s.Add("a.test", "@ IN A nonsense"); err == nil {
		t.Error("a record that does not parse: no error")
	}
	if err := s.Add("a.test", "x.b.test. IN A 127.0.0.1"); err == nil {
		t.Error("a record of another zone: no error")
	}
	if err := s.Add("a.test", ""); err == nil {
		t.Error("no record: no error")
	}
}
