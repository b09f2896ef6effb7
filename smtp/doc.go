// Package smtp holds what SMTP clients and servers share: replies, enhanced
// status codes, paths, commands and their parameters, extensions, limits and
// the reading and writing of lines and message data.
//
// RFC 5321 (SMTP), RFC 3463 (enhanced codes), RFC 1870 (SIZE), RFC 2920
// (PIPELINING), RFC 3030 (CHUNKING), RFC 3207 (STARTTLS), RFC 3461 (DSN),
// RFC 4954 (AUTH), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 8689
// (REQUIRETLS), RFC 9422 (LIMITS).
package smtp
