package mtasts

import "waxwing/dns"

// ParsePolicy parses the text of a policy file (STS-3). The word of its errors is PolicySyntax.
func ParsePolicy(text []byte) (*Policy, *Error) { return nil, &Error{Word: PolicySyntax} }

// Text is the policy as a file to serve, CRLF line ends.
func (p *Policy) Text() string { return "" }

// Matches reports whether host is one of the policy's mx (RFC 8461 §4.1).
func (p *Policy) Matches(host dns.Name) bool { return false }

// Patterns are the policy's mx values, as TLS reports give them (RFC 8460 §4.4 mx-host).
func (p *Policy) Patterns() []string { return nil }
