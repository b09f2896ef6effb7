package imap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Limits bound what is read of a client. Zero fields are the defaults.
type Limits struct {
	Line    int // octets of a command without its literals; 0: 64 KiB (RFC 7162 §4 wants 8 KiB at least)
	Literal int // octets of all literals in a command, but of messages; 0: 64 KiB
	Depth   int // of parentheses; 0: 32
	Items   int // of one list; 0: 10,000
}

func (l Limits) orDefault() Limits {
	for _, p := range []struct {
		field    *int
		fallback int
	}{{&l.Line, 64 << 10}, {&l.Literal, 64 << 10}, {&l.Depth, 32}, {&l.Items, 10_000}} {
		if *p.field == 0 {
			*p.field = p.fallback
		}
	}
	return l
}

// SyntaxError is a command that cannot be read. The rest of its line was taken
// in, so that the next command can be.
type SyntaxError struct {
	Tag  string // "*" where none could be read
	Text string
}

func (e *SyntaxError) Error() string { return e.Text }

// Errors that end the connection, since nobody knows where the next command begins.
var (
	ErrLineTooLong    = errors.New("imap: the line is too long")
	ErrLiteralTooLong = errors.New("imap: the literal is too long")
)

// errSyntax carries what is wrong up to where the tag is known.
type errSyntax string

func (e errSyntax) Error() string { return string(e) }

func bad(format string, args ...any) error { return errSyntax(fmt.Sprintf(format, args...)) }

// lexer reads one command, octet by octet.
type lexer struct {
	br       *bufio.Reader
	limits   Limits
	more     func() error // asks the client for a literal (RFC 9051 §7.6)
	left     int          // of the line
	literals int          // octets left for literals
	depth    int
	ended    bool // the line's end was read
}

// peek is the next octet; '\n' stands for the line's end.
func (l *lexer) peek() (byte, error) {
	if l.ended {
		return '\n', nil
	}
	b, err := l.br.Peek(1)
	if err != nil {
		return 0, err
	}
	if b[0] != '\r' {
		return b[0], nil
	}
	if b, err = l.br.Peek(2); err != nil {
		return 0, err
	}
	if b[1] == '\n' {
		return '\n', nil
	}
	return '\r', nil
}

// take reads the octet that peek has shown.
func (l *lexer) take() (byte, error) {
	c, err := l.peek()
	if err != nil || l.ended {
		return c, err
	}
	n := 1
	if b, _ := l.br.Peek(1); c == '\n' && b[0] == '\r' {
		n = 2
	}
	if l.left -= n; l.left < 0 {
		return 0, ErrLineTooLong
	}
	if _, err := l.br.Discard(n); err != nil {
		return 0, err
	}
	l.ended = c == '\n'
	return c, nil
}

// expect takes c.
func (l *lexer) expect(c byte) error {
	got, err := l.peek()
	if err != nil {
		return err
	}
	if got != c {
		return bad("%s is expected, and %s stands there", name(c), name(got))
	}
	_, err = l.take()
	return err
}

func name(c byte) string {
	switch c {
	case '\n':
		return "the end of the command"
	case ' ':
		return "a space"
	}
	return strconv.QuoteToASCII(string(rune(c)))
}

// is takes c if it comes next.
func (l *lexer) is(c byte) (bool, error) {
	got, err := l.peek()
	if err != nil || got != c {
		return false, err
	}
	_, err = l.take()
	return true, err
}

func (l *lexer) space() error { return l.expect(' ') }
func (l *lexer) end() error   { return l.expect('\n') }

// atEnd reports that the command ends here.
func (l *lexer) atEnd() (bool, error) {
	c, err := l.peek()
	return c == '\n', err
}

// skip takes in the rest of a command that cannot be read. A literal within it is
// read too where the client does not wait for us to ask.
func (l *lexer) skip() error {
	tail := make([]byte, 0, 24)
	for !l.ended {
		c, err := l.take()
		if err != nil {
			return err
		}
		if c == '\n' {
			if n, ok := nonSync(tail); ok {
				if n > int64(l.limits.Literal) {
					return ErrLiteralTooLong
				}
				if _, err := io.CopyN(io.Discard, l.br, n); err != nil {
					return err
				}
				l.ended, tail = false, tail[:0]
			}
			continue
		}
		if len(tail) == cap(tail) {
			tail = append(tail[:0], tail[1:]...)
		}
		tail = append(tail, c)
	}
	return nil
}

// nonSync reads "{123+}" at the end of a line.
func nonSync(tail []byte) (int64, bool) {
	s := string(tail)
	i := strings.LastIndexByte(s, '{')
	if i < 0 || !strings.HasSuffix(s, "+}") {
		return 0, false
	}
	n, err := strconv.ParseInt(s[i+1:len(s)-2], 10, 63)
	return n, err == nil && n >= 0
}

// atomChar is ATOM-CHAR of RFC 9051 §9.
func atomChar(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`(){%*"\]`, c) < 0
}

// word reads one or more octets that ok allows.
func (l *lexer) word(what string, ok func(byte) bool) (string, error) {
	var b strings.Builder
	for {
		c, err := l.peek()
		if err != nil {
			return "", err
		}
		if c == '\n' || !ok(c) {
			if b.Len() == 0 {
				return "", bad("%s is expected, and %s stands there", what, name(c))
			}
			return b.String(), nil
		}
		if _, err := l.take(); err != nil {
			return "", err
		}
		b.WriteByte(c)
	}
}

func (l *lexer) atom() (string, error) { return l.word("an atom", atomChar) }

