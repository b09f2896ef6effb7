package message

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// ErrSigned says that a message must not be converted: its signature covers
// the bytes as they are.
var ErrSigned = errors.New("the message is signed or encrypted, and converting it would break that")

// To7Bit rewrites a message so that it holds no octet above 127 (RFC 6152 §3,
// SES-8): text becomes quoted-printable, other leaves base64, enclosed
// messages are converted inside. Parts that need nothing stay byte for byte. A
// signed message is ErrSigned; one with such octets in a header would need
// SMTPUTF8 and is refused too. A message of 7 bits is returned as it is.
func To7Bit(msg []byte) ([]byte, error) {
	if !EightBit(msg) {
		return msg, nil
	}
	h, _, err := SplitHeader(msg)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"DKIM-Signature", "ARC-Message-Signature", "DomainKey-Signature"} {
		if h.Has(name) {
			return nil, ErrSigned
		}
	}
	c := converter{}
	if err := c.entity(msg, "", 0); err != nil {
		return nil, err
	}
	return c.out.Bytes(), nil
}

type converter struct {
	out   bytes.Buffer
	parts int
}

const (
	convertDepth = 16
	convertParts = 1000
)

// entity writes one entity converted; parent is the media type around it, ""
// for the message itself.
func (c *converter) entity(raw []byte, parent string, depth int) error {
	if c.parts++; c.parts > convertParts || depth > convertDepth {
		return fmt.Errorf("%w: too many or too deep parts to convert", ErrLimit)
	}
	if !EightBit(raw) {
		c.out.Write(raw)
		return nil
	}
	h, body, err := SplitHeader(raw)
	if err != nil {
		return err
	}
	if EightBit(h.Bytes()) {
		return errors.New("a header field holds octets above 127")
	}
	typ, params := mediaType(h, parent)
	switch {
	case typ == "multipart/signed", typ == "multipart/encrypted", strings.HasSuffix(typ, "/pkcs7-mime"), strings.HasSuffix(typ, "/x-pkcs7-mime"):
		return ErrSigned
	case strings.HasPrefix(typ, "multipart/") && params["boundary"] != "":
		c.header(h, "")
		return c.multipart(body, params["boundary"], typ, depth)
	case typ == "message/rfc822":
		c.header(h, "")
		return c.entity(body, typ, depth+1)
	}
	if top := parent == "" || parent == "message/rfc822"; top && !h.Has("MIME-Version") {
		// RFC 1428 §3: text of which nobody has said what it is.
		h.Del("Content-Type")
		h.Fields = append(h.Fields,
			Field{Name: "MIME-Version", Raw: Fold("MIME-Version", "1.0")},
			Field{Name: "Content-Type", Raw: Fold("Content-Type", "text/plain; charset=unknown-8bit")})
		typ = "text/plain"
	}
	return c.leaf(h, typ, body)
}

func (c *converter) leaf(h Header, typ string, body []byte) error {
	switch enc := strings.ToLower(h.Get("Content-Transfer-Encoding")); enc {
	case "", "7bit", "8bit", "binary":
	default:
		return fmt.Errorf("a part says that it is %s, and holds octets above 127", clip(enc))
	}
	enc := Base64
	if strings.HasPrefix(typ, "text/") {
		enc = QuotedPrintable
	}
	c.header(h, enc)
	encode(&c.out, enc, body)
	return nil
}

// header writes h with its transfer encoding replaced; none is 7bit.
func (c *converter) header(h Header, enc Encoding) {
	h.Del("Content-Transfer-Encoding")
	c.out.Write(h.Bytes())
	if enc != "" {
		c.out.Write(Fold("Content-Transfer-Encoding", string(enc)))
	}
	c.out.WriteString("\r\n")
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
		c.out.Write(body[start+len(part) : next]) // the line end and the boundary
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
	for _, o := range b {
		if o >= 0x80 {
			o = '?'
		}
		c.out.WriteByte(o)
	}
	return nil
}
