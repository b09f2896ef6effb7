package structure

import (
	"bytes"
	"io"
)

// Decoder reads a part's body, of which r gives the octets, without its transfer encoding (RFC 2045
// §6). What is broken is read as far as it can be; the errors are r's. It is not ok if the
// encoding is not known.
func Decoder(r io.Reader, encoding string) (decoded io.Reader, ok bool) {
	d := transferOf(encoding)
	switch {
	case identity(encoding):
		return r, true
	case d == nil:
		return nil, false
	}
	return &decodingReader{r: r, d: d, in: make([]byte, 4096)}, true
}

func identity(encoding string) bool {
	return encoding == "" || equalFold(encoding, "7bit") || equalFold(encoding, "8bit") || equalFold(encoding, "binary")
}

// transfer decodes a transfer encoding piece by piece.
type transfer interface {
	// append decodes in and appends it to out; what it cannot decode without what follows it
	// keeps. end says that nothing follows.
	append(out, in []byte, end bool) []byte
}

func transferOf(encoding string) transfer {
	switch {
	case equalFold(encoding, "base64"):
		return &base64Text{}
	case equalFold(encoding, "quoted-printable"):
		return &quotedText{}
	}
	return nil
}

type decodingReader struct {
	r       io.Reader
	d       transfer
	in, buf []byte
	out     []byte // of buf, not given out yet
	err     error
}

func (d *decodingReader) Read(p []byte) (int, error) {
	for len(d.out) == 0 && d.err == nil {
		var n int
		n, d.err = d.r.Read(d.in)
		d.buf = d.d.append(d.buf[:0], d.in[:n], d.err != nil)
		d.out = d.buf
	}
	if len(d.out) == 0 {
		return 0, d.err
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

// base64Text decodes base64. What is not of the alphabet is skipped; padding ends a group and not
// the text, since some join encoded pieces.
type base64Text struct {
	bits uint32 // of the group at hand
	n    int    // octets in it
}

func (d *base64Text) append(out, in []byte, end bool) []byte {
	for _, c := range in {
		v := base64Values[c]
		switch {
		case v < 64:
			d.bits = d.bits<<6 | uint32(v)
			if d.n++; d.n == 4 {
				out = append(out, byte(d.bits>>16), byte(d.bits>>8), byte(d.bits))
				d.n = 0
			}
		case c == '=':
			out = d.flush(out)
		}
	}
	if end {
		out = d.flush(out)
	}
	return out
}

// flush ends a group.
func (d *base64Text) flush(out []byte) []byte {
	switch d.n {
	case 2:
		out = append(out, byte(d.bits>>4))
	case 3:
		out = append(out, byte(d.bits>>10), byte(d.bits>>2))
	}
	d.n = 0
	return out
}

var base64Values = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	return t
}()

// quotedText decodes quoted-printable (RFC 2045 §6.7). White space at the end of a line goes; "=" before
// anything but two digits stays as it is. Lines end with CRLF.
type quotedText struct {
	kept []byte // of a line whose end has not come
}

// maxQuotedLine is how much of a line is kept until its end comes.
const maxQuotedLine = 8 << 10

func (d *quotedText) append(out, in []byte, end bool) []byte {
	if len(d.kept) > 0 {
		d.kept = append(d.kept, in...)
		in = d.kept
	}
	for {
		i := bytes.IndexByte(in, '\n')
		if i < 0 {
			break
		}
		line, soft := quotedLine(in[:i])
		in = in[i+1:]
		if out = appendQuoted(out, line); !soft {
			out = append(out, "\r\n"...)
		}
	}
	switch {
	case end:
		line, _ := quotedLine(in)
		return appendQuoted(out, line)
	case len(in) > maxQuotedLine: // the line is no text that anybody would read
		cut := len(in) - 2
		if in[cut-1] == '=' {
			cut--
		}
		out, in = appendQuoted(out, in[:cut]), in[cut:]
	}
	d.kept = append(d.kept[:0], in...)
	return out
}

// quotedLine takes off what is not of the text at the end of a line; soft says that the text goes on in
// the next line.
func quotedLine(line []byte) (text []byte, soft bool) {
	text = bytes.TrimRight(line, " \t\r")
	if n := len(text); n > 0 && text[n-1] == '=' {
		return text[:n-1], true
	}
	return text, false
}

func appendQuoted(out, in []byte) []byte {
	for {
		i := bytes.IndexByte(in, '=')
		if i < 0 {
			return append(out, in...)
		}
		out = append(out, in[:i]...)
		if in = in[i:]; len(in) >= 3 {
			high, ok1 := hexDigit(in[1])
			low, ok2 := hexDigit(in[2])
			if ok1 && ok2 {
				out, in = append(out, high<<4|low), in[3:]
				continue
			}
		}
		out, in = append(out, '='), in[1:]
	}
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
