package structure

// Bounds. What is beyond them is part of the text around it.
const (
	MaxParts = 1000 // of one message
	MaxDepth = 100  // multiparts and messages in each other

	maxField     = 256 << 10 // octets of one header field
	maxText      = 512 << 10 // octets of all header fields that are kept
	maxAddresses = 10_000    // of all fields
	maxParams    = 200       // of one field
	maxBoundary  = 512       // octets of a boundary
)

// Message is the structure of one message.
type Message struct {
	Envelope   Envelope
	References string // the References field
	Preview    string // up to 200 characters of its text in UTF-8 (RFC 8970), without line ends
	Root       *Part  // the message as a part; never nil
}

// Size is the message's size in octets.
func (m *Message) Size() int64 { return m.Root.End }

// Envelope is what the header of a message says of it. Strings are as they stand in the
// header, unfolded: encoded words are not decoded.
type Envelope struct {
	Date, Subject, InReplyTo, MessageID string
	// Present tells an empty field from one that is not there.
	Present Fields

	From, Sender, ReplyTo, To, Cc, Bcc []Address
}

// Fields are fields of a header that are there.
type Fields uint8

// The fields of which Envelope.Present tells.
const (
	HasDate Fields = 1 << iota
	HasSubject
	HasInReplyTo
	HasMessageID
)

// Address is an address, or where a group of addresses begins or ends.
type Address struct {
	Kind    AddressKind
	Name    string // display name, not decoded; or the comment behind a bare address
	Route   string // source route, "@a,@b"
	Mailbox string // local part; of GroupStart the group's name
	Host    string // domain; "" where it is missing
}

// AddressKind is what an Address is.
type AddressKind uint8

// What an Address may be.
const (
	Mailbox AddressKind = iota
	GroupStart
	GroupEnd
)

// Param is a parameter of a field (RFC 2045 §5.1). One that came in pieces (RFC 2231 §3) is
// one; its name ends in "*" where its value is in the extended form of §4, which Value decodes.
type Param struct{ Name, Value string }

// Part is a part of a message: a leaf, a multipart with its parts, or a message in a
// message.
type Part struct {
	Type, Subtype string // as written; "text" and "plain" where the header names none
	Params        []Param
	ID            string
	Description   string
	Encoding      string // as written; "" where the header names none
	MD5           string
	Disposition   string
	DispParams    []Param // of the disposition
	Language      []string
	Location      string

	// Where it stands: its header from Start, its body from Body up to End, in octets from
	// the beginning of the message. Lines are the line ends in the body.
	Start, Body, End int64
	Lines            int64

	// Envelope is that of the message in a message/rfc822 part, whose one part that message
	// is; nil in others. Beyond MaxParts and MaxDepth it is empty and there is no part.
	Envelope *Envelope
	Parts    []*Part
}

// IsMultipart tells whether it has parts of its own that are not a message's.
func (p *Part) IsMultipart() bool { return equalFold(p.Type, "multipart") && p.Envelope == nil }

// IsMessage tells whether a message is in it.
func (p *Part) IsMessage() bool { return p.Envelope != nil && len(p.Parts) == 1 }

// Is tells whether it is of a media type such as "text/html".
func (p *Part) Is(mediaType string) bool {
	n := len(p.Type)
	return len(mediaType) == n+1+len(p.Subtype) && mediaType[n] == '/' && equalFold(mediaType[:n], p.Type) && equalFold(mediaType[n+1:], p.Subtype)
}

// Param is the value of a parameter of the media type, decoded; "" where there is none.
func (p *Part) Param(name string) string { return find(p.Params, name) }

// Filename is the name that the part's sender gave it, in UTF-8; "" where there is none. It may
// hold anything: it is not fit to be the name of a file.
func (p *Part) Filename() string {
	if s := find(p.DispParams, "filename"); s != "" {
		return DecodeHeader(s)
	}
	return DecodeHeader(find(p.Params, "name"))
}

// IsAttachment tells whether the part says that it is not to be shown in the text, or is not text
// and has a name.
func (p *Part) IsAttachment() bool {
	return equalFold(p.Disposition, "attachment") || p.Filename() != "" && !equalFold(p.Disposition, "inline")
}

// find prefers the extended form (RFC 2231 §4), which is the one that says its charset.
func find(params []Param, name string) string {
	plain := ""
	for _, p := range params {
		if n := len(p.Name); n == len(name)+1 && p.Name[n-1] == '*' && equalFold(p.Name[:n-1], name) {
			if v, ok := decodeExtended(p.Value); ok {
				return v
			}
		}
		if plain == "" && equalFold(p.Name, name) {
			plain = p.Value
		}
	}
	return plain
}

// equalFold is strings.EqualFold for ASCII alone, in which all of these words are.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
