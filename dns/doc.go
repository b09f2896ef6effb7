// Package dns looks names up and says how far each answer can be trusted.
//
// Every answer carries its DNSSEC state (RFC 4033 §5, RFC 4035 §4.3). The first
// source of that state is the AD bit of a validating resolver that the operator
// trusts (RFC 6840 §5.8); extended errors (RFC 8914) tell a failed validation
// from a broken server. Messages are those of github.com/miekg/dns; the states,
// the cache (RFC 2308) and the self-test are this package's own.
package dns
