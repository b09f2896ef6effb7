package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
)

// Encoding is a content transfer encoding (RFC 2045 §6).
type Encoding string

// The encodings. Auto is the zero value: 7bit where the body is short lines of
// US-ASCII, quoted-printable for other text, base64 for anything else.
const (
	Auto            Encoding = ""
	SevenBit        Encoding = "7bit"
	EightBitRaw     Encoding = "8bit"
	QuotedPrintable Encoding = "quoted-printable"
	Base64          Encoding = "base64"
)

// Entity is a MIME entity to be written: a leaf with a Body, or a multipart
// with Parts.
type Entity struct {
	Type     string            // "text/plain", "multipart/report"
	Params   map[string]string // of Type; boundary is added for a multipart
	Encoding Encoding
	// Fields are further fields of the entity, in order: Content-Description,
	// Content-Disposition, TLS-Report-Domain, …
	Fields   []Pair
	Body     []byte   // not yet encoded
	Parts    []Entity // makes it a multipart
	Boundary string   // of a multipart; empty: a random one
	Preamble string   // of a multipart, one line for readers without MIME
}

// Pair is a field's name and value.
type Pair struct{ Name, Value string }

// Write is the entity's fields (MIME-Version is the caller's), an empty line,
// and its body, all with CRLF line ends. To make a message of it, put the
// other fields before.
func (e Entity) Write() []byte {
	var b bytes.Buffer
	e.write(&b)
	return b.Bytes()
}

func (e Entity) write(b *bytes.Buffer) {
	if len(e.Parts) > 0 {
		e.writeMultipart(b)
		return
	}
	enc := e.Encoding
	if enc == Auto {
		enc = choose(e.Type, e.Body)
	}
	e.writeFields(b, e.Params, enc)
	encode(b, enc, e.Body)
}

// encode writes body in an encoding. Its writers keep their errors themselves, or
// have none.
func encode(w io.Writer, enc Encoding, body []byte) {
	switch enc {
	case QuotedPrintable:
		qp := quotedprintable.NewWriter(w)
		_, _ = qp.Write(body)
		_ = qp.Close()
	case Base64:
		writeBase64(w, body)
	default:
		_, _ = w.Write(body)
	}
}

func (e Entity) writeMultipart(b *bytes.Buffer) {
	boundary := e.Boundary
	if boundary == "" {
		boundary = NewBoundary(nil)
	}
	params := map[string]string{"boundary": boundary}
	for k, v := range e.Params {
		params[k] = v
	}
	// RFC 2045 §6.4: a multipart has no encoding but 7bit, 8bit or binary, and
	// says 8bit where a part does.
	enc := Auto
	if e.eightBit() {
		enc = EightBitRaw
	}
	e.writeFields(b, params, enc)
	if e.Preamble != "" {
		b.WriteString(e.Preamble + "\r\n")
	}
	for _, p := range e.Parts {
		b.WriteString("\r\n--" + boundary + "\r\n")
		p.write(b)
	}
	b.WriteString("\r\n--" + boundary + "--\r\n")
}

func (e Entity) eightBit() bool {
	if len(e.Parts) == 0 {
		return e.Encoding == EightBitRaw || e.Encoding == Auto && choose(e.Type, e.Body) == EightBitRaw
	}
	for _, p := range e.Parts {
		if p.eightBit() {
			return true
		}
	}
	return false
}

func (e Entity) writeFields(b *bytes.Buffer, params map[string]string, enc Encoding) {
	typ := mime.FormatMediaType(e.Type, params)
	if typ == "" {
		typ = e.Type
	}
	b.Write(Fold("Content-Type", typ))
	if enc != Auto && enc != SevenBit {
		b.Write(Fold("Content-Transfer-Encoding", string(enc)))
	}
	for _, f := range e.Fields {
		b.Write(Fold(f.Name, f.Value))
	}
	b.WriteString("\r\n")
}

// choose picks the encoding for a body. RFC 2046 §5.2.1 and RFC 3464 forbid
// more than 7bit or 8bit for messages and delivery status.
func choose(typ string, body []byte) Encoding {
	eight, plain := EightBit(body), shortLines(body)
	switch {
	case strings.HasPrefix(typ, "message/"):
		if eight {
			return EightBitRaw
		}
		return SevenBit
	case !strings.HasPrefix(typ, "text/"):
		return Base64
	case eight || !plain:
		return QuotedPrintable
	}
	return SevenBit
}

// shortLines reports whether body is lines that SMTP can carry: CRLF at their
// ends, no NUL, at most 998 octets.
func shortLines(body []byte) bool {
	for len(body) > 0 {
		i := bytes.IndexByte(body, '\n')
		line := body
		if i < 0 {
			body = nil
		} else {
			line, body = body[:i], body[i+1:]
			if !bytes.HasSuffix(line, []byte{'\r'}) {
				return false
			}
			line = line[:len(line)-1]
		}
		if len(line) > maxLine || bytes.ContainsAny(line, "\x00\r") {
			return false
		}
	}
	return true
}

func writeBase64(w io.Writer, body []byte) {
	const octets = 57 // 76 characters, RFC 2045 §6.8
	line := make([]byte, base64.StdEncoding.EncodedLen(octets), base64.StdEncoding.EncodedLen(octets)+2)
	for len(body) > 0 {
		n := min(octets, len(body))
		size := base64.StdEncoding.EncodedLen(n)
		base64.StdEncoding.Encode(line, body[:n])
		_, _ = w.Write(append(line[:size], eol...))
		body = body[n:]
	}
}
