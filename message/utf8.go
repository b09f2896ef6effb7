package message

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"waxwing/dns"
)

// Bounds of HeadersNeedUTF8. Beyond them the answer is the careful one.
const (
	scanHeader     = 1 << 20 // octets of one header
	scanBoundaries = 100
)

// HeadersNeedUTF8 reports octets above 127 in the header of a message or of any of
// its parts, which only SMTPUTF8 may carry (RFC 6531 §3.2). The message is read to
// its end, and little of it is held.
func HeadersNeedUTF8(r io.Reader) (bool, error) {
	s := headerScan{br: bufio.NewReader(r), inHeader: true}
	for {
		line, err := s.br.ReadSlice('\n')
		if s.line(line, s.within) {
			return true, nil
		}
		s.within = err == bufio.ErrBufferFull
		switch err {
		case nil, bufio.ErrBufferFull:
		case io.EOF:
			return false, nil
		default:
			return false, err
		}
	}
}

// headerScan finds the headers in a message as it is read.
type headerScan struct {
	br         *bufio.Reader
	inHeader   bool
	within     bool   // the line goes on
	head       []byte // of the header that is being read
	types      []string
	boundaries []string // of the multiparts that enclose, from the outside
}

// line takes a line, or the rest of one that did not fit, and reports that the
// question is answered.
func (s *headerScan) line(line []byte, rest bool) bool {
	if !s.inHeader {
		if !rest {
			s.body(line)
		}
		return false
	}
	s.head = append(s.head, line...)
	if EightBit(line) || len(s.head) > scanHeader {
		return true
	}
	if !rest && len(bytes.TrimRight(line, "\r\n")) == 0 {
		s.inHeader = false
		return s.end()
	}
	return false
}

// end looks at a header that is complete.
func (s *headerScan) end() bool {
	h, _, err := SplitHeader(s.head)
	s.head = s.head[:0]
	if err != nil {
		return false // no header that could enclose others
	}
	parent := ""
	if n := len(s.types); n > 0 {
		parent = s.types[n-1]
	}
	typ, params := mediaType(h, parent)
	switch {
	case strings.HasPrefix(typ, "multipart/") && params["boundary"] != "":
		s.boundaries, s.types = append(s.boundaries, "--"+params["boundary"]), append(s.types, typ)
		return len(s.boundaries) > scanBoundaries
	case typ == "message/rfc822", typ == "message/global":
		// Inside of an encoding it is no header on the wire.
		switch strings.ToLower(h.Get("Content-Transfer-Encoding")) {
		case "", "7bit", "8bit", "binary":
			s.inHeader = true
		}
	}
	return false
}

// body takes the start of a line of a body: a boundary begins the header of a part.
func (s *headerScan) body(line []byte) {
	if len(line) < 2 || line[0] != '-' || line[1] != '-' {
		return
	}
	for i := len(s.boundaries) - 1; i >= 0; i-- {
		is, last := delimits(line, []byte(s.boundaries[i]))
		if !is {
			continue
		}
		s.inHeader = !last
		if last {
			i--
		}
		s.boundaries, s.types = s.boundaries[:i+1], s.types[:i+1]
		return
	}
}

// addressFields are those whose domains ALabels writes as A-labels.
var addressFields = [...]string{"From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Bcc",
	"Return-Path", "Disposition-Notification-To", "Errors-To", "Message-ID", "In-Reply-To", "References"}

// ALabels writes the domains of addresses and identifiers as A-labels, if the
// header then is US-ASCII throughout, and reports that it did. Otherwise h stays
// as it is: more than domains needs SMTPUTF8 (RFC 6531 §3.2).
func (h *Header) ALabels() bool {
	out := make([]Field, len(h.Fields))
	changed := false
	for i, f := range h.Fields {
		out[i] = f
		if !EightBit(f.Raw) {
			continue
		}
		known := false
		for _, name := range addressFields {
			known = known || f.Is(name)
		}
		if !known {
			return false
		}
		out[i].Raw = domainsToASCII(f.Raw)
		if EightBit(out[i].Raw) {
			return false
		}
		changed = true
	}
	if changed {
		h.Fields = out
	}
	return changed
}

// domainsToASCII replaces every domain behind an "@" that holds U-labels.
func domainsToASCII(raw []byte) []byte {
	var out []byte
	for {
		at := bytes.IndexByte(raw, '@')
		if at < 0 {
			return append(out, raw...)
		}
		out = append(out, raw[:at+1]...)
		raw = raw[at+1:]
		n := 0
		for n < len(raw) && (atext(raw[n]) || raw[n] == '.') {
			n++
		}
		if domain := raw[:n]; EightBit(domain) {
			if name, err := dns.ParseName(string(domain)); err == nil {
				out = append(out, name.ASCII()...)
				raw = raw[n:]
			}
		}
	}
}
