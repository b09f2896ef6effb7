package email

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"waxwing/internal/criteria"
	"waxwing/internal/delivery"
	"waxwing/jmap"
	"waxwing/message"
	"waxwing/structure"
)

const (
	// maxHeader is how much of a header is read.
	maxHeader = 1 << 20
	// maxValue is how much of a part is read for its bodyValue, and maxValues of all parts together.
	maxValue  = 8 << 20
	maxValues = 16 << 20
)

// Message is a message that is written.
type Message struct {
	Built   *structure.Message
	Content delivery.Content
	// Blob is how the blob of a part is called; nil: parts have none.
	Blob func(number string) jmap.ID

	header Header
	read   bool
}

// Facts are the properties of a message that stand in it: all of w but those of the mail. They are put into out.
func (m *Message) Facts(w *Wanted, out map[string]any) error {
	var root *part
	var in lists
	for _, p := range w.Properties {
		switch p {
		case "bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments":
			if root == nil {
				root = tree(m.Built.Root)
				in = listsOf(root)
			}
		}
		v, err := m.property(p, w, root, &in)
		if err != nil {
			return err
		}
		if v != none {
			out[p] = v
		}
	}
	return nil
}

// none is the value of a property that is not the message's.
var none = any(struct{ string }{"none"})

func (m *Message) property(name string, w *Wanted, root *part, in *lists) (any, error) {
	switch name {
	case "bodyStructure":
		return m.part(root, w, true)
	case "textBody":
		return m.parts(in.text, w)
	case "htmlBody":
		return m.parts(in.html, w)
	case "attachments":
		return m.parts(in.attached, w)
	case "bodyValues":
		return m.values(root, in, w)
	case "hasAttachment":
		return HasAttachment(m.Built), nil
	case "preview":
		return valid(m.Built.Preview), nil
	case "headers":
		h, err := m.fields()
		return notNil(h), err
	}
	if h, ok := w.headers[name]; ok {
		all, err := m.fields()
		return all.Property(h), err
	}
	return m.envelope(name), nil
}

func notNil(h Header) Header { return append(Header{}, h...) }

// envelope is a property that is known without reading the message.
func (m *Message) envelope(name string) any {
	e := &m.Built.Envelope
	switch name {
	case "messageId":
		return idsIn(e.MessageID)
	case "inReplyTo":
		return idsIn(e.InReplyTo)
	case "references":
		return idsIn(m.Built.References)
	case "subject":
		if e.Present&structure.HasSubject == 0 {
			return nil
		}
		return TextOf(e.Subject)
	case "sentAt":
		return dateOf(e)
	}
	list, ok := map[string][]structure.Address{"sender": e.Sender, "from": e.From, "to": e.To, "cc": e.Cc, "bcc": e.Bcc, "replyTo": e.ReplyTo}[name]
	if !ok {
		return none
	}
	if len(list) == 0 {
		return nil
	}
	return AddressesOf(list)
}

func idsIn(value string) any {
	if ids := idsOf(value); len(ids) > 0 {
		return ids
	}
	return nil
}

// fields reads the header.
func (m *Message) fields() (Header, error) {
	if m.read {
		return m.header, nil
	}
	h, err := m.fieldsOf(m.Built.Root)
	m.header, m.read = h, err == nil
	return h, err
}

// fieldsOf reads the header of a part.
func (m *Message) fieldsOf(p *structure.Part) (Header, error) {
	r, err := criteria.Octets(m.Content, structure.Range{Start: p.Start, End: min(p.Body, p.Start+maxHeader)})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return ReadHeader(b), err
}

