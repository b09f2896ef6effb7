// Package submitsocket lets programs on this machine hand in mail without a
// password (TRA-5): over a unix socket, whose other end the kernel names. The
// user id of a peer maps to an account and to the addresses it may send from; all
// else is as for mail that came over submission, by the same backend.
//
// What is spoken is SMTP, one message a connection. It differs in one point: a
// message goes to all its recipients or, if one is refused, to none, so that the
// program can mend the list and hand in the whole again.
package submitsocket
