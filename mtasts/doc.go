// Package mtasts reads MTA-STS records and policies and fetches policies over
// HTTPS (RFC 8461). It keeps no cache: that is package stspolicy.
package mtasts
