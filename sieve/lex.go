package sieve

import (
	"fmt"
	"strconv"
	"strings"
)

// Error is a fault of a script.
type Error struct {
	Line int // from 1
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

func fault(line int, format string, args ...any) error {
	return &Error{line, fmt.Sprintf(format, args...)}
}

// The bounds of a script.
const (
	maxScript  = 1 << 20 // octets
	maxString  = 64 << 10
	maxNesting = 15 // of blocks and of tests (RFC 5228 §2.10.5)
	maxNodes   = 20_000
)

type kind uint8

const (
	tokenEnd kind = iota
	tokenIdentifier
	tokenTag
	tokenNumber
	tokenString
	tokenPunctuation // ( ) [ ] { } , ;
)

type token struct {
	kind   kind
	text   string // lower case for identifiers and tags; a string's value
	number uint64
	line   int
}

// lexer is RFC 5228 §8.1.
type lexer struct {
	s    string
	pos  int
	line int
}

func (l *lexer) next() (token, error) {
	if err := l.space(); err != nil {
		return token{}, err
	}
	t := token{line: l.line}
	if l.pos == len(l.s) {
		return t, nil
	}
	switch c := l.s[l.pos]; {
	case strings.IndexByte("()[]{},;", c) >= 0:
		l.pos++
		t.kind, t.text = tokenPunctuation, string(c)
		return t, nil
	case c == '"':
		return l.quoted()
	case c == ':':
		l.pos++
		t.kind, t.text = tokenTag, l.identifier()
		if t.text == "" {
			return t, fault(l.line, "a colon without a name behind it")
		}
		return t, nil
	case c >= '0' && c <= '9':
		return l.numeral()
	}
	t.kind, t.text = tokenIdentifier, l.identifier()
	if t.text == "" {
		return t, fault(l.line, "%q has no place here", l.s[l.pos])
	}
	if t.text == "text" && l.pos < len(l.s) && l.s[l.pos] == ':' {
		l.pos++
		return l.multiline()
	}
	return t, nil
}

// space skips white space and comments.
func (l *lexer) space() error {
	for l.pos < len(l.s) {
		switch c := l.s[l.pos]; {
		case c == '\n':
			l.line++
			l.pos++
		case c == ' ', c == '\t', c == '\r':
			l.pos++
		case c == '#':
			l.comment()
		case strings.HasPrefix(l.s[l.pos:], "/*"):
			end := strings.Index(l.s[l.pos+2:], "*/")
			if end < 0 {
				return fault(l.line, "a comment without its end")
			}
			l.line += strings.Count(l.s[l.pos:l.pos+2+end], "\n")
			l.pos += end + 4
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) comment() {
	end := strings.IndexByte(l.s[l.pos:], '\n')
	if end < 0 {
		l.pos = len(l.s)
		return
	}
	l.pos += end
}

func identifierByte(c byte, first bool) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || !first && c >= '0' && c <= '9'
}

func (l *lexer) identifier() string {
	start := l.pos
	for l.pos < len(l.s) && identifierByte(l.s[l.pos], l.pos == start) {
		l.pos++
	}
	return strings.ToLower(l.s[start:l.pos])
}

// numeral is digits and a quantifier K, M or G.
func (l *lexer) numeral() (token, error) {
	start := l.pos
	for l.pos < len(l.s) && l.s[l.pos] >= '0' && l.s[l.pos] <= '9' {
		l.pos++
	}
	n, err := strconv.ParseUint(l.s[start:l.pos], 10, 63)
	if err != nil {
		return token{}, fault(l.line, "the number %s is too large", l.s[start:min(l.pos, start+30)])
	}
	if l.pos < len(l.s) {
		shift := map[byte]uint{'k': 10, 'm': 20, 'g': 30}[l.s[l.pos]|0x20]
		if shift > 0 {
			l.pos++
			if n<<shift>>shift != n || n<<shift > 1<<62 {
				return token{}, fault(l.line, "the number %s is too large", l.s[start:l.pos])
			}
			n <<= shift
		}
		if l.pos < len(l.s) && identifierByte(l.s[l.pos], false) {
			return token{}, fault(l.line, "a number runs into a name")
		}
	}
	return token{kind: tokenNumber, text: l.s[start:l.pos], number: n, line: l.line}, nil
}

func (l *lexer) quoted() (token, error) {
	t := token{kind: tokenString, line: l.line}
	var b strings.Builder
	for l.pos++; l.pos < len(l.s); l.pos++ {
		c := l.s[l.pos]
		switch {
		case c == '"':
			l.pos++
			t.text = b.String()
			return t, nil
		case c == '\\' && l.pos+1 < len(l.s):
			l.pos++
			c = l.s[l.pos]
		}
		if c == '\n' {
			l.line++
		}
		if b.Len() == maxString {
			return t, fault(t.line, "a string is longer than %d octets", maxString)
		}
		b.WriteByte(c)
	}
	return t, fault(t.line, "a string without its end")
}

// multiline is what follows "text:" (RFC 5228 §2.4.2).
func (l *lexer) multiline() (token, error) {
	t := token{kind: tokenString, line: l.line}
	for l.pos < len(l.s) && (l.s[l.pos] == ' ' || l.s[l.pos] == '\t') {
		l.pos++
	}
	if l.pos < len(l.s) && l.s[l.pos] == '#' {
		l.comment()
	}
	line, ok := l.textLine()
	if !ok || strings.TrimSuffix(line, "\r") != "" {
		return t, fault(t.line, "text: must end its line")
	}
	var b strings.Builder
	for {
		line, ok := l.textLine()
		switch {
		case !ok:
			return t, fault(t.line, "a text: without the line that ends it, a dot alone")
		case strings.TrimSuffix(line, "\r") == ".":
			t.text = b.String()
			return t, nil
		case b.Len()+len(line) > maxString:
			return t, fault(t.line, "a string is longer than %d octets", maxString)
		}
		b.WriteString(strings.TrimSuffix(strings.TrimPrefix(line, "."), "\r"))
		b.WriteString("\r\n")
	}
}

// textLine takes the rest of the line; false without a line end, but for a last
// line that is a dot.
func (l *lexer) textLine() (string, bool) {
	end := strings.IndexByte(l.s[l.pos:], '\n')
	if end < 0 {
		rest := l.s[l.pos:]
		l.pos = len(l.s)
		return rest, rest == "."
	}
	line := l.s[l.pos : l.pos+end]
	l.pos += end + 1
	l.line++
	return line, true
}
