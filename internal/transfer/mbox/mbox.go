// Package mbox reads and writes mbox files (RFC 4155): messages one behind the other, each behind
// a line that begins with "From ".
//
// Lines of a message that would be taken for such a line are quoted with ">". It writes mboxrd,
// where every ">From " gets one more, so that it can be undone; it reads that and mboxo, where only "From "
// was quoted. A line is where a message begins if an empty line stands before it and a date at its
// end: programs that quote nothing are thus read as they meant it, nearly always.
//
// Flags stand in the fields Status, X-Status and X-Keywords, as mutt, Dovecot and UW-IMAP write
// them. Where they are the last of the header they are the file's and no part of the message; elsewhere
// they are read and stay. X-Mozilla-Status is read and stays.
//
// What an mbox file cannot hold: a message that does not end with a line end gets one.
package mbox

import (
	"errors"
	"time"
)

// ErrFormat is of a file that does not begin as an mbox file does.
var ErrFormat = errors.New(`this is no mbox file: it does not begin with "From "`)

// Quoting is how lines that begin with "From " were quoted.
type Quoting uint8

// The quotings.
const (
	RD   Quoting = iota // each >From has one > more
	O                   // From has a > more; >From stays
	None                // nothing was quoted
)

// Message is what a file says of a message besides its text.
type Message struct {
	Sender string    // of the envelope; "" is unknown
	Date   time.Time // when it arrived, to the second; zero: unknown
	Flags  []string  // as IMAP spells them
	Offset int64     // where its text begins in the file
}

// nobody is the sender of a message that has none (RFC 4155, appendix A).
const nobody = "MAILER-DAEMON"

// maxHeader is how long a header may be in which flags are looked for, in octets.
const maxHeader = 1 << 20
