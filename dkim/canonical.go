package dkim

import (
	"bytes"
	"crypto/sha256"
	"hash"

	"waxwing/message"
)

var crlf = []byte("\r\n")

// relaxedHeader is RFC 6376 §3.4.2: name in lower case, unfolded, runs of
// white space as one space, none at the ends. The line end is the caller's.
func relaxedHeader(dst []byte, raw []byte) []byte {
	name, value, _ := bytes.Cut(raw, []byte{':'})
	dst = append(dst, bytes.ToLower(bytes.TrimRight(name, " \t"))...)
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
	h := newBodyHasher(bodyForm{relaxed: relaxed, limit: limit})
	_, _ = h.Write(body) // a hash takes every write
	s := h.finish()
	return s.sum, s.short
}

// bodyHasher hashes the canonical form of what is written to it, in pieces of any size: it holds
// back no more than the state below, however long a line is.
type bodyHasher struct {
	hash    hash.Hash
	left    int64 // how many octets count yet; negative: all
	relaxed bool

	out   []byte // not hashed yet
	empty int    // lines held back: at the end of the body they do not count
	lines int
	cr    bool // held back, since it may be half of a line's end
	space bool // white space, held back: at the end of a line it does not count
	text  bool // the line has something that counts
	open  bool // something stands behind the last line end
	rest  bool // the body goes on behind the octets that count
}

// gathered is how much is handed to the hash at a time.
const gathered = 4 << 10

func newBodyHasher(f bodyForm) *bodyHasher {
	return &bodyHasher{hash: sha256.New(), left: f.limit, relaxed: f.relaxed, out: make([]byte, 0, gathered)}
}

// Write never fails.
func (h *bodyHasher) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			h.part(p)
			break
		}
		h.lastPart(p[:i])
		p = p[i+1:]
	}
	return n, nil
}

// part takes a piece of a line that goes on.
func (h *bodyHasher) part(p []byte) {
	h.open = true
	h.release()
	if last := len(p) - 1; p[last] == '\r' {
		p, h.cr = p[:last], true
	}
	h.content(p)
}

// lastPart takes what stands before a line's end.
func (h *bodyHasher) lastPart(p []byte) {
	if len(p) > 0 {
		h.release()
		h.content(bytes.TrimSuffix(p, crlf[:1]))
	}
	h.cr = false
	h.endLine()
}

// release lets a CR that was no part of a line's end count.
func (h *bodyHasher) release() {
	if h.cr {
		h.cr = false
		h.content(crlf[:1])
	}
}

func (h *bodyHasher) endLine() {
	if h.text {
		h.put(crlf)
		h.lines++
	} else {
		h.empty++
	}
	h.text, h.space, h.open = false, false, false
}

// content takes octets of a line. RFC 6376 §3.4.4: in the relaxed form a run of white space is
// one space, and none at the end of a line.
func (h *bodyHasher) content(p []byte) {
	if !h.relaxed {
		h.emit(p)
		return
	}
	single := bytes.IndexByte(p, '\t') < 0 && !bytes.Contains(p, twoSpaces) // as in most lines
	for len(p) > 0 {
		if p[0] == ' ' || p[0] == '\t' {
			h.space = true
			p = bytes.TrimLeft(p, " \t")
			continue
		}
		n := 0
		if single {
			n = len(bytes.TrimRight(p, " "))
		} else {
			n = plain(p)
		}
		if h.space {
			h.space = false
			h.emit(oneSpace)
		}
		h.emit(p[:n])
		p = p[n:]
	}
}

var oneSpace, twoSpaces = []byte{' '}, []byte("  ")

// plain is how much of p, which begins with no white space, counts as it stands: up to white space that
// ends p or is other than one space. It looks at nothing behind that: a line of nothing but such
// white space is read once.
func plain(p []byte) int {
	for i, c := range p {
		if c == '\t' || c == ' ' && (i+1 == len(p) || p[i+1] == ' ' || p[i+1] == '\t') {
			return i
		}
	}
	return len(p)
}

// emit adds to the line what counts, and before it the empty lines that it was not known to count.
func (h *bodyHasher) emit(p []byte) {
	if len(p) == 0 {
		return
	}
	for ; h.empty > 0; h.empty-- {
		h.put(crlf)
	}
	h.text = true
	h.put(p)
}

func (h *bodyHasher) put(p []byte) {
	if h.left >= 0 {
		h.rest = h.rest || int64(len(p)) > h.left
		p = p[:min(int64(len(p)), h.left)]
		h.left -= int64(len(p))
	}
	if len(h.out)+len(p) > gathered {
		_, _ = h.hash.Write(h.out) // a hash takes every write
		h.out = h.out[:0]
	}
	if len(p) > gathered {
		_, _ = h.hash.Write(p)
		return
	}
	h.out = append(h.out, p...)
}

func (h *bodyHasher) finish() bodySum {
	h.release()
	if h.open {
		h.endLine()
	}
	// RFC 6376 §3.4.3: an empty body is one CRLF under simple, §3.4.4: nothing
	// under relaxed.
	if h.lines == 0 && !h.relaxed {
		h.put(crlf)
	}
	_, _ = h.hash.Write(h.out)
	return bodySum{h.hash.Sum(nil), h.left > 0, h.rest}
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
