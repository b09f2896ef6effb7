// Package milter is the mail server's side of Sendmail's milter protocol, version 6 (with 2 to 5
// understood): a Session asks one filter about one message, command by command, and returns what
// it answers. What an answer means for the message is the caller's to decide.
//
// No standard describes the protocol. What is here follows libmilter of Sendmail 8.17 and its
// documentation, and differs on purpose in this: a filter is bounded in time, octets, packets and
// changes, for all that it does about one message together; whatever it sends beside the protocol
// ends the session; and a session is about one message, so that nothing of one is left for the next.
package milter

import (
	"fmt"
	"strings"
	"time"
)

// Limits are what a filter may use for one message.
type Limits struct {
	Time    time.Duration // for which it is waited, all answers together; not while nothing is asked
	Octets  int64         // that it may send
	Packets int           // that it may send, signs of life included
	Changes int           // that it may ask for
}

// maxPacket bounds one packet of a filter, in octets. libmilter sends no more than 65,536.
const maxPacket = 1 << 20

// maxBody is how much of a body goes in one packet, in octets (MILTER_CHUNK_SIZE).
const maxBody = 65535

// Verb is what a filter answers to a command.
type Verb uint8

// The verbs. Continue is the zero value.
const (
	Continue  Verb = iota
	Accept         // the filter does not want to know more of this message
	Discard        // the message is to be taken and thrown away
	Reject         // 5xx, in the server's words
	TempFail       // 4xx, in the server's words
	ReplyWith      // 4xx or 5xx, in the filter's words: Answer.Reply
)

var verbWords = [...]string{"continue", "accept", "discard", "reject", "tempfail", "reply"}

func (v Verb) String() string { return verbWords[v] }

// Answer is what a filter says to one command.
type Answer struct {
	Verb  Verb
	Reply Reply // of ReplyWith
}

// Reply is an SMTP reply as a filter wants it. Its text is the filter's: any octets but NUL and line ends.
type Reply struct {
	Code     int      // 400 to 599
	Enhanced [3]int   // zero: none
	Lines    []string // at least one, may be empty
}

// Op is how a message is to be changed.
type Op uint8

// The operations.
const (
	AddField Op = iota // below all others
	InsertField
	ChangeField // with an empty value: remove
	AddRecipient
	RemoveRecipient
	ChangeSender
	Quarantine
)

var opWords = [...]string{"add-field", "insert-field", "change-field", "add-recipient", "remove-recipient", "change-sender", "quarantine"}

func (o Op) String() string { return opWords[o] }

// Change is one change that a filter asks for. All text is the filter's: any octets but NUL.
type Change struct {
	Op Op
	// Index is for InsertField how many fields are to stand above it; for ChangeField which field of that
	// name is meant, from 1, and with one more than there are, a new one.
	Index int
	Name  string // of a field
	Value string // of a field as it is to stand behind the colon, folded with LF; an address as it came; a reason
	Param string // ESMTP parameters of an address
}

// Result is what a filter answers to a whole message.
type Result struct {
	Answer   Answer
	Changes  []Change // in the order in which they are to be made
	Replaced bool     // the body is to be what was written to Message.Replaced
}

// Field is one header field: Value is what stands behind the colon, with its white space and
// folding, without the last line end.
type Field struct{ Name, Value string }

// Macros are what the server knows beside the dialogue, by names as libmilter has them: one
// letter, or several in braces.
type Macros map[string]string

// ProtocolError is what a filter did that it must not.
type ProtocolError struct{ Text string }

func (e *ProtocolError) Error() string { return "milter: " + e.Text }

func fault(format string, args ...any) error { return &ProtocolError{fmt.Sprintf(format, args...)} }

// LocalError is a failure of what the caller has a message read from or written to.
type LocalError struct{ Err error }

func (e *LocalError) Error() string { return e.Err.Error() }

func (e *LocalError) Unwrap() error { return e.Err }

// Commands of the server, and answers of the filter (libmilter/mfdef.h).
const (
	cmdNegotiate = 'O'
	cmdMacros    = 'D'
	cmdConnect   = 'C'
	cmdHELO      = 'H'
	cmdMail      = 'M'
	cmdRcpt      = 'R'
	cmdData      = 'T'
	cmdField     = 'L'
	cmdHeaderEnd = 'N'
	cmdBody      = 'B'
	cmdEnd       = 'E'
	cmdQuit      = 'Q'

	ansContinue   = 'c'
	ansAccept     = 'a'
	ansDiscard    = 'd'
	ansReject     = 'r'
	ansTempFail   = 't'
	ansReply      = 'y'
	ansSkip       = 's'
	ansProgress   = 'p'
	ansConnFail   = 'f'
	ansShutdown   = '4'
	ansAddField   = 'h'
	ansInsert     = 'i'
	ansChange     = 'm'
	ansAddRcpt    = '+'
	ansAddRcptPar = '2'
	ansDelRcpt    = '-'
	ansSender     = 'e'
	ansBody       = 'b'
	ansQuarantine = 'q'
)

// Steps of the protocol that a filter may not want to hear of, and answers that it does not give.
const (
	noConnect      = 0x1
	noHELO         = 0x2
	noMail         = 0x4
	noRcpt         = 0x8
	noBody         = 0x10
	noFields       = 0x20
	noHeaderEnd    = 0x40
	mutesFields    = 0x80
	noUnknown      = 0x100
	noData         = 0x200
	skips          = 0x400
	mutesConnect   = 0x1000
	mutesHELO      = 0x2000
	mutesMail      = 0x4000
	mutesRcpt      = 0x8000
	mutesData      = 0x10000
	mutesUnknown   = 0x20000
	mutesHeaderEnd = 0x40000
	mutesBody      = 0x80000
	leadingSpace   = 0x100000

	// offered is all of these. Recipients that are refused (0x800) are not told, and bodies go in pieces of
	// maxBody (0x10000000 and 0x20000000 would be larger ones).
	offered = noConnect | noHELO | noMail | noRcpt | noBody | noFields | noHeaderEnd | mutesFields | noUnknown | noData | skips |
		mutesConnect | mutesHELO | mutesMail | mutesRcpt | mutesData | mutesUnknown | mutesHeaderEnd | mutesBody | leadingSpace
	// actions are all that a filter may ask for, and lists of macros (0x100).
	actions = 0x1ff
	version = 6
)

// word is text as it goes over the wire: without NUL, which ends it.
func word(s string) string { return strings.ReplaceAll(s, "\x00", "") }
