package stspublish

import (
	"testing"

	"waxwing/dns"
)

// TestAnnounce (CRT-3): the table of when the record of a policy may be published: never
// before strangers are served just that policy.
func TestAnnounce(t *testing.T) {
	t.Parallel()
	p := Published{Domain: dns.MustParse("example.org"), Text: "version: STSv1\r\nmode: enforce\r\nmx: mx.example.org\r\nmax_age: 604800\r\n", ID: "2"}
	for about, tt := range map[string]struct {
		served string
		may    bool
	}{
		"the policy":          {p.Text, true},
		"nothing":             {"", false},
		"the one before it":   {"version: STSv1\r\nmode: testing\r\nmx: mx.example.org\r\nmax_age: 604800\r\n", false},
		"with something more": {p.Text + "x", false},
	} {
		if err := Announce(p, tt.served); (err == nil) != tt.may {
			t.Errorf("%s is served: %v", about, err)
		}
	}
}
