package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"waxwing/internal/foreign"
)

// ReplyLimits bound what is read of one reply. The zero value is the default.
type ReplyLimits struct {
	Line  int // octets of one line, CRLF included; 0: 2048 (RFC 5321 §4.5.3.1.5 says 512, and some say more)
	Lines int // lines of one reply; 0: 200
}

func (l ReplyLimits) orDefault() ReplyLimits {
	if l.Line <= 0 {
		l.Line = 2048
	}
	if l.Lines <= 0 {
		l.Lines = 200
	}
	return l
}

// ReplySyntaxError is an answer that is no SMTP reply. The connection cannot
// be used any more, for nobody knows where the next reply begins.
type ReplySyntaxError struct {
	Line   string // what came, cut and cleaned
	Reason string
	Err    error // ErrBareLF, …; may be nil
}

func (e *ReplySyntaxError) Error() string {
	s := "malformed reply: " + e.Reason
	if e.Line != "" {
		s += fmt.Sprintf(": %q", e.Line)
	}
	return s
}

func (e *ReplySyntaxError) Unwrap() error { return e.Err }

// ReplyFaults is a set of ways in which a reply departs from the form of RFC
// 5321 §4.2 while its code can be read.
type ReplyFaults uint16

// The faults of replies.
const (
	FaultLF        ReplyFaults = 1 << iota // a line ends in LF without CR
	FaultCR                                // a CR within a line
	FaultLong                              // a line is longer than the limit; its rest is left out
	FaultLines                             // more lines than the limit; the rest is left out
	FaultBlank                             // blanks before the code, or neither space nor hyphen after it
	FaultCodes                             // lines have other codes than the first, of the same class
	FaultClass                             // or of another class
	FaultUncoded                           // lines without a code
	FaultCut                               // it has no end
	FaultMisplaced                         // octets behind it, or a reply before it that cannot be the one
)

// faultTexts are the faults in their order: the word for logs, and what it means.
var faultTexts = [...]struct{ word, text string }{
	{"bare-lf", "a line ended in LF without CR"},
	{"bare-cr", "a CR stood within a line"},
	{"long-line", "a line was too long"},
	{"many-lines", "it had too many lines"},
	{"blanks", "there was no space after the code, or one before it"},
	{"codes-differ", "its lines had different codes"},
	{"classes-differ", "its lines had codes of different classes"},
	{"line-without-code", "a line had no code"},
	{"cut-off", "it had no end"},
	{"misplaced", "more came than the reply"},
}

// String is the words of the faults, joined by commas; empty for none.
func (f ReplyFaults) String() string {
	return f.join(",", func(i int) string { return faultTexts[i].word })
}

// Text says in words what is wrong; empty for no fault.
func (f ReplyFaults) Text() string {
	return f.join("; ", func(i int) string { return faultTexts[i].text })
}

func (f ReplyFaults) join(sep string, say func(int) string) string {
	if f == 0 {
		return ""
	}
	var out []string
	for i := range faultTexts {
		if f&(1<<i) != 0 {
			out = append(out, say(i))
		}
	}
	return strings.Join(out, sep)
}

