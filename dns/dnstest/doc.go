// Package dnstest is a small DNS for tests and for the lab: a Server that
// stands for a validating resolver and speaks real UDP and TCP (or, for tests
// with a fake clock, net.Pipe), and a Resolver that knows only what a test
// expects to be asked.
//
// The Server makes no signatures. It answers as a validating resolver would
// for zones whose state each Zone declares: with AD (Secure), without
// (Insecure), or with SERVFAIL and an extended error (Bogus, RFC 8914).
package dnstest
