package message

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// MaxFields bounds the number of fields of one header. Mail seen in the wild
// stays under 200; the loop limit of 100 Received fields fits in easily.
const MaxFields = 1000

// MaxHeader is the header size, in octets, that callers use without a reason
// for another one.
const MaxHeader = 256 << 10

// Errors of ReadHeader and SplitHeader, beside *SyntaxError.
var (
	ErrHeaderTooLarge = errors.New("message header is too large")
	ErrTooManyFields  = fmt.Errorf("message header has more than %d fields", MaxFields)
)

// SyntaxError is a header line that is no field and no continuation.
type SyntaxError struct {
	Line int // 1 is the first line of the message
	Text string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("message header, line %d: %s", e.Line, e.Text)
}

// Field is one header field as it stands in the message.
type Field struct {
	Name string // as written, without white space before the colon
	Raw  []byte // the whole field with name, folding and final CRLF
}

// Value is the field's body, unfolded (RFC 5322 §2.2.3) and without white
// space at its ends. There is no CR or LF in it, whatever the message held.
func (f Field) Value() string {
	_, v, _ := bytes.Cut(f.Raw, []byte{':'})
	v = bytes.TrimSpace(v)
	if bytes.IndexByte(v, '\n') < 0 && bytes.IndexByte(v, '\r') < 0 {
		return string(v)
	}
	out := make([]byte, 0, len(v))
	for _, c := range v {
		if c != '\r' && c != '\n' {
			out = append(out, c)
		}
	}
	return string(out)
}

// Is reports whether the field has this name; case does not matter.
func (f Field) Is(name string) bool { return strings.EqualFold(f.Name, name) }

// Header is the fields of a message, in order. Copies share the fields.
type Header struct {
	Fields []Field
}

// Get is the value of the first field of that name, unfolded; "" if there is none.
func (h Header) Get(name string) string {
	for _, f := range h.Fields {
		if f.Is(name) {
			return f.Value()
		}
	}
	return ""
}

// Has reports whether there is a field of that name.
func (h Header) Has(name string) bool { return h.Count(name) > 0 }

// All is the values of all fields of that name, in order.
func (h Header) All(name string) []string {
	var vs []string
	for _, f := range h.Fields {
		if f.Is(name) {
			vs = append(vs, f.Value())
		}
	}
	return vs
}

// Count is the number of fields of that name.
func (h Header) Count(name string) int {
	n := 0
	for _, f := range h.Fields {
		if f.Is(name) {
			n++
		}
	}
	return n
}

// Del removes all fields of that name and returns how many there were. Other
// copies of the header keep theirs.
func (h *Header) Del(name string) int {
	n := h.Count(name)
	if n == 0 {
		return 0
	}
	kept := make([]Field, 0, len(h.Fields)-n)
	for _, f := range h.Fields {
		if !f.Is(name) {
			kept = append(kept, f)
		}
	}
	h.Fields = kept
	return n
}

// Prepend puts a field, folded, before all others.
func (h *Header) Prepend(name, value string) {
	h.Fields = append([]Field{{Name: name, Raw: Fold(name, value)}}, h.Fields...)
}

// Bytes is the header as text, without the empty line that ends it.
func (h Header) Bytes() []byte {
	n := 0
	for _, f := range h.Fields {
		n += len(f.Raw)
	}
	b := make([]byte, 0, n+2)
	for _, f := range h.Fields {
		b = append(b, f.Raw...)
	}
	return b
}

// ReceivedCount is the number of Received fields, by which loops are seen
// (RFC 5321 §6.3, QUE-11).
func ReceivedCount(h Header) int { return h.Count("Received") }

// TLSRequiredNo reports whether the sender asks with "TLS-Required: No" that
// TLS policies be set aside. Several such fields, or another value, count as
// none (RFC 8689 §3 and §4.1, INB-7). The caller ignores it under REQUIRETLS.
func TLSRequiredNo(h Header) bool {
	return h.Count("TLS-Required") == 1 && strings.EqualFold(h.Get("TLS-Required"), "No")
}

