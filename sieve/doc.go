// Package sieve compiles and runs Sieve scripts (RFC 5228). It does no I/O:
// Compile turns a script into a Program or into an error with its line, Run
// turns a message and its environment into a list of actions, within a budget.
//
// Extensions: fileinto, reject and ereject (RFC 5429), envelope, encoded-character
// (RFC 5228), imap4flags (RFC 5232), variables (RFC 5229), relational (RFC 5231),
// subaddress (RFC 5233), copy (RFC 3894), mailbox and mailboxid without identifiers
// (RFC 5490), special-use (RFC 8579), date and index (RFC 5260), body (RFC 5173),
// vacation and vacation-seconds (RFC 5230, 6131), environment (RFC 5183), include
// (RFC 6609), duplicate (RFC 7352), editheader (RFC 5293), regex (the draft, with
// the syntax of Go's regexp), spamtest (RFC 5235), enotify with mailto (RFC 5435,
// 5436), ihave (RFC 5463).
package sieve
