package message

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"path"
	"strings"

	"waxwing/internal/foreign"
)

// Limits bound what Walk does. A zero field is its default.
type Limits struct {
	Depth int   // nested multiparts and messages, 8
	Parts int   // all parts together, 100
	Size  int64 // decoded octets of all leaves together, 32 MiB
}

// Part is a leaf of a MIME tree as Walk meets it. It is valid until fn returns.
type Part struct {
	Header    Header
	MediaType string            // lower case; "text/plain" where none is given or it is broken
	Params    map[string]string // of the media type
	Filename  string            // from Content-Disposition, or the name parameter; the last path element only
	Depth     int               // 0: the message itself
	Parent    string            // media type of the enclosing multipart; empty at depth 0
	// Fault is why the part is not wholly what it says: a transfer encoding that is not
	// known, whose octets are then given as they are, or a header that cannot be read.
	Fault error

	raw    []byte
	enc    string
	walker *walker
}

// Reader gives the part's decoded octets, which are made as they are read. An error
// of it is a broken encoding.
func (p Part) Reader() io.Reader {
	switch p.enc {
	case "base64":
		return base64.NewDecoder(base64.RawStdEncoding, &base64Text{rest: p.raw})
	case "quoted-printable":
		return quotedprintable.NewReader(bytes.NewReader(p.raw))
	}
	return bytes.NewReader(p.raw)
}

// Body gives the part's decoded octets, within what is left of the walk's Size. The
// error wraps ErrLimit, or is Fault or a broken encoding; what could be decoded is
// given with it.
func (p Part) Body() ([]byte, error) {
	left := p.walker.limits.Size - p.walker.size
	if p.enc == "" && int64(len(p.raw)) <= left {
		p.walker.size += int64(len(p.raw))
		return p.raw, p.Fault
	}
	body, err := io.ReadAll(io.LimitReader(p.Reader(), left+1))
	if int64(len(body)) > left {
		return nil, fmt.Errorf("%w: more than %d octets", ErrLimit, p.walker.limits.Size)
	}
	p.walker.size += int64(len(body))
	if err != nil {
		return body, fmt.Errorf("%s part: broken %s: %w", p.MediaType, p.enc, err)
	}
	return body, p.Fault
}

// ErrLimit is wrapped by the errors of Walk for messages beyond its limits.
var ErrLimit = errors.New("message is beyond the limits")

// Walk calls fn for each leaf of the message's MIME tree, in order. A
// message/rfc822 part is a leaf: what it encloses is not ours to take apart.
// fn's error ends the walk and is returned.
//
// What is merely sloppy is read as a mail reader would: a multipart that ends
// early, white space in base64, a missing content type, comments in it. The fault of
// one part costs that part: nothing is decoded that fn does not ask for.
func Walk(msg []byte, limits Limits, fn func(Part) error) error {
	if limits.Depth <= 0 {
		limits.Depth = 8
	}
	if limits.Parts <= 0 {
		limits.Parts = 100
	}
	if limits.Size <= 0 {
		limits.Size = 32 << 20
	}
	w := walker{limits: limits, fn: fn}
	return w.entity(msg, 0, "")
}

type walker struct {
	limits Limits
	parts  int   // seen so far
	size   int64 // given out so far
	fn     func(Part) error
}

func (w *walker) entity(raw []byte, depth int, parent string) error {
	if w.parts++; w.parts > w.limits.Parts {
		return fmt.Errorf("%w: more than %d parts", ErrLimit, w.limits.Parts)
	}
	h, body, err := SplitHeader(raw)
	if err != nil {
		if depth == 0 {
			return err
		}
		return w.fn(Part{MediaType: "text/plain", Depth: depth, Parent: parent, Fault: err, raw: raw, walker: w})
	}
	p := Part{Header: h, Depth: depth, Parent: parent, raw: body, walker: w}
	p.MediaType, p.Params = mediaType(h, parent)
	if boundary := p.Params["boundary"]; strings.HasPrefix(p.MediaType, "multipart/") && boundary != "" {
		return w.multipart(body, boundary, p.MediaType, depth+1)
	}
	p.enc, p.Fault = transferEncoding(h)
	p.Filename = filename(h, p.Params)
	return w.fn(p)
}

// transferEncoding is "" where the octets stand as they are. RFC 2045 §6.4: of an
// encoding that is not known nothing can be said but that.
func transferEncoding(h Header) (string, error) {
	switch enc := strings.ToLower(strings.TrimSpace(withoutComments(h.Get("Content-Transfer-Encoding")))); enc {
	case "base64", "quoted-printable":
		return enc, nil
	case "", "7bit", "8bit", "binary", "7-bit", "8-bit":
		return "", nil
	default:
		return "", fmt.Errorf("unknown transfer encoding %q", foreign.Clip(enc, 60))
	}
}

