// Package dkim signs messages and verifies signatures: RFC 6376 with the
// algorithms and key sizes of RFC 8301 (no rsa-sha1, no RSA key under 1024
// bits) and RFC 8463 (Ed25519).
//
// It differs on purpose: a key's service types (s=) are reported and left to
// the caller to weigh by use (AUT-4), since a TLS report may be signed with a
// key of type tlsrpt (RFC 8460 §3) that ordinary mail may not; and a body
// length (l=) is honoured and reported, since what is outside of it was not
// signed and the caller has to know. RFC 6376 §3.6.2.2 leaves several key
// records at one name undefined: each is tried.
package dkim
