package structure

import (
	"bytes"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// field is a header field that is wanted.
type field uint8

const (
	contentType field = iota + 1
	contentEncoding
	contentDisposition
	contentID
	contentDescription
	contentLanguage
	contentLocation
	contentMD5
	dateField // the first one of a message's own
	subjectField
	fromField
	senderField
	replyToField
	toField
	ccField
	bccField
	inReplyToField
	messageIDField
	referencesField
)

var contentFields = map[string]field{
	"content-type": contentType, "content-transfer-encoding": contentEncoding, "content-disposition": contentDisposition,
	"content-id": contentID, "content-description": contentDescription, "content-language": contentLanguage,
	"content-location": contentLocation, "content-md5": contentMD5,
}

var messageFields = map[string]field{
	"date": dateField, "subject": subjectField, "from": fromField, "sender": senderField, "reply-to": replyToField,
	"to": toField, "cc": ccField, "bcc": bccField, "in-reply-to": inReplyToField, "message-id": messageIDField,
	"references": referencesField,
}

// fieldOf is the field of a name; 0 is one that is not wanted.
func fieldOf(name []byte, message bool) field {
	var small [32]byte
	if len(name) > len(small) || len(name) < 2 {
		return 0
	}
	for i, c := range name {
		small[i] = lower(c)
	}
	if low := small[:len(name)]; bytes.HasPrefix(low, []byte("content-")) {
		return contentFields[string(low)]
	} else if message {
		return messageFields[string(low)]
	}
	return 0
}

// unfold makes one space of each line end and the white space behind it, and of a lone CR.
func unfold(b []byte) string {
	b = bytes.TrimRight(b, " \t\r\n")
	if bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n')
		if n < 0 {
			out = append(out, b...)
			break
		}
		out = append(out, bytes.TrimSuffix(b[:n], []byte("\r"))...)
		b = bytes.TrimLeft(b[n+1:], " \t\r\n")
		out = append(out, ' ')
	}
	return strings.ReplaceAll(string(out), "\r", " ")
}

// set notes a field of the part that is read.
func (p *parser) set(o *open, kind field, value string) {
	if kind >= dateField {
		p.setEnvelope(o.env, kind, value)
		return
	}
	part := o.part
	switch kind {
	case contentType:
		if !o.typed {
			o.typed = true
			p.setType(o, value)
		}
	case contentEncoding:
		part.Encoding = onlyToken(value)
	case contentDisposition:
		part.Disposition, part.DispParams = disposition(value)
	case contentID:
		part.ID = value
	case contentDescription:
		part.Description = value
	case contentLanguage:
		part.Language = languages(value)
	case contentLocation:
		part.Location = value
	case contentMD5:
		part.MD5 = value
	}
}

func (p *parser) setEnvelope(e *Envelope, kind field, value string) {
	switch kind {
	case dateField:
		e.Date, e.Present = value, e.Present|HasDate
	case subjectField:
		e.Subject, e.Present = value, e.Present|HasSubject
	case inReplyToField:
		e.InReplyTo, e.Present = value, e.Present|HasInReplyTo
	case messageIDField:
		e.MessageID, e.Present = value, e.Present|HasMessageID
	case referencesField:
		if e == &p.msg.Envelope {
			p.msg.References = value
		}
	default:
		p.setAddresses(e.addresses(kind), value)
	}
}

func (p *parser) setAddresses(list *[]Address, value string) {
	n := len(*list)
	*list = appendAddresses(*list, value, p.addresses)
	p.addresses -= len(*list) - n
}

// addresses is the list that a field fills.
func (e *Envelope) addresses(kind field) *[]Address {
	switch kind {
	case fromField:
		return &e.From
	case senderField:
		return &e.Sender
	case replyToField:
		return &e.ReplyTo
	case toField:
		return &e.To
	case ccField:
		return &e.Cc
	}
	return &e.Bcc
}