// ReadHeader reads a header of at most max octets (0: MaxHeader), with the
// empty line that ends it; the body remains in r. A message that ends without
// an empty line is all header. The errors are ErrHeaderTooLarge,
// ErrTooManyFields, *SyntaxError, or one of r.
func ReadHeader(r *bufio.Reader, max int) (Header, error) {
	if max <= 0 {
		max = MaxHeader
	}
	buf := make([]byte, 0, 2048)
	start := 0 // of the line being read
	for {
		part, err := r.ReadSlice('\n')
		if len(buf)+len(part) > max {
			return Header{}, ErrHeaderTooLarge
		}
		buf = append(buf, part...)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil && err != io.EOF {
			return Header{}, err
		}
		if err == io.EOF || emptyLine(buf[start:]) {
			break
		}
		start = len(buf)
	}
	h, _, err := SplitHeader(buf)
	return h, err
}

func emptyLine(line []byte) bool {
	return len(line) == 1 && line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n'
}

// SplitHeader takes a whole message apart. The fields and the body share
// msg's memory. The size of the header is the caller's to bound; the number of
// fields is bounded here. A message without an empty line has a nil body.
func SplitHeader(msg []byte) (h Header, body []byte, err error) {
	n := headerEnd(msg)
	// One string for all names: they are substrings of it.
	text := string(msg[:n])
	fields := make([]Field, 0, min(1+bytes.Count(msg[:n], []byte{'\n'}), 32))
	for pos, line := 0, 1; pos < n; {
		end, lines := fieldEnd(msg[:n], pos)
		name, serr := fieldName(text[pos:end])
		if serr != "" {
			return Header{}, nil, &SyntaxError{Line: line, Text: serr}
		}
		if len(fields) == MaxFields {
			return Header{}, nil, ErrTooManyFields
		}
		fields = append(fields, Field{Name: name, Raw: msg[pos:end:end]})
		pos, line = end, line+lines
	}
	return Header{Fields: fields}, afterBlank(msg[n:]), nil
}

// headerEnd is where the empty line starts, or the length of msg.
func headerEnd(msg []byte) int {
	pos := 0
	for pos < len(msg) {
		i := bytes.IndexByte(msg[pos:], '\n')
		if i < 0 {
			return len(msg)
		}
		if emptyLine(msg[pos : pos+i+1]) {
			return pos
		}
		pos += i + 1
	}
	return len(msg)
}

func afterBlank(rest []byte) []byte {
	switch {
	case bytes.HasPrefix(rest, []byte("\r\n")):
		return rest[2:]
	case bytes.HasPrefix(rest, []byte("\n")):
		return rest[1:]
	}
	return nil
}

// fieldEnd is the end of the field that starts at pos, continuation lines
// included, and the number of its lines.
func fieldEnd(b []byte, pos int) (end, lines int) {
	for pos < len(b) {
		i := bytes.IndexByte(b[pos:], '\n')
		if i < 0 {
			return len(b), lines + 1
		}
		pos += i + 1
		lines++
		if pos == len(b) || b[pos] != ' ' && b[pos] != '\t' {
			break
		}
	}
	return pos, lines
}

// fieldName is the name in front of the colon, or why there is none. RFC 5322
// §2.2: printable US-ASCII but the colon; §4.5.8: white space before the colon
// is obsolete, and read.
func fieldName(field string) (name, fault string) {
	name, _, ok := strings.Cut(field, ":")
	if field[0] == ' ' || field[0] == '\t' {
		return "", "a continuation line with nothing to continue"
	}
	name = strings.TrimRight(name, " \t")
	if !ok || strings.ContainsAny(name, "\r\n") {
		return "", "no colon in it"
	}
	if name == "" {
		return "", "a field without a name"
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] >= 0x7f {
			return "", "an invalid character in the field name"
		}
	}
	return name, ""
}

// MboxLines is the length of the lines at msg's start that mailbox files have
// between messages, "From joe@example.org Mon Nov 23 …" or ">From …": programs
// that read such files hand them on, and they are no part of the message.
func MboxLines(msg []byte) int {
	n := 0
	for {
		line := msg[n:]
		end := bytes.IndexByte(line, '\n') + 1
		if end == 0 || !bytes.HasPrefix(line, []byte("From ")) && !bytes.HasPrefix(line, []byte(">From ")) {
			return n
		}
		if _, fault := fieldName(string(line[:end])); fault == "" { // "From : joe@example.org"
			return n
		}
		n += end
	}
}

// DeliveredTo is the field that tells through which of our aliases a message has been (RFC 9228).
const DeliveredTo = "Delivered-To"

// WentTo says whether a message has been delivered to an address, as its header has it.
func (h Header) WentTo(address string) bool {
	return slices.ContainsFunc(h.Fields, func(f Field) bool { return f.Is(DeliveredTo) && strings.EqualFold(f.Value(), address) })
}
