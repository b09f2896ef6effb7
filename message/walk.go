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
)

// Limits bound what Walk does. A zero field is its default.
type Limits struct {
	Depth int   // nested multiparts and messages, 8
	Parts int   // all parts together, 100
	Size  int64 // decoded octets of all leaves together, 32 MiB
}

// Part is a leaf of a MIME tree as Walk meets it.
type Part struct {
	Header    Header
	MediaType string            // lower case; "text/plain" where none is given or it is broken
	Params    map[string]string // of the media type
	Filename  string            // from Content-Disposition, or the name parameter; the last path element only
	Depth     int               // 0: the message itself
	Parent    string            // media type of the enclosing multipart; empty at depth 0
	Body      []byte            // decoded
}

// ErrLimit is wrapped by the errors of Walk for messages beyond its limits.
var ErrLimit = errors.New("message is beyond the limits")

// Walk calls fn for each leaf of the message's MIME tree, in order. A
// message/rfc822 part is a leaf: what it encloses is not ours to take apart.
// fn's error ends the walk and is returned.
//
// What is merely sloppy is read as a mail reader would: a multipart that ends
// early, white space in base64, a missing content type. A body whose encoding
// is broken is an error.
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
	size   int64 // decoded so far
	fn     func(Part) error
}

func (w *walker) entity(raw []byte, depth int, parent string) error {
	if w.parts++; w.parts > w.limits.Parts {
		return fmt.Errorf("%w: more than %d parts", ErrLimit, w.limits.Parts)
	}
	h, body, err := SplitHeader(raw)
	if err != nil {
		return err
	}
	p := Part{Header: h, Depth: depth, Parent: parent}
	p.MediaType, p.Params = mediaType(h, parent)
	if boundary := p.Params["boundary"]; strings.HasPrefix(p.MediaType, "multipart/") && boundary != "" {
		return w.multipart(body, boundary, p.MediaType, depth+1)
	}
	if p.Body, err = w.decode(h, body); err != nil {
		return fmt.Errorf("%s part: %w", p.MediaType, err)
	}
	p.Filename = filename(h, p.Params)
	return w.fn(p)
}

func mediaType(h Header, parent string) (string, map[string]string) {
	typ, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if typ != "" && (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) {
		return typ, params
	}
	if parent == "multipart/digest" { // RFC 2046 §5.1.5
		return "message/rfc822", nil
	}
	return "text/plain", nil
}

func filename(h Header, params map[string]string) string {
	name := params["name"]
	if _, d, _ := mime.ParseMediaType(h.Get("Content-Disposition")); d["filename"] != "" {
		name = d["filename"]
	}
	// RFC 2183 §2.3: a path in it is nobody's business.
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	if name == "." || name == "/" || name == ".." {
		return ""
	}
	return name
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

// decode undoes the transfer encoding, within what is left of the size limit.
func (w *walker) decode(h Header, body []byte) ([]byte, error) {
	var out []byte
	var err error
	switch enc := strings.ToLower(h.Get("Content-Transfer-Encoding")); enc {
	case "base64":
		out, err = decodeBase64(body)
	case "quoted-printable":
		out, err = io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
	case "", "7bit", "8bit", "binary":
		out = body
	default:
		err = fmt.Errorf("unknown transfer encoding %q", clip(enc))
	}
	if err != nil {
		return nil, err
	}
	// Neither encoding grows when decoded, so out is bounded by the message.
	if w.size += int64(len(out)); w.size > w.limits.Size {
		return nil, fmt.Errorf("%w: more than %d octets", ErrLimit, w.limits.Size)
	}
	return out, nil
}

// decodeBase64 skips what is not of the alphabet (RFC 2045 §6.8) and stops at
// the padding.
func decodeBase64(body []byte) ([]byte, error) {
	clean := make([]byte, 0, len(body))
	for _, c := range body {
		if c == '=' {
			break
		}
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/' {
			clean = append(clean, c)
		}
	}
	n, err := base64.RawStdEncoding.Decode(clean, clean)
	if err != nil {
		return nil, fmt.Errorf("broken base64: %w", err)
	}
	return clean[:n], nil
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