// parts writes parts without those below them.
func (m *Message) parts(list []*part, w *Wanted) (any, error) {
	out := []any{}
	for _, p := range list {
		v, err := m.part(p, w, false)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// part writes an EmailBodyPart (RFC 8621 §4.1.4).
func (m *Message) part(p *part, w *Wanted, whole bool) (map[string]any, error) {
	out := map[string]any{}
	for _, name := range w.PartProperties {
		v, err := m.partProperty(name, p, w)
		if err != nil {
			return nil, err
		}
		if v != none {
			out[name] = v
		}
	}
	if whole && p.IsMultipart() {
		sub := []any{}
		for _, in := range p.sub {
			v, err := m.part(in, w, true)
			if err != nil {
				return nil, err
			}
			sub = append(sub, v)
		}
		out["subParts"] = sub
	}
	return out, nil
}

func (m *Message) partProperty(name string, p *part, w *Wanted) (any, error) {
	leaf := !p.IsMultipart()
	switch name {
	case "partId":
		return orNull(p.number, leaf), nil
	case "blobId":
		if !leaf || m.Blob == nil {
			return nil, nil
		}
		return m.Blob(p.number), nil
	case "size":
		if !leaf {
			return 0, nil
		}
		return m.size(p)
	case "name":
		s := valid(p.Filename())
		return orNull(s, s != ""), nil
	case "type":
		return p.mediaType(), nil
	case "charset":
		s := valid(p.Param("charset"))
		if s == "" && p.isText() {
			s = "us-ascii" // RFC 8621 §4.1.4: the implicit one
		}
		return orNull(s, s != "" && leaf), nil
	case "disposition":
		return orNull(strings.ToLower(valid(p.Disposition)), p.Disposition != ""), nil
	case "cid":
		s := strings.Trim(strings.TrimSpace(valid(p.ID)), "<>")
		return orNull(s, s != ""), nil
	case "language":
		if len(p.Language) == 0 {
			return nil, nil
		}
		return p.Language, nil
	case "location":
		return orNull(valid(p.Location), p.Location != ""), nil
	case "headers":
		h, err := m.fieldsOf(p.Part)
		return notNil(h), err
	}
	if h, ok := w.ofParts[name]; ok {
		all, err := m.fieldsOf(p.Part)
		return all.Property(h), err
	}
	return none, nil
}

func orNull(s string, ok bool) any {
	if !ok {
		return nil
	}
	return s
}

// Open reads what is in a part, without its transfer encoding; nil: there is no such part. A multipart has nothing in it.
func (m *Message) Open(number string) (io.ReadCloser, *structure.Part, error) {
	p := find(tree(m.Built.Root), number)
	if p == nil {
		return nil, nil, nil
	}
	r, err := m.open(p)
	return r, p.Part, err
}

func find(p *part, number string) *part {
	if p.number == number && number != "" {
		return p
	}
	for _, in := range p.sub {
		if found := find(in, number); found != nil {
			return found
		}
	}
	return nil
}

type decoder struct {
	io.Reader
	io.Closer
}

func (m *Message) open(p *part) (io.ReadCloser, error) {
	raw, err := criteria.Octets(m.Content, structure.Range{Start: p.Body, End: p.End})
	if err != nil || p.IsMessage() {
		return raw, err
	}
	if plain, ok := structure.Decoder(raw, p.Encoding); ok {
		return decoder{plain, raw}, nil
	}
	return raw, nil // RFC 8621 §4.1.4: of an encoding that is not known, as it is
}

// size is that of what Open reads.
func (m *Message) size(p *part) (int64, error) {
	switch strings.ToLower(p.Encoding) {
	case "", "7bit", "8bit", "binary":
		return p.End - p.Body, nil
	}
	r, err := m.open(p)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(io.Discard, r)
}

// Value is an EmailBodyValue (RFC 8621 §4.1.4).
type Value struct {
	Value           string `json:"value"`
	EncodingProblem bool   `json:"isEncodingProblem"`
	Truncated       bool   `json:"isTruncated"`
}

// values are those parts' texts that are wanted, by number.
func (m *Message) values(root *part, in *lists, w *Wanted) (any, error) {
	out := map[string]Value{}
	var take []*part
	if w.Text {
		take = append(take, in.text...)
	}
	if w.HTML {
		take = append(take, in.html...)
	}
	if w.All {
		take = append(take, texts(root)...)
	}
	left := int64(maxValues)
	for _, p := range take {
		if _, has := out[p.number]; has || !p.isText() {
			continue
		}
		v, err := m.value(p, min(maxValue, left), w.MaxBodyValue)
		if err != nil {
			return nil, err
		}
		left -= int64(len(v.Value))
		out[p.number] = v
	}
	return out, nil
}

func texts(p *part) (out []*part) {
	if p.isText() {
		return []*part{p}
	}
	for _, in := range p.sub {
		out = append(out, texts(in)...)
	}
	return out
}

func (m *Message) value(p *part, read, most int64) (v Value, err error) {
	r, err := m.open(p)
	if err != nil {
		return v, err
	}
	defer r.Close()
	var b bytes.Buffer
	_, err = io.CopyN(&b, r, read+1)
	if err != nil && !errors.Is(err, io.EOF) {
		return v, err
	}
	if int64(b.Len()) > read {
		b.Truncate(int(read))
		v.Truncated = true
	}
	_, known := structure.Decoder(strings.NewReader(""), p.Encoding)
	text, ok := message.DecodeCharset(charset(p), b.Bytes())
	if !ok {
		text = strings.ToValidUTF8(b.String(), "\uFFFD")
	}
	v.EncodingProblem = !ok && !v.Truncated || !known
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\x00", "")
	v.Value = strings.ToValidUTF8(text, "\uFFFD")
	if most > 0 && int64(len(v.Value)) > most {
		v.Value, v.Truncated = Truncate(v.Value, int(most), p.Is("text/html")), true
	}
	return v, nil
}

// charset is that in which a text is read: of one that names none, or US-ASCII and is more than that, UTF-8.
func charset(p *part) string {
	switch c := strings.ToLower(p.Param("charset")); c {
	case "", "us-ascii", "ascii":
		return "utf-8"
	default:
		return c
	}
}

// Truncate cuts a text to so many octets, not within a character, nor within a tag of HTML (RFC 8621 §4.2).
func Truncate(s string, most int, isHTML bool) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	s = s[:most]
	if isHTML {
		if open := strings.LastIndexByte(s, '<'); open > strings.LastIndexByte(s, '>') {
			s = s[:open]
		}
	}
	return s
}
