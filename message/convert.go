package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"waxwing/internal/foreign"
)

// ErrSigned says that a message must not be converted: its signature covers
// the bytes as they are.
var ErrSigned = errors.New("the message is signed or encrypted, and converting it would break that")

// Need is what a way of travelling asks of a message. The zero value asks nothing.
type Need struct {
	SevenBit   bool // no octet above 127: a host without 8BITMIME (RFC 6152 §3)
	ShortLines bool // no line over 998 octets (RFC 5321 §4.5.3.1.6)
}

// Met reports whether text is as needed.
func (n Need) Met(text []byte) bool {
	return !(n.SevenBit && EightBit(text)) && !(n.ShortLines && LongLine(text))
}

// LongLine reports a line of more than 998 octets.
func LongLine(text []byte) bool {
	for len(text) > maxLine {
		// Where the last line ends that ends in time: those before it are short enough.
		n := bytes.LastIndexByte(text[:min(len(text), maxLine+len(eol))], '\n') + 1
		if n == 0 {
			return true
		}
		if n == maxLine+len(eol) && text[n-2] != '\r' && bytes.IndexByte(text[:n], '\n') == n-1 {
			return true
		}
		text = text[n:]
	}
	return false
}

// cutEOL parts a line and its end.
func cutEOL(line []byte) (text, end []byte) {
	text = line
	if bytes.HasSuffix(line, eol[1:]) {
		text = trimEOL(line)
	}
	return text, line[len(text):]
}

// LineMeter finds long lines in what is written to it piece by piece, whose lines
// end in CRLF. The zero value is ready.
type LineMeter struct {
	Long bool // there was one of more than 998 octets
	line int  // octets of the line that the last Write ended in
}

// Write never fails.
func (m *LineMeter) Write(p []byte) (int, error) {
	const most = maxLine + 1 // with the CR
	for rest := p; !m.Long; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			m.line += len(rest)
			m.Long = m.line > most
			break
		}
		m.Long = m.line+end > most
		m.line, rest = 0, rest[end+1:]
	}
	return len(p), nil
}

// To7Bit is Convert for a message that a host without 8BITMIME is to have (SES-8).
func To7Bit(msg []byte) ([]byte, error) { return convert(msg, Need{SevenBit: true}) }

// ShortLines is Convert for a message whose lines SMTP cannot carry (INB-13).
func ShortLines(msg []byte) ([]byte, error) { return convert(msg, Need{ShortLines: true}) }

func convert(msg []byte, need Need) ([]byte, error) {
	if need.Met(msg) {
		return msg, nil
	}
	var b bytes.Buffer
	if err := Convert(&b, msg, need); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Convert writes a message so that it is as needed: text becomes
// quoted-printable, other leaves base64, enclosed messages are converted inside,
// and lines of what is encoded already are broken where their encoding lets them.
// Parts that need nothing stay byte for byte, and no part is called anything else
// than it was; what MIME asks for and the message lacks is added (TRA-7). A
// signed message whose body would change is ErrSigned; a header with octets above
// 127 would need SMTPUTF8, and one that cannot be folded something else.
func Convert(w io.Writer, msg []byte, need Need) error {
	c := converter{out: &errWriter{w: w}, need: need}
	if err := c.entity(msg, "", 0); err != nil {
		return err
	}
	return c.out.err
}

type converter struct {
	out   *errWriter
	need  Need
	parts int
}

// errWriter keeps the first error of a writer and writes no more after it.
type errWriter struct {
	w   io.Writer
	err error
}

func (e *errWriter) Write(b []byte) (int, error) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
	return len(b), e.err
}

// write is for what needs no look at the error: the end has one.
func (c *converter) write(b []byte) { _, _ = c.out.Write(b) }

const (
	convertDepth = 16
	convertParts = 1000
)

var eol = []byte("\r\n")

