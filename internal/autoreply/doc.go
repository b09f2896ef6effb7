// Package autoreply decides whether a message may be answered by a program (RFC 3834, RFC 5230
// §4.5 to §4.7) and writes what an account's script says: answers, and notes by mail (RFC 5436). It
// is pure.
package autoreply