// setType reads Content-Type.
func (p *parser) setType(o *open, value string) {
	s := scanner{s: value}
	s.space()
	part := o.part
	kind := s.token()
	s.space()
	if !s.take('/') {
		kind = ""
	}
	s.space()
	sub := s.token()
	s.space()
	if kind == "" || sub == "" { // RFC 2045 §5.2: a broken type is text
		part.Type, part.Subtype = "text", "plain"
		return
	}
	part.Type, part.Subtype = kind, sub
	if !s.done() && s.peek() != ';' {
		return
	}
	part.Params = joinParams(s.params())
	if part.IsMultipart() {
		b := find(part.Params, "boundary")
		if len(b) <= maxBoundary {
			o.boundary = b
		}
	}
}

// onlyToken is the word that a field consists of; "" where more stands in it.
func onlyToken(value string) string {
	s := scanner{s: value}
	s.space()
	word := s.token()
	if s.space(); !s.done() {
		return ""
	}
	return word
}

func disposition(value string) (string, []Param) {
	s := scanner{s: value}
	s.space()
	if s.peek() == '"' {
		return s.quoted(), joinParams(s.params())
	}
	word := s.token()
	return word, joinParams(s.params())
}

func languages(value string) (out []string) {
	s := scanner{s: value}
	for len(out) < maxParams {
		s.space()
		if t := s.token(); t != "" {
			out = append(out, t)
		}
		s.space()
		if !s.take(',') {
			break
		}
	}
	return out
}

// piece is a parameter that came in pieces.
type piece struct {
	name     string
	n        int
	param    Param
	extended bool
}

// joinParams puts together what came in pieces (RFC 2231 §3): they stand behind the others.
func joinParams(in []Param) []Param {
	out := in[:0]
	var pieces []piece
	for _, p := range in {
		if pc, ok := pieceOf(p); ok {
			pieces = append(pieces, pc)
		} else {
			out = append(out, p)
		}
	}
	for len(pieces) > 0 {
		var joined []Param
		joined, pieces = join(pieces)
		out = append(out, joined...)
	}
	return out
}

// pieceOf reads names such as "filename*0" and "filename*0*".
func pieceOf(p Param) (piece, bool) {
	name, extended := strings.CutSuffix(p.Name, "*")
	star := strings.LastIndexByte(name, '*')
	if star < 0 {
		return piece{}, false
	}
	n, err := strconv.ParseUint(name[star+1:], 10, 16)
	if err != nil {
		return piece{}, false
	}
	return piece{name: name[:star], n: int(n), param: p, extended: extended}, true
}

// join puts together the pieces of the first one's parameter. If one is missing they stay as they are.
func join(pieces []piece) (joined []Param, others []piece) {
	name, extended := pieces[0].name, false
	var own []piece
	for _, pc := range pieces {
		if !equalFold(pc.name, name) {
			others = append(others, pc)
			continue
		}
		own = append(own, pc)
		extended = extended || pc.extended
	}
	raw := make([]Param, 0, len(own))
	slices.SortStableFunc(own, func(a, b piece) int { return a.n - b.n })
	var value strings.Builder
	whole := true
	for i, pc := range own {
		whole = whole && pc.n == i
		raw = append(raw, pc.param)
		if extended && !pc.extended {
			value.WriteString(percent(pc.param.Value))
		} else {
			value.WriteString(pc.param.Value)
		}
	}
	switch {
	case !whole:
		return raw, others
	case extended:
		name += "*"
	}
	return []Param{{Name: name, Value: value.String()}}, others
}

// percent writes text as it stands in an extended value.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("%*'()<>@,;:\\\"/[]?=", c) >= 0 {
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// decodeExtended reads "utf-8'en'%e2%82%ac" (RFC 2231 §4).
func decodeExtended(s string) (string, bool) {
	charset, rest, ok := strings.Cut(s, "'")
	if !ok {
		return "", false
	}
	_, rest, ok = strings.Cut(rest, "'")
	if !ok {
		return "", false
	}
	raw, err := url.PathUnescape(rest)
	if err != nil {
		return "", false
	}
	return toUTF8(charset, []byte(raw)), true
}
