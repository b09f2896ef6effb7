// Package tlsrpt reads and writes SMTP TLS reports (RFC 8460): the DNS record
// (§3), the JSON report (§4.4), its file name (§5.1) and its mail (§5.3). It
// looks nothing up and sends nothing. Everything is safe for concurrent use.
//
// On purpose wider than the RFC: Parse takes what is really sent (a single
// string where an array belongs, missing members, unknown types, times without
// a zone), see Parse. Encode writes only what the RFC describes.
package tlsrpt
