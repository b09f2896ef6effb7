// Package dmarcrpt reads and writes DMARC aggregate reports: those of RFC 9990,
// and those of RFC 7489 and its drafts, which are what is mostly sent.
//
// Reading is tolerant by entry: a fault of one record costs that record and is
// noted, the rest counts. It is bounded in octets, records and depth; entities
// that a document declares are not expanded. Package tlsrpt is its sibling.
package dmarcrpt
