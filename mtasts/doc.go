// Package mtasts reads MTA-STS records and policies and fetches policies over
// HTTPS: RFC 8461 §3 (discovery), §4.1 (matching hosts). It keeps no cache:
// that is package stspolicy.
//
// On purpose: empty lines in a policy and underscores in an mx value are
// taken; a max_age above the maximum is cut to it (STS-3); a media type other
// than text/plain is an error (RFC 8461 §3.2 has a SHOULD).
package mtasts
