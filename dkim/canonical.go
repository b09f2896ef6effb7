package dkim

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"strings"

	"waxwing/message"
)

var crlf = []byte("\r\n")

// relaxedHeader is RFC 6376 §3.4.2: name in lower case, unfolded, runs of
// white space as one space, none at the ends. The line end is the caller's.
func relaxedHeader(dst []byte, raw []byte) []byte {
	name, value, _ := bytes.Cut(raw, []byte{':'})
	dst = append(dst, strings.ToLower(string(bytes.TrimRight(name, " \t")))...)
	dst = append(dst, ':')
	start, space := len(dst), false
	for _, c := range value {
		switch c {
		case ' ', '\t', '\r', '\n':
			space = true
			continue
		}
		if space && len(dst) > start {
			dst = append(dst, ' ')
		}
		space = false
		dst = append(dst, c)
	}
	return dst
}

// canonicalHeader is a field in its canonical form, without the final CRLF.
func canonicalHeader(dst []byte, raw []byte, relaxed bool) []byte {
	if relaxed {
		return relaxedHeader(dst, raw)
	}
	return append(dst, bytes.TrimSuffix(raw, crlf)...)
}

// bodyHash is SHA-256 over the canonical body, of which limit octets count; a
// negative limit is all. short reports a body that is shorter than limit.
func bodyHash(body []byte, relaxed bool, limit int64) (sum []byte, short bool) {
	w := &limited{Hash: sha256.New(), left: limit}
	var line []byte
	empty := 0 // lines held back: at the end of the body they do not count
	lines := 0
	for len(body) > 0 {
		raw := body
		if i := bytes.IndexByte(body, '\n'); i >= 0 {
			raw, body = body[:i], body[i+1:]
			raw = bytes.TrimSuffix(raw, []byte{'\r'})
		} else {
			body = nil
		}
		if relaxed {
			line = relaxedLine(line[:0], raw)
			raw = line
		}
		if len(raw) == 0 {
			empty++
			continue
		}
		for ; empty > 0; empty-- {
			w.write(crlf)
		}
		w.write(raw)
		w.write(crlf)
		lines++
	}
	// RFC 6376 §3.4.3: an empty body is one CRLF under simple, §3.4.4: nothing
	// under relaxed.
	if lines == 0 && !relaxed {
		w.write(crlf)
	}
	return w.Sum(nil), w.left > 0
}

// relaxedLine is RFC 6376 §3.4.4 for one line without its end.
func relaxedLine(dst, raw []byte) []byte {
	if bytes.IndexByte(raw, '\t') < 0 && !bytes.Contains(raw, []byte("  ")) {
		return append(dst, bytes.TrimRight(raw, " ")...)
	}
	space := false
	for _, c := range raw {
		if c == ' ' || c == '\t' {
			space = true
			continue
		}
		if space {
			dst = append(dst, ' ')
			space = false
		}
		dst = append(dst, c)
	}
	return dst
}

// limited hashes at most left octets; a negative left is no bound.
type limited struct {
	hash.Hash
	left int64
}

func (l *limited) write(b []byte) {
	if l.left >= 0 {
		b = b[:min(int64(len(b)), l.left)]
		l.left -= int64(len(b))
	}
	// A hash takes every write.
	_, _ = l.Write(b)
}

// headerHash is SHA-256 over the fields named, each name taking the lowest one
// not yet taken (RFC 6376 §5.4.2), and the signature field with an empty b=.
func headerHash(h message.Header, names []string, signature []byte, relaxed bool) []byte {
	sum := sha256.New()
	taken := make([]bool, len(h.Fields))
	var buf []byte
	for _, name := range names {
		for i := len(h.Fields) - 1; i >= 0; i-- {
			if taken[i] || !h.Fields[i].Is(name) {
				continue
			}
			taken[i] = true
			buf = canonicalHeader(buf[:0], h.Fields[i].Raw, relaxed)
			buf = append(buf, crlf...)
			_, _ = sum.Write(buf)
			break
		}
	}
	_, _ = sum.Write(canonicalHeader(buf[:0], signature, relaxed))
	return sum.Sum(nil)
}