// entity writes one entity converted; parent is the media type around it, ""
// for the message itself.
func (c *converter) entity(raw []byte, parent string, depth int) error {
	if c.parts++; c.parts > convertParts || depth > convertDepth {
		return fmt.Errorf("%w: too many or too deep parts to convert", ErrLimit)
	}
	if c.need.Met(raw) {
		c.write(raw)
		return nil
	}
	h, body, err := SplitHeader(raw)
	if err != nil {
		return err
	}
	if c.need.SevenBit && EightBit(h.Bytes()) {
		return errors.New("a header field holds octets above 127")
	}
	top := parent == "" || parent == "message/rfc822"
	if parent == "" && signed(h) {
		return ErrSigned
	}
	if h, err = c.fold(h); err != nil {
		return err
	}
	if c.need.Met(body) {
		c.header(h)
		c.write(body)
		return nil
	}
	typ, params := mediaType(h, parent)
	enc := encodingOf(h)
	if top {
		declare(&h, body)
	}
	switch {
	case typ == "multipart/signed", typ == "multipart/encrypted":
		return ErrSigned
	case (strings.HasSuffix(typ, "/pkcs7-mime") || strings.HasSuffix(typ, "/x-pkcs7-mime")) && !encoded(enc):
		return ErrSigned
	case strings.HasPrefix(typ, "multipart/") && params["boundary"] != "":
		c.container(h, enc)
		return c.multipart(body, params["boundary"], typ, depth)
	case typ == "message/rfc822" && !encoded(enc):
		c.container(h, enc)
		return c.entity(body, typ, depth+1)
	}
	return c.leaf(h, typ, enc, body)
}

// signed reports a signature over the whole message in its header.
func signed(h Header) bool {
	return h.Has("DKIM-Signature") || h.Has("ARC-Message-Signature") || h.Has("DomainKey-Signature")
}

// encodingOf is the transfer encoding that a header declares, in lower case.
func encodingOf(h Header) Encoding {
	v := strings.ToLower(h.Get("Content-Transfer-Encoding"))
	if i := strings.IndexAny(v, " \t;("); i >= 0 {
		v = v[:i]
	}
	return Encoding(v)
}

func encoded(e Encoding) bool { return e == QuotedPrintable || e == Base64 }

// declare adds what makes a message one of MIME. A type that is declared without
// MIME-Version counts all the same (RFC 2045 §4: readers may interpret it).
func declare(h *Header, body []byte) {
	if h.Has("MIME-Version") {
		return
	}
	fields := append([]Field(nil), h.Fields...)
	fields = append(fields, Field{Name: "MIME-Version", Raw: Fold("MIME-Version", "1.0")})
	if !h.Has("Content-Type") && EightBit(body) {
		// RFC 1428 §3: text of which nobody has said what it is.
		fields = append(fields, Field{Name: "Content-Type", Raw: Fold("Content-Type", "text/plain; charset=unknown-8bit")})
	}
	h.Fields = fields
}

// fold breaks the lines of a header that are too long (RFC 5322 §2.2.3).
func (c *converter) fold(h Header) (Header, error) {
	if !c.need.ShortLines {
		return h, nil
	}
	fields := append([]Field(nil), h.Fields...)
	for i, f := range fields {
		if !LongLine(f.Raw) {
			continue
		}
		raw, ok := refold(f.Raw)
		if !ok {
			return h, fmt.Errorf("the %s field has a line of more than %d octets without a space to break it at", foreign.Clip(f.Name, 60), maxLine)
		}
		fields[i].Raw = raw
	}
	return Header{Fields: fields}, nil
}

// refold breaks the lines of a field at white space that stands there already.
func refold(raw []byte) ([]byte, bool) {
	var out []byte
	for line := range bytes.Lines(raw) {
		text, end := cutEOL(line)
		for len(text) > maxLine {
			n := foldPoint(text)
			if n < 0 {
				return nil, false
			}
			out = append(append(out, text[:n]...), eol...)
			text = text[n:]
		}
		out = append(append(out, text...), end...)
	}
	return out, true
}

// foldPoint is where to break a line: before white space with text on both its
// sides, at best within 78 octets. -1: nowhere.
func foldPoint(text []byte) int {
	best, blank := -1, true
	for i := 0; i+1 < len(text) && i <= maxLine; i++ {
		space := text[i] == ' ' || text[i] == '\t'
		if space && !blank && text[i+1] != ' ' && text[i+1] != '\t' {
			if best >= 0 && i > foldAt {
				break
			}
			best = i
		}
		blank = blank && space
	}
	return best
}

// container writes the header of an entity that holds others: of its encodings,
// "8bit" and "binary" say what the parts are.
func (c *converter) container(h Header, enc Encoding) {
	if c.need.SevenBit || c.need.ShortLines && enc == "binary" {
		was := h.Del("Content-Transfer-Encoding")
		if was > 0 && !c.need.SevenBit {
			h.Fields = append(h.Fields, Field{Name: "Content-Transfer-Encoding", Raw: Fold("Content-Transfer-Encoding", string(EightBitRaw))})
		}
	}
	c.header(h)
}

