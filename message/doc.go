// Package message reads and writes Internet messages: header fields as they
// stand, byte for byte (RFC 5322 §2.2), address lists (§3.4), MIME bodies
// (RFC 2045 to 2047) within bounds, and the small set of shapes that a mail
// server composes itself.
//
// It covers RFC 5322 §2.2, §3.3 to §3.6, the obsolete addresses of §4.4 and the
// obsolete white space before the colon of §4.5; RFC 2045 §6, RFC 2046 §5.1, RFC
// 2047, RFC 2231 (reading, through mime.ParseMediaType), RFC 6532 (raw UTF-8) and
// the TLS-Required field of RFC 8689 §3.
//
// On purpose it is strict where guessing is dangerous: a header line without
// a colon is an error and not the silent start of the body, because two
// readers that disagree where the body starts see two different messages.
package message
