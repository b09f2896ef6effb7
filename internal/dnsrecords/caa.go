package dnsrecords

import (
	"net/url"
	"strings"
)

// AuthorityNames are the names by which CAA records know the authority behind an ACME
// directory (RFC 8659 §4.2), as its own documents give them; none where it is not known.
func AuthorityNames(directory string) []string {
	u, err := url.Parse(directory)
	if err != nil {
		return nil
	}
	host := strings.ToLower(u.Hostname())
	for domain, names := range map[string][]string{
		"letsencrypt.org": {"letsencrypt.org"},
		"zerossl.com":     {"sectigo.com"},
		"sectigo.com":     {"sectigo.com"},
		"pki.goog":        {"pki.goog"},
		"ssl.com":         {"ssl.com"},
	} {
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return names
		}
	}
	return nil
}

// IssueValue is the value of a CAA record that lets an authority issue, for an account
// ("": any) and by some ways of validation (none: any) alone (RFC 8657).
func IssueValue(authority, account string, methods []string) string {
	if account != "" {
		authority += "; accounturi=" + account
	}
	if len(methods) > 0 {
		authority += "; validationmethods=" + strings.Join(methods, ",")
	}
	return authority
}
