package transport

import (
	"fmt"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
)

// SES-16: a recipient's text names the causes of other hosts, each once and not too many.
func TestWithOthers(t *testing.T) {
	t.Parallel()
	host := func(s string) delivery.MXHost { return delivery.MXHost{Name: dns.MustParse(s)} }
	rr := delivery.RecipientResult{Host: host("mx1.b.test"), Word: "dane-no-match", Text: "no record matches"}
	for _, tt := range []struct {
		name string
		all  []cause
		want string
	}{
		{"alone", []cause{{rr.Host, rr.Word, rr.Text}}, "no record matches"},
		{"another cause", []cause{{rr.Host, rr.Word, rr.Text}, {host("mx2.b.test"), "connect-refused", "refused"}}, "no record matches; other hosts: mx2.b.test: refused"},
		{"the same cause in the same words", []cause{{host("mx2.b.test"), rr.Word, rr.Text}}, "no record matches"},
		{"two addresses of one host", []cause{{host("mx2.b.test"), "timeout", "late"}, {host("mx2.b.test"), "connection-lost", "gone"}}, "no record matches; other hosts: mx2.b.test: late"},
		{"three", []cause{{host("mx2.b.test"), "timeout", "late"}, {host("mx3.b.test"), "connect-refused", "refused"}}, "no record matches; other hosts: mx2.b.test: late; mx3.b.test: refused"},
		{"no host", []cause{{delivery.MXHost{}, "x", "y"}}, "no record matches"},
	} {
		if got := withOthers(rr, tt.all); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := withOthers(delivery.RecipientResult{Word: "timeout"}, nil); got != "timeout" {
		t.Errorf("without a text: %q", got)
	}
	var many []cause
	for i := range 50 {
		many = append(many, cause{host(fmt.Sprintf("mx%d.c.test", i)), "connect-refused", fmt.Sprint("refused ", i)})
	}
	if got, want := withOthers(rr, many), "no record matches; other hosts: mx0.c.test: refused 0; mx1.c.test: refused 1; mx2.c.test: refused 2; mx3.c.test: refused 3; mx4.c.test: refused 4"; got != want {
		t.Errorf("many: %q", got)
	}
}