// ParseReply reads one reply, of one or more lines, and is strict about its form
// (SES-9): a reply with a fault is a *ReplySyntaxError. Other errors are those
// of the connection. In all else it is ReadReply.
func ParseReply(br *bufio.Reader, limits ReplyLimits) (*Reply, error) {
	r, err := ReadReply(br, limits)
	if r != nil && r.Faults&^FaultCut != 0 {
		return nil, &ReplySyntaxError{Line: foreign.Clip(r.String(), 200), Reason: r.Faults.Text(), Err: r.Faults.err()}
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// err is the error of LineReader for a fault of lines.
func (f ReplyFaults) err() error {
	switch {
	case f&FaultLF != 0:
		return ErrBareLF
	case f&FaultCR != 0:
		return ErrBareCR
	case f&FaultLong != 0:
		return ErrLineTooLong
	}
	return nil
}

// ReadReply reads one reply by its code, however it is written (SES-13): the
// first line's code counts, and what is wrong with the form stands in Faults.
// Control characters and octets that are not UTF-8 are replaced in the text,
// lines and text beyond the limits are left out, and what is read in all is
// bounded. An enhanced code is taken as such only if its class is that of the
// reply (RFC 2034 §4), and is then removed from the text.
//
// An error ends the dialogue: *ReplySyntaxError, or that of the connection. A
// reply beside it is what had come of one whose code is known (FaultCut).
func ReadReply(br *bufio.Reader, limits ReplyLimits) (*Reply, error) {
	limits = limits.orDefault()
	in := replyLines{br: br, max: limits.Line, left: limits.Line*limits.Lines + maxOverrun}
	// Most replies have one line.
	room := &struct {
		Reply
		line [1]string
	}{}
	r := &room.Reply
	r.Lines = room.line[:0]
	for n := 0; ; n++ {
		raw, faults, err := in.next()
		l := parseReplyLine(raw)
		if n == 0 && (l.code == 0 || l.open && timeout(err)) {
			return nil, noCode(raw, err)
		}
		if err == nil || len(raw) > 0 {
			r.Faults |= faults
			r.add(l, raw, limits.Lines)
		}
		if err != nil {
			r.Faults |= FaultCut
		}
		if err != nil || l.code != 0 && !l.more {
			r.takeEnhanced()
			return r, err
		}
	}
}

func timeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// noCode is the error for an answer that does not begin with a code.
func noCode(raw []byte, err error) error {
	if err == nil {
		return &ReplySyntaxError{Line: foreign.Clip(foreign.Line(string(raw)), 200), Reason: "no reply code"}
	}
	if err == ErrEndless {
		return &ReplySyntaxError{Line: foreign.Clip(foreign.Line(string(raw)), 200), Reason: err.Error(), Err: err}
	}
	return err
}

// add takes one line of the reply, the first of which has a code.
func (r *Reply) add(l replyLine, raw []byte, limit int) {
	text := l.text
	switch {
	case len(r.Lines) == 0 && r.Code == 0:
		r.Code = l.code
	case l.code == 0:
		r.Faults |= FaultUncoded
	case l.code/100 != r.Code/100:
		r.Faults |= FaultClass
		text = raw
	case l.code != r.Code:
		r.Faults |= FaultCodes
		text = raw
	}
	if l.code != 0 && l.odd {
		r.Faults |= FaultBlank
	}
	if len(r.Lines) == limit {
		r.Faults |= FaultLines
		return
	}
	r.Lines = append(r.Lines, foreign.Line(string(text)))
}

// replyLine is one line taken apart. code is 0 where it has none, and all of it
// is text.
type replyLine struct {
	code int
	more bool // "250-": another line follows
	odd  bool // a blank is missing, or stands where none belongs
	open bool // nothing follows the code: a fourth digit might have
	text []byte
}

// parseReplyLine takes "250-text" apart. The second digit is not looked at:
// codes such as 571 are met.
func parseReplyLine(raw []byte) replyLine {
	b := bytes.TrimLeft(raw, " \t\r\x00")
	code := 0
	for i := 0; i < 3; i++ {
		if i == len(b) || b[i] < '0' || b[i] > '9' {
			return replyLine{text: raw}
		}
		code = code*10 + int(b[i]-'0')
	}
	l := replyLine{code: code, odd: len(b) < len(raw), text: b[3:]}
	if code < 200 || code > 599 || len(l.text) > 0 && l.text[0] >= '0' && l.text[0] <= '9' {
		return replyLine{text: raw}
	}
	switch {
	case len(l.text) == 0:
		l.open = true
	case l.text[0] == ' ', l.text[0] == '-':
		l.more = l.text[0] == '-'
		l.text = l.text[1:]
	default:
		l.odd = true
		l.text = bytes.TrimLeft(l.text, "\t\r\x00")
	}
	return l
}

// replyLines reads lines of a reply whatever ends them, and never more of them
// in all than left.
type replyLines struct {
	br   *bufio.Reader
	max  int // octets that are kept of a line, its end included
	left int
	buf  []byte // only for lines longer than br's buffer
}

// next is the next line without its end, valid until the next read, and what is
// wrong with that end. Beside an error it is what came before.
func (in *replyLines) next() ([]byte, ReplyFaults, error) {
	line, err := in.br.ReadSlice('\n')
	total := len(line)
	if err == bufio.ErrBufferFull {
		line, total, err = in.long(line)
	}
	in.left -= total
	if err == nil && in.left < 0 {
		err = ErrEndless
	}
	if err == io.EOF && len(line) > 0 {
		err = io.ErrUnexpectedEOF
	}
	var f ReplyFaults
	switch {
	case total > in.max:
		f |= FaultLong
		line = line[:min(len(line), in.max)]
	case err != nil:
	case total < 2 || line[total-2] != '\r':
		f |= FaultLF
		line = line[:total-1]
	default:
		line = line[:total-2]
	}
	if bytes.IndexByte(line, '\r') >= 0 {
		f |= FaultCR
	}
	return line, f, err
}

// long reads a line that does not fit into the buffer of br; total is its length
// with what is not kept.
func (in *replyLines) long(first []byte) (line []byte, total int, err error) {
	in.buf = append(in.buf[:0], first[:min(len(first), in.max)]...)
	for total = len(first); ; {
		if total > in.left {
			return in.buf, total, ErrEndless
		}
		var part []byte
		part, err = in.br.ReadSlice('\n')
		total += len(part)
		in.buf = append(in.buf, part[:min(len(part), in.max-len(in.buf))]...)
		if err != bufio.ErrBufferFull {
			return in.buf, total, err
		}
	}
}
