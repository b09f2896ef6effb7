// Package companion stands beside a Postfix (3.10 or later) and gives it what
// Waxwing does for its own deliveries: a Collector takes the datagrams that
// Postfix sends through libtlsrpt and keeps them as observations, from which
// the TLS reports are made (RFC 8460, CMP-2); a Resolver answers
// smtp_tls_policy_maps over a socketmap with what the domain has published
// (RFC 7672, RFC 8461, CMP-3); Sendmail hands reports back to Postfix (CMP-4).
//
// What is chosen is chosen by pure functions: Answer, and what a datagram
// counts as.
package companion
