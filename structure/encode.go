package structure

import (
	"encoding/binary"
	"errors"
	"strings"
)

// version is the first octet of what AppendBinary writes. It changes with the format, and with what
// Parse finds: what was kept is then parsed again.
const version = 1

// moved is set in the first octet of what Behind makes; a number of octets follows it.
const moved = 0x80

// Behind is the kept form of a message before which size octets of header fields were put: those
// of a delivery, of which no ENVELOPE tells. It costs no more than a copy.
func Behind(kept []byte, size int) []byte {
	if size <= 0 || len(kept) == 0 || kept[0] != version {
		return kept
	}
	out := make([]byte, 0, len(kept)+binary.MaxVarintLen32)
	out = binary.AppendUvarint(append(out, version|moved), uint64(size))
	return append(out, kept[1:]...)
}

// ErrEncoding is Decode's for what this version did not write: the message is to be parsed
// again.
var ErrEncoding = errors.New("the kept structure of the message cannot be read: parse the message again")

// words are written as a number. They may be added to, at the end.
var words = strings.Fields(`text plain html multipart mixed alternative related report signed message rfc822
	application octet-stream pdf pkcs7-signature pgp-signature image png jpeg gif calendar delivery-status
	charset utf-8 UTF-8 us-ascii US-ASCII iso-8859-1 ISO-8859-1 windows-1252 boundary name filename format flowed delsp yes
	7bit 8bit quoted-printable base64 binary attachment inline type method REQUEST protocol micalg`)

var wordNumbers = func() map[string]int {
	m := make(map[string]int, len(words))
	for i, w := range words {
		m[w] = i
	}
	return m
}()

// maxWord is how long the longest of words is.
const maxWord = 16

// AppendBinary appends the structure in the form in which it is kept (encoding.BinaryAppender).
// There is no error.
func (m *Message) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, version)
	b = appendEnvelope(b, &m.Envelope)
	b = appendString(b, m.References)
	b = appendString(b, m.Preview)
	return appendPart(b, m.Root, 0), nil
}

// appendString writes a length and a string, or the number of a word.
func appendString(b []byte, s string) []byte {
	if len(s) > 0 && len(s) <= maxWord {
		if i, ok := wordNumbers[s]; ok {
			return binary.AppendUvarint(b, uint64(i)<<1|1)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s))<<1)
	return append(b, s...)
}

func appendEnvelope(b []byte, e *Envelope) []byte {
	lists := e.lists()
	flags := uint64(e.Present)
	for i, l := range lists {
		if len(*l) > 0 {
			flags |= 1 << (8 + i)
		}
	}
	b = binary.AppendUvarint(b, flags)
	for i, s := range e.texts() {
		if e.Present&(1<<i) != 0 {
			b = appendString(b, *s)
		}
	}
	for _, l := range lists {
		if len(*l) == 0 {
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(*l)))
		for i := range *l {
			b = appendAddress(b, &(*l)[i])
		}
	}
	return b
}

// texts are the strings of an envelope in the order of the bits of Present.
func (e *Envelope) texts() [4]*string {
	return [...]*string{&e.Date, &e.Subject, &e.InReplyTo, &e.MessageID}
}

func (e *Envelope) lists() [6]*[]Address {
	return [...]*[]Address{&e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc}
}

// hasName is the bit of an address, beside its kind, that its first optional string is there; the
// next ones are the others'.
const hasName = 4

func (a *Address) optional() [3]*string { return [...]*string{&a.Name, &a.Route, &a.Host} }

func appendAddress(b []byte, a *Address) []byte {
	flags := byte(a.Kind)
	for i, s := range a.optional() {
		if *s != "" {
			flags |= hasName << i
		}
	}
	b = append(b, flags)
	b = appendString(b, a.Mailbox)
	for _, s := range a.optional() {
		if *s != "" {
			b = appendString(b, *s)
		}
	}
	return b
}

// Bits of a part.
const (
	hasParams = 1 << iota
	hasID
	hasDescription
	hasEncoding
	hasMD5
	hasDisposition
	hasLanguage
	hasLocation
	hasEnvelope
	hasParts
)

// appendPart writes a part; its place is told from where the part before it, or its parent's
// header, ends.
func appendPart(b []byte, p *Part, from int64) []byte {
	b = binary.AppendUvarint(b, uint64(p.flags()))
	b = appendString(b, p.Type)
	b = appendString(b, p.Subtype)
	for _, n := range [...]int64{p.Start - from, p.Body - p.Start, p.End - p.Body, p.Lines} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	if len(p.Params) > 0 {
		b = appendParamList(b, p.Params)
	}
	for _, s := range p.optional() {
		if *s != "" {
			b = appendString(b, *s)
		}
	}
	if p.Disposition != "" {
		b = appendParamList(b, p.DispParams)
	}
	if len(p.Language) > 0 {
		b = binary.AppendUvarint(b, uint64(len(p.Language)))
		for _, l := range p.Language {
			b = appendString(b, l)
		}
	}
	if p.Envelope != nil {
		b = appendEnvelope(b, p.Envelope)
	}
	if len(p.Parts) > 0 {
		b = binary.AppendUvarint(b, uint64(len(p.Parts)))
		at := p.Body
		for _, child := range p.Parts {
			b = appendPart(b, child, at)
			at = child.End
		}
	}
	return b
}

// optional are the strings of a part that are written where they are not empty, in the order of the
// bits in optionalBits.
func (p *Part) optional() [6]*string {
	return [...]*string{&p.ID, &p.Description, &p.Encoding, &p.MD5, &p.Disposition, &p.Location}
}

var optionalBits = [...]uint{hasID, hasDescription, hasEncoding, hasMD5, hasDisposition, hasLocation}

func (p *Part) flags() (flags uint) {
	for i, s := range p.optional() {
		if *s != "" {
			flags |= optionalBits[i]
		}
	}
	if len(p.Params) > 0 {
		flags |= hasParams
	}
	if len(p.Language) > 0 {
		flags |= hasLanguage
	}
	if p.Envelope != nil {
		flags |= hasEnvelope
	}
	if len(p.Parts) > 0 {
		flags |= hasParts
	}
	return flags
}

func appendParamList(b []byte, params []Param) []byte {
	b = binary.AppendUvarint(b, uint64(len(params)))
	for _, p := range params {
		b = appendString(b, p.Name)
		b = appendString(b, p.Value)
	}
	return b
}
