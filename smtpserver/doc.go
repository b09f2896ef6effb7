// Package smtpserver is an SMTP server (RFC 5321) as two small interfaces: a
// Backend makes a Session for each connection, the Session takes transactions.
//
// Extensions: PIPELINING (RFC 2920), SIZE (RFC 1870), STARTTLS (RFC 3207),
// REQUIRETLS (RFC 8689), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531),
// ENHANCEDSTATUSCODES (RFC 2034), CHUNKING without BINARYMIME (RFC 3030), DSN
// (RFC 3461), LIMITS RCPTMAX and MAILMAX (RFC 9422), AUTH (RFC 4954).
//
// Each verb is a method that returns a *smtp.Reply. Replies are buffered and
// written when the server next waits for input, so that a pipelined batch costs
// one write. A connection is one goroutine.
//
// Stricter than the RFCs, on purpose (INB-2, INB-13): lines end in CRLF, and a
// bare CR or LF in a command or in a message ends the connection, so that no
// message can be smuggled through us; commands sent in one go with STARTTLS do
// too. A BDAT body is held to the same rule, but the dialogue goes on: its length
// says where it ends.
package smtpserver
