// Package arf writes and reads feedback reports about mail that was not authenticated: the
// Abuse Reporting Format (RFC 5965) of the type auth-failure (RFC 6591), with what RFC 9991 adds
// for DMARC. It holds no state.
package arf
