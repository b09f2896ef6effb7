// Package smtpclient is the client's side of one SMTP connection: RFC 5321,
// with STARTTLS (RFC 3207), PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME
// (RFC 6152), SMTPUTF8 (RFC 6531), DSN (RFC 3461), AUTH (RFC 4954), REQUIRETLS
// (RFC 8689), LIMITS (RFC 9422), CHUNKING (RFC 3030) for small messages, and TLS
// from the start (RFC 8314).
//
// It dials nothing, verifies no certificate of its own accord and decides
// nothing about mail: the caller brings a connection and a tls.Config, and gets
// every reply with a typed error for everything that is none. Where it differs
// from other clients on purpose:
//
//   - The TLS handshake is a step of its own, so that its failure is never
//     mistaken for something else, and a TLS alert on the first read after it
//     (as TLS 1.3 servers send when they refuse) counts as its failure too.
//   - Everything learnt before STARTTLS is forgotten, and bytes that came with
//     the reply to STARTTLS are an error: they were sent before TLS, by
//     whomever (RFC 3207 §6).
//   - Each step has one deadline for the whole of its reply, and the message
//     one that follows from its size, so that a peer that drips bytes gains nothing.
//   - Replies count by their code, however they are written; the one that settles
//     a message even where it is cut off. Its faults stand in smtp.Reply.Faults,
//     and the connection carries no other message.
//   - A message with a bare CR or LF is not sent (see smtp.DataWriter).
package smtpclient