func mediaType(h Header, parent string) (string, map[string]string) {
	if typ, params := typed(h.Get("Content-Type")); typ != "" {
		return typ, params
	}
	if parent == "multipart/digest" { // RFC 2046 §5.1.5
		return "message/rfc822", nil
	}
	return "text/plain", nil
}

func filename(h Header, params map[string]string) string {
	name := params["name"]
	if _, d := typed(h.Get("Content-Disposition")); d["filename"] != "" {
		name = d["filename"]
	}
	// RFC 2183 §2.3: a path in it is nobody's business.
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	if name == "." || name == "/" || name == ".." {
		return ""
	}
	return name
}

// typed reads the value of a Content-Type or a field like it, comments in it or not.
// Of parameters that are not all well formed those are given that can be read.
func typed(value string) (string, map[string]string) {
	value = withoutComments(value)
	typ, params, err := mime.ParseMediaType(value)
	if err == nil {
		return typ, params
	}
	first, rest, _ := strings.Cut(value, ";")
	typ = strings.ToLower(strings.TrimSpace(first))
	if strings.ContainsAny(typ, " \t\"<>") {
		return "", nil
	}
	params = map[string]string{}
	for rest != "" {
		var one string
		one, rest = cutParameter(rest)
		name, text, _ := strings.Cut(one, "=")
		name, text = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(text)
		if _, again := params[name]; name != "" && !again {
			params[name] = unquoted(text)
		}
	}
	return typ, params
}

// cutParameter cuts at the first semicolon outside quotes.
func cutParameter(s string) (one, rest string) {
	inQuotes := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && inQuotes:
			i++
		case s[i] == '"':
			inQuotes = !inQuotes
		case s[i] == ';' && !inQuotes:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// unquoted takes the quotes off a value; a path of Windows keeps its backslashes, as
// mime.ParseMediaType has it.
func unquoted(s string) string {
	inner, ok := strings.CutPrefix(s, `"`)
	if !ok {
		return s
	}
	return strings.ReplaceAll(strings.TrimSuffix(inner, `"`), `\"`, `"`)
}

// withoutComments leaves the comments of a structured field out (RFC 5322 §3.2.2).
// One that does not end is no comment.
func withoutComments(s string) string {
	if !strings.Contains(s, "(") {
		return s
	}
	var b strings.Builder
	inQuotes := false
	for i := 0; i < len(s); i++ {
		switch n := 0; {
		case s[i] == '\\' && inQuotes && i+1 < len(s):
			b.WriteByte(s[i])
			i++
		case s[i] == '"':
			inQuotes = !inQuotes
		case s[i] == '(' && !inQuotes:
			if n = commentEnd(s[i:]); n > 0 {
				b.WriteByte(' ')
				i += n - 1
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// multipart cuts body at its boundary lines (RFC 2046 §5.1.1).
func (w *walker) multipart(body []byte, boundary, typ string, depth int) error {
	if depth > w.limits.Depth {
		return fmt.Errorf("%w: parts nested deeper than %d", ErrLimit, w.limits.Depth)
	}
	delimiter := []byte("--" + boundary)
	start, inside := 0, false
	for pos := 0; pos < len(body); {
		next := len(body)
		if i := bytes.IndexByte(body[pos:], '\n'); i >= 0 {
			next = pos + i + 1
		}
		if is, last := delimits(body[pos:next], delimiter); is {
			if inside {
				if err := w.entity(trimEOL(body[start:pos]), depth, typ); err != nil {
					return err
				}
			}
			start, inside = next, true
			if last {
				return nil
			}
		}
		pos = next
	}
	if !inside || start == len(body) {
		return nil
	}
	return w.entity(body[start:], depth, typ)
}

// delimits reports whether line is a boundary line, and whether the last one.
func delimits(line, delimiter []byte) (is, last bool) {
	rest, ok := bytes.CutPrefix(line, delimiter)
	if !ok {
		return false, false
	}
	rest, last = bytes.CutPrefix(rest, []byte("--"))
	return len(bytes.TrimSpace(rest)) == 0, last
}

// trimEOL takes off the line end that belongs to the boundary after it.
func trimEOL(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte{'\n'})
	return bytes.TrimSuffix(b, []byte{'\r'})
}

// base64Text is base64 without what is not of the alphabet (RFC 2045 §6.8), up to
// the padding.
type base64Text struct{ rest []byte }

func (t *base64Text) Read(into []byte) (n int, err error) {
	for i, c := range t.rest {
		if n == len(into) {
			t.rest = t.rest[i:]
			return n, nil
		}
		if c == '=' {
			break
		}
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/' {
			into[n] = c
			n++
		}
	}
	t.rest = nil
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
