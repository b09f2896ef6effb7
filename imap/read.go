package imap

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"time"
)

// Reader reads commands. It belongs to one goroutine.
type Reader struct {
	lex    lexer
	limits Limits
	append bool  // a message of APPEND or REPLACE may follow
	parts  int   // 1: the first part of a message may follow, and so on; 0: none
	first  bool  // none was read yet
	body   int64 // octets of a message that nobody has read
}

// NewReader reads from br; more is called where a client waits to be asked for a
// literal: it must write a continuation request and flush it.
func NewReader(br *bufio.Reader, limits Limits, more func() error) *Reader {
	return &Reader{lex: lexer{br: br, more: more}, limits: limits.orDefault()}
}

// ReadCommand reads the next command. A *SyntaxError is the command's alone; all
// other errors end the dialogue. After APPEND and REPLACE, NextMessage must be
// called until io.EOF.
func (r *Reader) ReadCommand() (Command, error) {
	l := &r.lex
	l.limits, l.left, l.literals, l.depth, l.ended = r.limits, r.limits.Line, r.limits.Literal, 0, false
	c := Command{}
	err := r.command(&c)
	if err == nil {
		return c, nil
	}
	return Command{}, r.failed(c.Tag, err)
}

// failed makes an error of the grammar one of the command, and reads the rest of it.
func (r *Reader) failed(tag string, err error) error {
	var s errSyntax
	if !errors.As(err, &s) {
		return err
	}
	r.append, r.parts = false, 0
	if err := r.lex.skip(); err != nil {
		return err
	}
	if tag == "" {
		tag = "*"
	}
	return &SyntaxError{Tag: tag, Text: string(s)}
}

func (r *Reader) command(c *Command) error {
	l := &r.lex
	tag, err := l.word("a tag", func(c byte) bool { return (atomChar(c) || c == ']') && c != '+' })
	if err != nil {
		return err
	}
	if len(tag) > 128 {
		return bad("the tag is too long")
	}
	c.Tag = tag
	verb, err := spaced(l, l.atom)
	if err != nil {
		return err
	}
	verb = strings.ToUpper(verb)
	if verb == "UID" {
		if verb, err = spaced(l, l.atom); err != nil {
			return err
		}
		c.UID, verb = true, strings.ToUpper(verb)
		switch verb {
		case "FETCH", "STORE", "SEARCH", "SORT", "THREAD", "COPY", "MOVE", "EXPUNGE", "REPLACE":
		default:
			return bad("UID %.20s is no command", verb)
		}
	}
	c.Name = verb
	parse, ok := parsers[verb]
	if !ok {
		return bad("%.20q is no command that is known here", verb)
	}
	if parse != nil && !(verb == "EXPUNGE" && !c.UID) {
		if err := l.space(); err != nil && !(verb == "ID" || verb == "STARTTLS" || verb == "RESETKEY") {
			return err
		}
		if c.Args, err = parse(l, verb); err != nil {
			return err
		}
	}
	if verb == "APPEND" || verb == "REPLACE" {
		r.append, r.first = true, true
		return nil
	}
	return l.end()
}

// ReadLine reads a line that is no command: an answer to a continuation request of
// AUTHENTICATE, or DONE.
func (r *Reader) ReadLine() (string, error) {
	l := &r.lex
	l.left, l.ended = r.limits.Line, false
	var b strings.Builder
	for {
		c, err := l.take()
		if err != nil {
			return "", err
		}
		if c == '\n' {
			return b.String(), nil
		}
		b.WriteByte(c)
	}
}

// Message is one message of APPEND or REPLACE, up to its literal.
type Message struct {
	Flags  []string
	Date   time.Time // zero: not given
	Size   int64
	Binary bool // literal8
	UTF8   bool // UTF8 (~{…}) of RFC 6855 §4
	// Catenate: it is put together from parts (RFC 4469). They are read with NextPart, until
	// io.EOF; nothing else is known of it then.
	Catenate bool
	sync     bool
}

// Part is one part of a message that is put together.
type Part struct {
	URL  string // of what stands there; "": octets that follow, to be read with TakePart
	Size int64
	sync bool
}

// NextMessage reads what stands before the next message's octets, and io.EOF behind
// the last. The message is then taken with Take, or refused with Refuse.
func (r *Reader) NextMessage() (Message, error) {
	if !r.append {
		return Message{}, io.EOF
	}
	l := &r.lex
	if r.body > 0 {
		return Message{}, errors.New("imap: the message before was not read to its end")
	}
	if r.parts > 0 {
		return Message{}, errors.New("imap: the parts of the message before were not read to their end")
	}
	if !r.first {
		end, err := l.atEnd()
		if err != nil {
			return Message{}, err
		}
		if end {
			r.append = false
			return Message{}, errors.Join(io.EOF, l.end())
		}
	}
	r.first = false
	m, err := r.message()
	if err != nil {
		return m, r.failed("", err)
	}
	return m, nil
}

