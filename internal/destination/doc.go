// Package destination finds where mail for a domain goes: its MX hosts in the
// order of trying, their addresses and TLSA records, each with its DNSSEC state
// (RFC 5321 §5.1, RFC 7505, RFC 7672 §2.2).
//
// Finder.Find asks the DNS; what the answers mean is decided by functions of
// values alone (candidates, assemble, daneOf), which do no I/O.
package destination
