// Package spf checks whether a host may send mail for a domain (SPF, RFC 7208).
// It holds no state: a Checker asks a dns.Resolver and returns an Outcome with
// the result, what decided it, and whether DNSSEC vouches for every answer that
// it rests on.
//
// Records are parsed whole before anything is evaluated, so that a syntax error
// anywhere is a permerror (RFC 7208 §4.6). Deliberate choices where the RFC
// leaves one: a domain that is no name after macro expansion matches nothing
// (§4.8), the limit of void lookups is two (§4.6.4), and a name that stands for
// the "p" macro is taken in the order of the answer.
package spf
