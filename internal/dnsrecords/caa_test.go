package dnsrecords

import (
	"slices"
	"testing"
)

func TestAuthorityNames(t *testing.T) {
	t.Parallel()
	for directory, want := range map[string][]string{
		"https://acme-v02.api.letsencrypt.org/directory": {"letsencrypt.org"},
		"https://ACME-v02.API.LetsEncrypt.org/directory": {"letsencrypt.org"},
		"https://acme.zerossl.com/v2/DV90":               {"sectigo.com"},
		"https://dv.acme-v02.api.pki.goog/directory":     {"pki.goog"},
		"https://acme.ssl.com/sslcom-dv-ecc":             {"ssl.com"},
		"https://notletsencrypt.org/directory":           nil,
		"https://letsencrypt.org.example/directory":      nil,
		"https://127.0.0.1:14000/dir":                    nil,
		"https://acme.example/x?y=api.letsencrypt.org":   nil,
		"::": nil,
	} {
		if got := AuthorityNames(directory); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", directory, got, want)
		}
	}
}

// A CAA record says who may issue, for whom, and by which way (RFC 8659 §4.2, RFC 8657 §3).
func TestIssueValue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		account string
		methods []string
		want    string
	}{
		{"", nil, "ca.example"},
		{"https://ca.example/1", nil, "ca.example; accounturi=https://ca.example/1"},
		{"", []string{"http-01"}, "ca.example; validationmethods=http-01"},
		{"https://ca.example/1", []string{"http-01", "dns-01"}, "ca.example; accounturi=https://ca.example/1; validationmethods=http-01,dns-01"},
	} {
		if got := IssueValue("ca.example", tt.account, tt.methods); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