func (c *converter) header(h Header) {
	c.write(h.Bytes())
	c.write(eol)
}

func (c *converter) leaf(h Header, typ string, enc Encoding, body []byte) error {
	switch enc {
	case "", SevenBit, EightBitRaw, "binary":
	case QuotedPrintable, Base64:
		return c.encodedLeaf(h, enc, body)
	default:
		return fmt.Errorf("a part says that it is %s, which cannot be converted", foreign.Clip(string(enc), 60))
	}
	enc = Base64
	if strings.HasPrefix(typ, "text/") || strings.HasPrefix(typ, "message/") {
		enc = QuotedPrintable
	}
	if typ == "message/partial" || typ == "message/external-body" { // RFC 2046 §5.2.2.1, §5.2.3
		return fmt.Errorf("a part is %s, which must not be encoded", typ)
	}
	h.Del("Content-Transfer-Encoding")
	c.write(h.Bytes())
	c.write(Fold("Content-Transfer-Encoding", string(enc)))
	c.write(eol)
	encode(c.out, enc, body)
	return nil
}

// encodedLeaf breaks long lines of what is encoded, where the encoding has a way.
func (c *converter) encodedLeaf(h Header, enc Encoding, body []byte) error {
	if c.need.SevenBit && EightBit(body) {
		return fmt.Errorf("a part says that it is %s, and holds octets above 127", enc)
	}
	c.header(h)
	for line := range bytes.Lines(body) {
		text, end := cutEOL(line)
		if len(text) > maxLine {
			if enc == Base64 {
				text = wrapBase64(text)
			} else {
				text = wrapQP(text)
			}
		}
		c.write(text)
		c.write(end)
	}
	return nil
}

const encodedLine = 76 // RFC 2045 §6.7 (5) and §6.8

// wrapBase64 breaks a line anywhere: line ends do not count (RFC 2045 §6.8).
func wrapBase64(line []byte) []byte {
	var out []byte
	for len(line) > encodedLine {
		out = append(append(out, line[:encodedLine]...), eol...)
		line = line[encodedLine:]
	}
	return append(out, line...)
}

// wrapQP puts soft line breaks into a line, none into an encoded octet.
func wrapQP(line []byte) []byte {
	var out []byte
	for col := 0; len(line) > 0; {
		n := 1
		if line[0] == '=' {
			n = min(3, len(line))
		}
		if col+n > encodedLine-1 {
			out = append(out, "=\r\n"...)
			col = 0
		}
		out = append(out, line[:n]...)
		col, line = col+n, line[n:]
	}
	return out
}

// multipart writes the parts converted and all between them as it stands.
func (c *converter) multipart(body []byte, boundary, typ string, depth int) error {
	delimiter := []byte("--" + boundary)
	start, inside := 0, false
	for pos := 0; pos < len(body); {
		next := len(body)
		if i := bytes.IndexByte(body[pos:], '\n'); i >= 0 {
			next = pos + i + 1
		}
		is, last := delimits(body[pos:next], delimiter)
		if !is {
			pos = next
			continue
		}
		part := trimEOL(body[start:pos])
		if err := c.between(part, inside, typ, depth); err != nil {
			return err
		}
		c.write(body[start+len(part) : pos]) // the line end before the boundary
		if line := body[pos:next]; c.need.ShortLines && LongLine(line) {
			c.write(bytes.TrimRight(line, " \t\r\n")) // padded with white space
			c.write(eol)
		} else {
			c.write(line)
		}
		start, inside, pos = next, !last, next
		if last {
			break
		}
	}
	return c.between(body[start:], inside, typ, depth)
}

// between writes a part, or what stands before the first and after the last,
// which nobody reads (RFC 2046 §5.1.1).
func (c *converter) between(b []byte, part bool, parent string, depth int) error {
	if part {
		return c.entity(b, parent, depth+1)
	}
	for line := range bytes.Lines(b) {
		for c.need.ShortLines && len(line) > maxLine {
			c.plain(line[:encodedLine])
			c.write(eol)
			line = line[encodedLine:]
		}
		c.plain(line)
	}
	return nil
}

// plain writes text, with question marks for what cannot travel.
func (c *converter) plain(b []byte) {
	if c.need.SevenBit && EightBit(b) {
		b = bytes.Clone(b)
		for i, o := range b {
			if o >= 0x80 {
				b[i] = '?'
			}
		}
	}
	c.write(b)
}
