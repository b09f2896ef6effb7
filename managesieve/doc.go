// Package managesieve reads and writes the protocol with which Sieve scripts are managed (RFC 5804):
// commands of a client, and answers to them. It holds no state of a session and does no I/O of its
// own but on the reader and writer that it is given.
//
// What a client sends is bounded: a line by MaxLine, a string by the reader's Limit. A string that
// is too long, or an error of syntax, costs its command; what belongs to it is skipped, so that the next
// command is read as such.
package managesieve
