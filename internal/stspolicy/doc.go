// Package stspolicy keeps the MTA-STS policies of recipient domains in the
// store, so that all machines share them (RFC 8461 §3.3, §5.1, §10.2): it finds
// the policy in force for a delivery, remembers failed fetches, and refreshes
// what is in use before it runs out.
package stspolicy