// number reads digits.
func (l *lexer) number() (uint64, error) {
	s, err := l.word("a number", func(c byte) bool { return c >= '0' && c <= '9' })
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, bad("the number %.20s is too large", s)
	}
	return n, nil
}

// quoted reads a quoted string. UTF-8 may stand in it (RFC 9051 §4.3).
func (l *lexer) quoted() (string, error) {
	if err := l.expect('"'); err != nil {
		return "", err
	}
	var b strings.Builder
	for {
		c, err := l.take()
		if err != nil {
			return "", err
		}
		switch c {
		case '"':
			return b.String(), nil
		case '\\':
			if c, err = l.take(); err != nil {
				return "", err
			}
			if c != '"' && c != '\\' {
				return "", bad("only a quote or a backslash is escaped in a quoted string")
			}
		case '\n', '\r', 0:
			return "", bad("a quoted string without its end")
		}
		b.WriteByte(c)
	}
}

// header of a literal.
type literal struct {
	size   int64
	sync   bool // the client waits to be asked
	binary bool // ~{…}: NUL may stand in it
}

// literalHeader reads "{123}", "{123+}" or "~{123}" with the line end, or for UTF8
// (…) what stands in front of it.
func (l *lexer) literalHeader() (literal, error) {
	h := literal{sync: true}
	var err error
	if h.binary, err = l.is('~'); err != nil {
		return h, err
	}
	if err := l.expect('{'); err != nil {
		return h, err
	}
	n, err := l.number()
	if err != nil {
		return h, err
	}
	h.size = int64(n)
	plus, err := l.is('+')
	if err != nil {
		return h, err
	}
	h.sync = !plus
	if err := l.expect('}'); err != nil {
		return h, err
	}
	if err := l.end(); err != nil {
		return h, err
	}
	l.ended = false
	return h, nil
}

// literal reads a literal that is part of the command.
func (l *lexer) literal() (string, error) {
	h, err := l.literalHeader()
	if err != nil {
		return "", err
	}
	if h.size > int64(l.literals) {
		if h.sync {
			l.ended = true // the client waits, and will not send it
			return "", bad("a literal of %d octets is larger than %d are read here", h.size, l.literals)
		}
		return "", ErrLiteralTooLong
	}
	l.literals -= int(h.size)
	if h.sync {
		if err := l.more(); err != nil {
			return "", err
		}
	}
	b := make([]byte, h.size)
	if _, err := io.ReadFull(l.br, b); err != nil {
		return "", err
	}
	if !h.binary && strings.IndexByte(string(b), 0) >= 0 {
		return "", bad("a NUL in a literal")
	}
	return string(b), nil
}

// str reads a string: quoted or literal.
func (l *lexer) str() (string, error) {
	c, err := l.peek()
	switch {
	case err != nil:
		return "", err
	case c == '"':
		return l.quoted()
	case c == '{', c == '~':
		return l.literal()
	}
	return "", bad("a string is expected, and %s stands there", name(c))
}

// beginsString reports that a string comes, whose first octet is c: "~" begins a literal, or
// an atom.
func (l *lexer) beginsString(c byte) (bool, error) {
	if c != '~' {
		return c == '"' || c == '{', nil
	}
	b, err := l.br.Peek(2)
	return err == nil && b[1] == '{', err
}

// astring reads an atom, in which "]" may stand, or a string.
func (l *lexer) astring() (string, error) {
	c, err := l.peek()
	if err != nil {
		return "", err
	}
	if quote, err := l.beginsString(c); quote || err != nil {
		if err != nil {
			return "", err
		}
		return l.str()
	}
	// Octets above 127 are against the grammar, and sent by clients that take UTF-8 for granted.
	return l.word("a string", func(c byte) bool { return atomChar(c) || c == ']' || c >= 0x80 })
}

// nstring reads NIL or a string.
func (l *lexer) nstring() (s string, isNil bool, err error) {
	c, err := l.peek()
	if err != nil {
		return "", false, err
	}
	if c == '"' || c == '{' || c == '~' {
		s, err = l.str()
		return s, false, err
	}
	a, err := l.atom()
	if err == nil && !strings.EqualFold(a, "NIL") {
		err = bad("NIL or a string is expected")
	}
	return "", true, err
}

// list reads items in parentheses, parted by spaces; with empty, there may be none.
func (l *lexer) list(empty bool, item func() error) error {
	if err := l.expect('('); err != nil {
		return err
	}
	if l.depth++; l.depth > l.limits.Depth {
		return bad("parentheses are nested deeper than %d", l.limits.Depth)
	}
	defer func() { l.depth-- }()
	if done, err := l.is(')'); done || err != nil {
		if err == nil && !empty {
			err = bad("an empty list")
		}
		return err
	}
	for n := 1; ; n++ {
		if n > l.limits.Items {
			return bad("more than %d items in a list", l.limits.Items)
		}
		if err := item(); err != nil {
			return err
		}
		if done, err := l.is(')'); done || err != nil {
			return err
		}
		if err := l.space(); err != nil {
			return err
		}
	}
}

// spaced reads a space and what follows it.
func spaced[T any](l *lexer, read func() (T, error)) (T, error) {
	if err := l.space(); err != nil {
		var none T
		return none, err
	}
	return read()
}

// pair reads two things with a space between them.
func pair[A, B any](l *lexer, first func() (A, error), second func() (B, error)) (a A, b B, err error) {
	if a, err = first(); err != nil {
		return a, b, err
	}
	b, err = spaced(l, second)
	return a, b, err
}
