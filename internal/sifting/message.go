package sifting

import (
	"io"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/message"
	"waxwing/sieve"
)

// What a script sees of a message.
const (
	maxRead = 1 << 20   // octets from its beginning
	maxText = 128 << 10 // octets of its texts, decoded, which the test body looks at
)

// mail is a message as a script sees it.
type mail struct {
	header   message.Header
	replaced int64 // octets of the header with the empty line; 0: it cannot be read, and is not changed
	body     []byte
	size     int64
	texts    []part // nil: not looked at yet
}

// part is a leaf of the MIME tree.
type part struct{ mediaType, text string }

// read reads the beginning of a message.
func read(c delivery.Content) (*mail, error) {
	text, ok := c.(delivery.Bytes)
	if !ok {
		r, err := c.Open()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		if text, err = io.ReadAll(io.LimitReader(r, maxRead)); err != nil {
			return nil, err
		}
	}
	text = text[:min(len(text), maxRead)]
	m := &mail{size: c.Size()}
	h, body, err := message.SplitHeader(text)
	if err != nil { // the door has taken it: it has no fields that count
		m.body = text
		return m, nil
	}
	m.header, m.body, m.replaced = h, body, int64(len(text)-len(body))
	return m, nil
}

// sieve is the message for the interpreter.
func (m *mail) sieve() sieve.Message {
	out := sieve.Message{Size: m.size, Body: m.bodies, Header: make([]sieve.Field, len(m.header.Fields))}
	for i, f := range m.header.Fields {
		out.Header[i] = sieve.Field{Name: f.Name, Value: f.Value(), Raw: f.Raw}
	}
	return out
}

// bodies are the texts that the test body looks at (RFC 5173).
func (m *mail) bodies(raw bool, types []string) []string {
	if raw {
		return []string{string(m.body[:min(len(m.body), maxText)])}
	}
	if m.texts == nil {
		m.texts = m.leaves()
	}
	small := make([]string, len(types))
	for i, t := range types {
		small[i] = strings.ToLower(t)
	}
	var out []string
	for _, p := range m.texts {
		for _, t := range small {
			if wanted(p.mediaType, t) {
				out = append(out, p.text)
				break
			}
		}
	}
	return out
}

// wanted: RFC 5173 §5.2: a type with subtype, a type, or "" for all; what is neither is nothing.
func wanted(mediaType, want string) bool {
	if want == "" || want == mediaType {
		return true
	}
	major, _, _ := strings.Cut(mediaType, "/")
	return want == major
}

// leaves are the parts of the message, decoded to UTF-8 where they are text, up to maxText together.
func (m *mail) leaves() []part {
	out := []part{}
	left := maxText
	whole := append(m.header.Bytes(), "\r\n"...)
	whole = append(whole, m.body...)
	_ = message.Walk(whole, message.Limits{Size: maxRead}, func(p message.Part) error { // what can be read of it counts
		b, _ := p.Body()
		text := string(b)
		if strings.HasPrefix(p.MediaType, "text/") {
			if s, ok := message.DecodeCharset(p.Params["charset"], b[:min(len(b), 2*left)]); ok {
				text = s
			}
		}
		text = foreign.Cut(text, left)
		left -= len(text)
		out = append(out, part{p.MediaType, text})
		if left <= 0 {
			return io.EOF
		}
		return nil
	})
	return out
}

// edited is a header that a script has changed, with the empty line behind it. A field that came
// stays as it is to the octet, for its signature's sake.
func edited(fields []sieve.Field) []byte {
	var b []byte
	for _, f := range fields {
		if f.Raw != nil {
			b = append(b, f.Raw...)
		} else {
			b = append(b, message.Fold(f.Name, message.EncodeWord(f.Value))...)
		}
	}
	return append(b, "\r\n"...)
}
