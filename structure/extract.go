package structure

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"waxwing/message"
)

// Bounds of the text of one message. What is beyond them is not read.
const (
	maxTextHeader = 256 << 10 // octets of the header
	maxTextRaw    = 2 << 20   // octets of one part, encoded
	maxTextBody   = 1 << 20   // octets of text of all parts together
)

// Text is what people read of a message, decoded into UTF-8: what a search looks through.
type Text struct {
	Subject           string
	From, To, Cc, Bcc string // names and addresses
	Header            []Field
	Body              string   // of all parts of text, without the tags of HTML
	Names             []string // of attachments
}

// Field is a field of the header that Text has not elsewhere.
type Field struct{ Name, Value string }

// ReadText reads the text of a message, of which r gives the octets and m is the structure. Messages in
// the message are part of its body, with what people read of their headers. What is broken is read
// as far as it can be; the error is the reader's.
func ReadText(r io.Reader, m *Message) (*Text, error) {
	t := textReader{br: bufio.NewReaderSize(r, 32<<10)}
	t.envelope(&m.Envelope)
	header, err := t.octets(m.Root.Start, m.Root.Body, maxTextHeader)
	if err != nil {
		return nil, err
	}
	t.fields(header)
	if err := t.part(m.Root); err != nil {
		return nil, err
	}
	t.Body = t.body.String()
	return &t.Text, nil
}

// textReader goes through a message once.
type textReader struct {
	Text
	br   *bufio.Reader
	at   int64 // octets that were read
	body strings.Builder
}

// octets reads from start up to end, at most limit of them. What is not there any more is nothing.
func (t *textReader) octets(start, end, limit int64) ([]byte, error) {
	if start < t.at {
		return nil, nil
	}
	if _, err := io.CopyN(io.Discard, t.br, start-t.at); err != nil {
		return nil, textError(err)
	}
	out := make([]byte, min(end-start, limit))
	n, err := io.ReadFull(t.br, out)
	t.at = start + int64(n)
	return out[:n], textError(err)
}

// textError is no error where a message is shorter than its structure says.
func textError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}

func (t *textReader) envelope(e *Envelope) {
	t.Subject = DecodeHeader(e.Subject)
	t.From, t.To, t.Cc, t.Bcc = addressText(e.From), addressText(e.To), addressText(e.Cc), addressText(e.Bcc)
}

// addressText is what people read of addresses.
func addressText(lists ...[]Address) string {
	var b strings.Builder
	for _, list := range lists {
		for i := range list {
			a := &list[i]
			if a.Kind == GroupEnd {
				continue
			}
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			if a.Name != "" {
				b.WriteString(DecodeHeader(a.Name))
				b.WriteByte(' ')
			}
			b.WriteString(a.Text())
		}
	}
	return b.String()
}

// Text is the address without its name, "local@domain", or the name of a group.
func (a *Address) Text() string {
	if a.Kind != Mailbox {
		return DecodeHeader(a.Mailbox)
	}
	if a.Host == "" {
		return a.Mailbox
	}
	return a.Mailbox + "@" + a.Host
}

// fields notes the fields of a header that are not in the envelope.
func (t *textReader) fields(header []byte) {
	var name string
	var value []byte
	note := func() {
		if name != "" {
			t.Header = append(t.Header, Field{name, DecodeHeader(strings.TrimSpace(unfold(value)))})
		}
		name, value = "", value[:0]
	}
	defer note()
	for line := range bytes.Lines(header) {
		if line[0] == ' ' || line[0] == '\t' {
			value = append(value, line...)
			continue
		}
		note()
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 {
			continue
		}
		word := bytes.TrimRight(line[:colon], " \t")
		switch fieldOf(word, true) {
		case subjectField, fromField, toField, ccField, bccField:
			continue
		}
		name, value = string(word), append(value, line[colon+1:]...)
	}
}

func (t *textReader) part(p *Part) error {
	if name := p.Filename(); name != "" {
		t.Names = append(t.Names, name)
	}
	if p.IsMessage() {
		e := p.Envelope
		for _, s := range [...]string{DecodeHeader(e.Subject), addressText(e.From), addressText(e.To, e.Cc)} {
			t.write(s)
		}
	}
	for _, child := range p.Parts {
		if err := t.part(child); err != nil {
			return err
		}
	}
	if len(p.Parts) > 0 || t.body.Len() >= maxTextBody || !equalFold(p.Type, "text") && !p.Is("message/delivery-status") {
		return nil
	}
	raw, err := t.octets(p.Body, p.End, maxTextRaw)
	if err != nil {
		return err
	}
	if d := transferOf(p.Encoding); d != nil {
		raw = d.append(nil, raw, true)
	} else if !identity(p.Encoding) {
		return nil
	}
	text := toUTF8(p.Param("charset"), raw)
	if p.Is("text/html") {
		text = stripTags(text, maxTextBody)
	}
	t.write(text)
	return nil
}

// write adds a paragraph to the body.
func (t *textReader) write(s string) {
	if left := maxTextBody - t.body.Len(); len(s) > left {
		s = cutRune(s[:max(left, 0)])
	}
	if s != "" {
		t.body.WriteString(s)
		t.body.WriteByte('\n')
	}
}

// DecodeHeader reads encoded words (RFC 2047) wherever they stand in the text of a field, also where
// they may not, as in quoted strings; octets that are no UTF-8 are taken for Windows-1252.
func DecodeHeader(s string) string {
	if !ascii([]byte(s)) {
		s = toUTF8("", []byte(s))
	}
	if !strings.Contains(s, "=?") {
		return s
	}
	var b strings.Builder
	for {
		begin := strings.Index(s, "=?")
		if begin < 0 {
			b.WriteString(s)
			return b.String()
		}
		end := wordEnd(s[begin:])
		if end < 0 {
			b.WriteString(s[:begin+2])
			s = s[begin+2:]
			continue
		}
		b.WriteString(s[:begin])
		run, rest := wordRun(s[begin:], end)
		b.WriteString(message.DecodeWords(run))
		s = rest
	}
}

// wordRun takes the encoded word of length n and those that follow it with white space alone between them.
func wordRun(s string, n int) (run, rest string) {
	for {
		next := strings.TrimLeft(s[n:], " \t\r\n")
		end := wordEnd(next)
		if end < 0 {
			return s[:n], s[n:]
		}
		n = len(s) - len(next) + end
	}
}

// maxEncoded is how long an encoded word can be: RFC 2047 §2 has 75 octets, of which programs know nothing that
// write a whole subject as one.
const maxEncoded = 2 << 10

// wordEnd is the length of the encoded word with which s begins; -1: it does not.
func wordEnd(s string) int {
	if !strings.HasPrefix(s, "=?") {
		return -1
	}
	s = s[:min(len(s), maxEncoded)]
	at := 2
	for range 2 { // charset and encoding
		i := strings.IndexByte(s[at:], '?')
		if i <= 0 || strings.ContainsAny(s[at:at+i], " \t\"<>") {
			return -1
		}
		at += i + 1
	}
	i := strings.Index(s[at:], "?=")
	if i < 0 || strings.ContainsAny(s[at:at+i], "\r\n") {
		return -1
	}
	return at + i + 2
}
