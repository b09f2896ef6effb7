// Package dane judges TLSA records for SMTP and verifies certificate chains
// against them: RFC 6698, RFC 7671 and RFC 7672. It does no lookups.
package dane
