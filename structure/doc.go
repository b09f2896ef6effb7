// Package structure reads how a message is built, once and in one pass over its
// octets: the fields that an ENVELOPE shows, the tree of MIME parts with where each
// begins and ends, and a preview of its text. What it finds is small, is kept beside
// the message (AppendBinary, Decode), and answers for the message after that: ENVELOPE
// and BODYSTRUCTURE in the words of IMAP, where BODY[1.2.MIME] stands, what SORT and
// THREAD compare.
//
// It covers RFC 5322 with the obsolete syntax, RFC 2045, 2046, 2183 (disposition), 2231
// (parameters in pieces), 2557 (location), 3282 (language), 1864 (MD5), and renders RFC
// 9051 §7.5.2; base subjects and references are those of RFC 5256, previews of RFC 8970.
//
// No message is an error. What is broken is read as Dovecot reads it, since that is
// what clients have met: a multipart that ends early ends there, a header without a
// blank line ends at the boundary, a part of no type is text. Message by message it is
// compared with what Dovecot answers (testdata/dovecot.txt).
//
// On purpose it differs from Dovecot in its bounds (MaxParts, MaxDepth and what is kept of
// header fields), beyond which octets count as the text of the part they stand in.
package structure
