// Package dmarc evaluates DMARC (RFC 9989): it parses policy records, walks the
// DNS tree for the policy and the organizational domains, and says whether an
// authenticated identifier is aligned with the author domain. It holds no state.
//
// What is read of RFC 7489: "pct", "rf" and "ri" are known; pct decides nothing
// (RFC 9989 Appendix A.6), ri is kept for whoever sends reports. There is no
// public suffix list.
package dmarc
