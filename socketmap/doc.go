// Package socketmap is the protocol with which Postfix looks a key up over a
// socket (socketmap_table(5)): netstrings both ways, a request "MAP KEY", a
// reply of a status word and text. It holds the protocol, a server, and a
// client for tests and diagnosis.
//
// Where it differs on purpose: a length with leading zeros or of more than
// seven digits is refused, and a reply that Postfix would not understand is
// never sent: octets that would break it are replaced, and text above the size
// that Postfix takes becomes a temporary failure.
package socketmap
