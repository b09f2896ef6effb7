// Package dane reads TLSA records for SMTP and verifies certificate chains
// against them: RFC 6698, RFC 7671 (§5 usages, §9 digest agility) and RFC 7672
// (§3.1 usages, §3.2 reference names). It does no lookups.
//
// On purpose: the leaf is never its own DANE-TA trust anchor; a bare key in a
// record (2 1 0) is an anchor where it signed a presented certificate
// (RFC 7671 §5.2.3); extended key usage, where a certificate has it, must
// allow servers.
package dane
