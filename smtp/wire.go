package smtp

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
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

// ParseReply reads one reply, of one or more lines (SES-9). Errors are
// *ReplySyntaxError and those of the connection. Control characters and bytes
// that are not UTF-8 are replaced in the text. An enhanced code is taken as
// such only if its class is that of the reply (RFC 2034 §4), and is then
// removed from the text.
func ParseReply(br *bufio.Reader, limits ReplyLimits) (*Reply, error) {
	limits = limits.orDefault()
	lr := NewLineReader(br, limits.Line)
	// Most replies have one line.
	room := &struct {
		Reply
		line [1]string
	}{}
	r := &room.Reply
	r.Lines = room.line[:0]
	for n := 0; ; n++ {
		raw, err := lr.ReadLine()
		if err != nil {
			return nil, replyLineError(err)
		}
		if n == limits.Lines {
			return nil, &ReplySyntaxError{Reason: fmt.Sprintf("more than %d lines", limits.Lines)}
		}
		code, more, text, reason := replyLine(raw)
		if reason == "" && n > 0 && code != r.Code {
			reason = "code differs from that of the line before"
		}
		if reason != "" {
			return nil, &ReplySyntaxError{Line: clip(clean(string(raw))), Reason: reason}
		}
		r.Code = code
		r.Lines = append(r.Lines, clean(text))
		if !more {
			r.takeEnhanced()
			return r, nil
		}
	}
}

func replyLineError(err error) error {
	switch {
	case errors.Is(err, ErrLineTooLong), errors.Is(err, ErrEndless), errors.Is(err, ErrBareCR), errors.Is(err, ErrBareLF):
		return &ReplySyntaxError{Reason: err.Error(), Err: err}
	}
	return err
}

// replyLine splits "250-text". The second digit is not looked at: codes such
// as 571 are met.
func replyLine(b []byte) (code int, more bool, text, reason string) {
	if len(b) < 3 {
		return 0, false, "", "no reply code"
	}
	for _, c := range b[:3] {
		if c < '0' || c > '9' {
			return 0, false, "", "no reply code"
		}
		code = code*10 + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, false, "", "reply code out of range"
	}
	if len(b) == 3 {
		return code, false, "", ""
	}
	if b[3] != ' ' && b[3] != '-' {
		return 0, false, "", "neither space nor hyphen after the code"
	}
	return code, b[3] == '-', string(b[4:]), ""
}

// takeEnhanced moves an enhanced code from the text to its field. The first
// line decides; the others drop theirs if it is the same.
func (r *Reply) takeEnhanced() {
	word, _, _ := strings.Cut(r.Lines[0], " ")
	e, err := ParseEnhanced(word)
	if err != nil || e.Class != r.Code/100 {
		return
	}
	r.Enhanced = e
	for i, line := range r.Lines {
		if rest, ok := strings.CutPrefix(line, word); ok && (rest == "" || rest[0] == ' ') {
			r.Lines[i] = strings.TrimPrefix(rest, " ")
		}
	}
}

// ParseEnhanced parses "5.7.1" (RFC 3463 §2).
func ParseEnhanced(s string) (Enhanced, error) {
	var n [3]int
	rest := s
	for i := range n {
		part, after, more := strings.Cut(rest, ".")
		v, ok := enhancedPart(part)
		if !ok || more != (i < 2) {
			return Enhanced{}, fmt.Errorf("%q is no enhanced status code", clip(clean(s)))
		}
		n[i], rest = v, after
	}
	if n[0] != 2 && n[0] != 4 && n[0] != 5 {
		return Enhanced{}, fmt.Errorf("%q is no enhanced status code: its class is not 2, 4 or 5", clip(clean(s)))
	}
	return Enhanced{n[0], n[1], n[2]}, nil
}

// enhancedPart parses one to three digits without leading zeros.
func enhancedPart(s string) (n int, ok bool) {
	if s == "" || len(s) > 3 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// AppendWire appends the reply as it is sent, each line with code, enhanced
// code and CRLF. Line ends within a line are replaced, so that no text can
// make a reply of its own.
func (r *Reply) AppendWire(b []byte) []byte {
	lines := r.Lines
	if len(lines) == 0 {
		lines = []string{""}
	}
	for i, line := range lines {
		b = strconv.AppendInt(b, int64(r.Code), 10)
		if i < len(lines)-1 {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if !r.Enhanced.IsZero() {
			b = append(b, r.Enhanced.String()...)
			b = append(b, ' ')
		}
		b = append(b, clean(line)...)
		b = append(b, '\r', '\n')
	}
	return b
}

// clean replaces control characters by spaces and what is not UTF-8 by U+FFFD.
func clean(s string) string {
	if isASCII(s) && printable(s) {
		return s
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, s)
}

func clip(s string) string {
	const max = 200
	if len(s) <= max {
		return s
	}
	n := max
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
