package message

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

// Write is the entity's own fields (MIME-Version is the caller's), an empty
// line, and its body.
func (e Entity) Write() []byte { return nil }
