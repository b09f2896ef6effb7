package managesieve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what a client sends.
const (
	MaxLine   = 8 << 10 // octets of a command's line, literals apart
	maxArgs   = 8
	maxQuoted = 4 << 10 // RFC 5804 §4 allows 1024; clients send SASL responses that are longer
	maxSkip   = 8 << 20 // octets of one literal that are skipped rather than have the connection closed
)

// Errors of a Reader after which the next command can be read: *SyntaxError and *TooLarge. After any
// other the connection is over.
var (
	ErrLineTooLong = errors.New("the line is too long")
	ErrSkip        = errors.New("the string is far too long")
)

// SyntaxError is a command that cannot be read.
type SyntaxError struct{ Text string }

func (e *SyntaxError) Error() string { return e.Text }

func syntax(format string, args ...any) error { return &SyntaxError{fmt.Sprintf(format, args...)} }

// TooLarge is a string beyond the Limit; it was skipped.
type TooLarge struct{ Size int64 }

func (e *TooLarge) Error() string { return fmt.Sprintf("a string of %d octets is too long", e.Size) }

// Argument is a string or a number of a command.
type Argument struct {
	Text   string
	Number uint64
	IsText bool
}

// Command is one command.
type Command struct {
	Name string // in upper case
	Args []Argument
}

// Reader reads what a client sends. Its fields may change between commands.
type Reader struct {
	In    *bufio.Reader
	Limit int64 // octets of a string
}

// Command reads a command.
func (r *Reader) Command() (Command, error) {
	p := &parser{r: r}
	if err := p.line(); err != nil {
		return Command{}, err
	}
	c := Command{Name: strings.ToUpper(p.atom())}
	err := error(nil)
	if c.Name == "" {
		err = syntax("a command is expected")
	}
	for err == nil && p.rest != "" {
		var a Argument
		if a, err = p.argument(); err == nil {
			if len(c.Args) == maxArgs {
				err = syntax("too many arguments")
			}
			c.Args = append(c.Args, a)
		}
	}
	return c, p.recover(err)
}

// String reads a line that is one string: a response of SASL (RFC 5804 §2.1).
func (r *Reader) String() (string, error) {
	p := &parser{r: r}
	if err := p.line(); err != nil {
		return "", err
	}
	s, err := p.text()
	if err == nil && p.rest != "" {
		err = syntax("a string alone is expected")
	}
	return s, p.recover(err)
}

// parser is the command that is being read.
type parser struct {
	r    *Reader
	rest string // of its present line
	read int    // octets of its lines
}

// line reads the next line of the command.
func (p *parser) line() error {
	var b []byte
	for {
		part, err := p.r.In.ReadSlice('\n')
		if p.read += len(part); p.read > MaxLine {
			return ErrLineTooLong
		}
		b = append(b, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if err == io.EOF && len(b) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	p.rest = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	return nil
}

// recover skips what is left of a command that cannot be read, literals included.
func (p *parser) recover(err error) error {
	var bad *SyntaxError
	var large *TooLarge
	if err == nil || !errors.As(err, &bad) && !errors.As(err, &large) {
		return err
	}
	for {
		size, ok := literalAt(p.rest)
		if !ok {
			return err
		}
		if e := p.skip(size); e != nil {
			return e
		}
		if e := p.line(); e != nil {
			return e
		}
	}
}

// literalAt is the size of the literal that a line ends by announcing.
func literalAt(line string) (int64, bool) {
	i := strings.LastIndexByte(line, '{')
	if i < 0 || !strings.HasSuffix(line, "}") {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(line[i+1:len(line)-1], "+"), 10, 32)
	return int64(n), err == nil
}

func (p *parser) skip(size int64) error {
	if size > maxSkip {
		return ErrSkip
	}
	if _, err := io.CopyN(io.Discard, p.r.In, size); err != nil {
		return unexpected(err)
	}
	return nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// atom takes a name.
func (p *parser) atom() string {
	n := 0
	for n < len(p.rest) && (p.rest[n]|0x20 >= 'a' && p.rest[n]|0x20 <= 'z') {
		n++
	}
	a := p.rest[:n]
	p.rest = p.rest[n:]
	return a
}

// argument takes a blank and what follows it.
func (p *parser) argument() (Argument, error) {
	rest, ok := strings.CutPrefix(p.rest, " ")
	if !ok {
		return Argument{}, syntax("a blank is expected between arguments")
	}
	if p.rest = rest; rest != "" && rest[0] >= '0' && rest[0] <= '9' {
		return p.number()
	}
	s, err := p.text()
	return Argument{Text: s, IsText: true}, err
}

// number is RFC 5804 §4: 32 bits.
func (p *parser) number() (Argument, error) {
	end := 0
	for end < len(p.rest) && p.rest[end] >= '0' && p.rest[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(p.rest[:end], 10, 32)
	if err != nil {
		return Argument{}, syntax("the number is too large")
	}
	p.rest = p.rest[end:]
	return Argument{Number: n}, nil
}

// text takes a quoted string or a literal.
func (p *parser) text() (string, error) {
	switch {
	case strings.HasPrefix(p.rest, `"`):
		return p.quoted()
	case strings.HasPrefix(p.rest, "{"):
		return p.literal()
	}
	return "", syntax("a string is expected, in quotes or as a literal")
}

func (p *parser) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			if s := b.String(); utf8.ValidString(s) {
				return s, nil
			}
			return "", syntax("a string is not UTF-8")
		case c == '\\':
			if i++; i == len(p.rest) || p.rest[i] != '"' && p.rest[i] != '\\' {
				return "", syntax("a backslash in a string stands before a quote or a backslash")
			}
			b.WriteByte(p.rest[i])
		case c == 0:
			return "", syntax("a string holds a NUL")
		default:
			b.WriteByte(c)
		}
		if b.Len() > maxQuoted {
			return "", syntax("a string in quotes is longer than %d octets: send it as a literal", maxQuoted)
		}
	}
	return "", syntax("a string without its end")
}

// literal takes {n+}, and the octets behind the line. RFC 5804 §4: clients send the kind that needs no
// answer; the other is taken as well.
func (p *parser) literal() (string, error) {
	size, ok := literalAt(p.rest)
	if !ok || strings.Count(p.rest, "{") != 1 {
		return "", syntax("a literal begins as in {12+}, at the end of its line")
	}
	p.rest = ""
	if size > p.r.Limit {
		if err := p.skip(size); err != nil {
			return "", err
		}
		if err := p.line(); err != nil {
			return "", err
		}
		return "", &TooLarge{size}
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(p.r.In, b); err != nil {
		return "", unexpected(err)
	}
	if err := p.line(); err != nil {
		return "", unexpected(err)
	}
	return string(b), nil
}