func (r *Reader) message() (Message, error) {
	l := &r.lex
	var m Message
	if err := l.space(); err != nil {
		return m, err
	}
	c, err := l.peek()
	if err == nil && c == '(' {
		if m.Flags, err = l.flags(); err == nil {
			err = l.space()
		}
		if err == nil {
			c, err = l.peek()
		}
	}
	if err == nil && c == '"' {
		if m.Date, err = l.dateTime(); err == nil {
			err = l.space()
		}
		if err == nil {
			c, err = l.peek()
		}
	}
	if err != nil {
		return m, err
	}
	if c == 'C' || c == 'c' {
		word, err := l.atom()
		if err == nil && !strings.EqualFold(word, "CATENATE") {
			err = bad("a message is expected")
		}
		if err == nil {
			err = l.space()
		}
		if err == nil {
			err = l.expect('(')
		}
		r.parts, m.Catenate = 1, true
		return m, err
	}
	if c == 'U' || c == 'u' {
		word, err := l.atom()
		if err != nil {
			return m, err
		}
		if !strings.EqualFold(word, "UTF8") {
			return m, bad("a message is expected")
		}
		m.UTF8 = true
		if err := l.space(); err != nil {
			return m, err
		}
		if err := l.expect('('); err != nil {
			return m, err
		}
	}
	h, err := l.literalHeader()
	m.Size, m.Binary, m.sync = h.size, h.binary, h.sync
	return m, err
}

// maxParts bounds the parts of one message.
const maxParts = 500

// NextPart reads what stands before the octets of the next part, and io.EOF behind the last.
func (r *Reader) NextPart() (Part, error) {
	if r.parts == 0 {
		return Part{}, io.EOF
	}
	if r.body > 0 {
		return Part{}, errors.New("imap: the part before was not read to its end")
	}
	p, err := r.part()
	if err != nil && err != io.EOF {
		return p, r.failed("", err)
	}
	return p, err
}

func (r *Reader) part() (p Part, err error) {
	l := &r.lex
	if r.parts > 1 {
		if end, err := l.is(')'); end || err != nil {
			r.parts = 0
			if err == nil {
				err = io.EOF
			}
			return p, err
		}
		if err := l.space(); err != nil {
			return p, err
		}
	}
	if r.parts++; r.parts > maxParts {
		return p, bad("a message has more than %d parts", maxParts)
	}
	word, err := l.upper()
	if err != nil {
		return p, err
	}
	if err := l.space(); err != nil {
		return p, err
	}
	switch word {
	case "URL":
		if p.URL, err = l.astring(); err == nil && p.URL == "" {
			err = bad("a URL of no octets")
		}
		return p, err
	case "TEXT":
		h, err := l.literalHeader()
		p.Size, p.sync = h.size, h.sync
		return p, err
	}
	return p, bad("URL or TEXT is expected")
}

// TakePart is Take for a part that has no URL.
func (r *Reader) TakePart(p Part) (io.Reader, error) {
	return r.Take(Message{Size: p.Size, sync: p.sync})
}

// GiveUp gives a message with parts up, where one of them cannot be had: what the client
// sends all the same is thrown away, as with Refuse. The part that was read last was not taken, or was read
// to its end.
func (r *Reader) GiveUp(last Part, most int64) error {
	r.append, r.parts = false, 0
	if last.URL == "" && last.Size > 0 {
		return r.Refuse(Message{Size: last.Size, sync: last.sync}, most)
	}
	return r.discard(most)
}

// discard reads the rest of a command, with literals of up to most octets.
func (r *Reader) discard(most int64) error {
	r.lex.limits.Literal = int(most)
	return r.lex.skip()
}

// Take asks for the message where the client waits, and returns its octets. They
// must be read to the end before anything else.
func (r *Reader) Take(m Message) (io.Reader, error) {
	if m.sync {
		if err := r.lex.more(); err != nil {
			return nil, err
		}
	}
	r.body = m.Size
	r.lex.left = r.limits.Line
	return &body{r: r, utf8: m.UTF8}, nil
}

// Refuse gives up the command: a client that waits is not asked, and what another
// sends all the same is thrown away, up to most octets; beyond that the connection
// is not to be used any more.
func (r *Reader) Refuse(m Message, most int64) error {
	r.append, r.parts = false, 0
	if m.Catenate {
		return r.discard(most)
	}
	if m.sync {
		return nil // the answer to the command ends it (RFC 9051 §7.6)
	}
	if m.Size > most {
		return ErrLiteralTooLong
	}
	if _, err := io.CopyN(io.Discard, r.lex.br, m.Size); err != nil {
		return err
	}
	return r.discard(most)
}

// body is the octets of a message.
type body struct {
	r    *Reader
	utf8 bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.r.body == 0 {
		return 0, io.EOF
	}
	n, err := b.r.lex.br.Read(p[:min(int64(len(p)), b.r.body)])
	b.r.body -= int64(n)
	if b.r.body == 0 && b.utf8 && err == nil {
		err = b.r.lex.expect(')')
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
