package imapclient

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of what a server may make a client hold.
const (
	maxString = 1 << 20  // octets of a literal or a line that is no message
	maxItems  = 64 << 20 // octets of all items of one response, about
	maxDepth  = 40
)

var errResponse = errors.New("the server's answer cannot be read")

// Value is an item of a response: a string, a number or an atom, as it was written; a list; or what
// was made of a message.
type Value struct {
	Text string
	List []Value // not nil: it is one
	Body any     // what Take returned
}

// Is tells an atom, in any case.
func (v Value) Is(atom string) bool { return v.List == nil && strings.EqualFold(v.Text, atom) }

// reader reads responses (RFC 9051 §7).
type reader struct {
	br *bufio.Reader
	// take is given a message of size octets; what it does not read is passed over.
	take func(r io.Reader, size int64) (any, error)
	left int  // octets that the response may yet have
	took bool // a message of it was given to take
}

// response reads one to the end of its line. The text behind OK, NO, BAD, BYE and PREAUTH, and that of a continuation, is one
// item.
func (r *reader) response() (items []Value, err error) {
	r.left, r.took = maxItems, false
	for {
		c, err := r.br.ReadByte()
		if err != nil {
			return nil, unexpected(err)
		}
		switch c {
		case ' ':
			continue
		case '\r', '\n':
			if c == '\n' {
				return items, nil
			}
			continue
		}
		r.br.UnreadByte()
		if n := len(items); n == 1 && items[0].Text == "+" || n == 2 && isState(items[1].Text) {
			line, err := r.line()
			return append(items, Value{Text: line}), err
		}
		v, err := r.value(items, 0)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
}

func isState(word string) bool {
	switch strings.ToUpper(word) {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		return true
	}
	return false
}

func unexpected(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (r *reader) spend(n int) error {
	if r.left -= n; r.left < 0 {
		return fmt.Errorf("%w: it is too long", errResponse)
	}
	return nil
}

// line reads the rest of a line.
func (r *reader) line() (string, error) {
	var b strings.Builder
	for {
		piece, err := r.br.ReadSlice('\n')
		b.Write(piece)
		if b.Len() > maxString {
			return "", fmt.Errorf("%w: a line has more than %d octets", errResponse, maxString)
		}
		if err == nil {
			return strings.TrimRight(b.String(), "\r\n"), nil
		}
		if err != bufio.ErrBufferFull {
			return "", unexpected(err)
		}
	}
}

// value reads an item; before are those in front of it.
func (r *reader) value(before []Value, depth int) (v Value, err error) {
	if err := r.spend(16); err != nil {
		return v, err
	}
	c, err := r.br.ReadByte()
	if err != nil {
		return v, unexpected(err)
	}
	switch c {
	case '(':
		return r.list(depth + 1)
	case '"':
		v.Text, err = r.quoted()
		return v, err
	case '{':
		message := len(before) > 0 && before[len(before)-1].Is("BODY[]")
		return r.literal(message)
	case ')':
		return v, errResponse
	}
	r.br.UnreadByte()
	v.Text, err = r.atom()
	return v, err
}

func (r *reader) list(depth int) (v Value, err error) {
	if depth > maxDepth {
		return v, fmt.Errorf("%w: too many parentheses", errResponse)
	}
	v.List = []Value{}
	for {
		c, err := r.br.ReadByte()
		switch {
		case err != nil:
			return v, unexpected(err)
		case c == ')':
			return v, nil
		case c == ' ':
			continue
		case c == '\r' || c == '\n':
			return v, errResponse
		}
		r.br.UnreadByte()
		item, err := r.value(v.List, depth)
		if err != nil {
			return v, err
		}
		v.List = append(v.List, item)
	}
}

func (r *reader) quoted() (string, error) {
	var b []byte
	for {
		c, err := r.br.ReadByte()
		if err == nil && c == '\\' {
			c, err = r.br.ReadByte()
		} else if err == nil && c == '"' {
			return string(b), nil
		}
		switch {
		case err != nil:
			return "", unexpected(err)
		case c == '\r' || c == '\n' || len(b) > maxString:
			return "", errResponse
		}
		if b = append(b, c); len(b)%64 == 0 {
			if err := r.spend(64); err != nil {
				return "", err
			}
		}
	}
}

// atom reads up to white space or a parenthesis; what stands in brackets belongs to it.
func (r *reader) atom() (string, error) {
	var b []byte
	brackets := 0
	for {
		c, err := r.br.ReadByte()
		if err != nil {
			return "", unexpected(err)
		}
		if c == '\r' || c == '\n' || brackets == 0 && (c == ' ' || c == '(' || c == ')') {
			r.br.UnreadByte()
			if len(b) == 0 {
				return "", errResponse
			}
			return string(b), r.spend(len(b))
		}
		switch c {
		case '[':
			brackets++
		case ']':
			brackets = max(0, brackets-1)
		}
		if b = append(b, c); len(b) > maxString {
			return "", errResponse
		}
	}
}

// literal reads one whose "{" was read.
func (r *reader) literal(message bool) (v Value, err error) {
	line, err := r.line()
	if err != nil {
		return v, err
	}
	size, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSuffix(line, "}"), "+"), 10, 62)
	if err != nil || size < 0 || !strings.HasSuffix(line, "}") {
		return v, errResponse
	}
	octets := io.LimitReader(r.br, size)
	if !message {
		if size > maxString {
			return v, errResponse
		}
		b, err := io.ReadAll(octets)
		if err == nil && int64(len(b)) < size {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return v, err
		}
		v.Text = string(b)
		return v, r.spend(len(b))
	}
	if r.took { // each is held until somebody has it
		return v, errResponse
	}
	r.took = true
	count := &counted{r: octets}
	if v.Body, err = r.take(count, size); err != nil {
		return v, err
	}
	if _, err := io.Copy(io.Discard, count); err != nil {
		return v, err
	}
	if count.n < size {
		return v, io.ErrUnexpectedEOF
	}
	return v, nil
}

type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
