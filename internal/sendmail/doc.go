// Package sendmail hands in mail for programs that know nothing but
// /usr/sbin/sendmail (TRA-5, TRA-6): the message on standard input with recipients
// as arguments or in its header, or SMTP on standard input (-bs). It completes the
// message and gives it to the server on this machine over its socket, or to a
// submission server over verified TLS.
//
// There is no queue on this side. What goes wrong is told on standard error and by
// the exit code of sysexits.h, or, under -bs, by the reply.
package sendmail
