package structure

import "bytes"

// Range is octets of a message, from Start up to End.
type Range struct{ Start, End int64 }

// Size is how many there are.
func (r Range) Size() int64 { return r.End - r.Start }

// Part finds a part by its number (RFC 9051 §6.4.5.1); nil where there is none. No number is
// the message itself.
func (m *Message) Part(number []uint32) *Part {
	p, in := m.Root, m.Root // in: where the next number counts
	for _, n := range number {
		switch {
		case in == nil || n == 0:
			return nil
		case in.IsMultipart():
			if uint64(n) > uint64(len(in.Parts)) {
				return nil
			}
			p = in.Parts[n-1]
		case n == 1:
			p = in // a message that is no multipart has one part, its body
		default:
			return nil
		}
		in = nil
		if p.IsMessage() {
			in = p.Parts[0]
		} else if p.IsMultipart() {
			in = p
		}
	}
	return p
}

// Section finds the octets of BODY[number.text] (RFC 9051 §6.4.5.1): text is "", "HEADER", "TEXT"
// or "MIME". It is not ok where there is no such section. For HEADER.FIELDS and HEADER.FIELDS.NOT
// it finds the whole header, of which HeaderFields takes some.
func (m *Message) Section(number []uint32, text string) (r Range, ok bool) {
	p := m.Part(number)
	if p == nil {
		return Range{}, false
	}
	if text == "MIME" {
		return Range{p.Start, p.Body}, len(number) > 0
	}
	if len(number) == 0 && text == "" {
		return Range{0, p.End}, true
	}
	if text == "" {
		return Range{p.Body, p.End}, true
	}
	if len(number) > 0 { // HEADER and TEXT are of messages
		if !p.IsMessage() {
			return Range{}, false
		}
		p = p.Parts[0]
	}
	if text == "TEXT" {
		return Range{p.Body, p.End}, true
	}
	return Range{p.Start, p.Body}, true
}

// HeaderFields are those fields of a header whose names are given, or with not all others, as they
// stand, with the blank line behind them if the header has one.
func HeaderFields(header []byte, names []string, not bool) []byte {
	var out []byte
	take := false
	for len(header) > 0 {
		n := bytes.IndexByte(header, '\n') + 1
		if n == 0 {
			n = len(header)
		}
		line := header[:n]
		header = header[n:]
		switch {
		case len(bytes.TrimRight(line, "\r\n")) == 0:
			return append(out, line...)
		case line[0] != ' ' && line[0] != '\t':
			take = named(line, names) != not
		}
		if take {
			out = append(out, line...)
		}
	}
	return out
}

func named(line []byte, names []string) bool {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return false
	}
	name := bytes.TrimRight(line[:colon], " \t")
	for _, n := range names {
		if len(n) == len(name) && equalFold(n, string(name)) {
			return true
		}
	}
	return false
}
