package structure

import "strings"

// scanner reads the value of a structured field (RFC 5322 §3.2, RFC 2045 §5.1).
type scanner struct {
	s       string
	i       int
	comment string // the last one that was skipped
}

func (s *scanner) done() bool { return s.i >= len(s.s) }

// peek is the next octet; NUL at the end.
func (s *scanner) peek() byte {
	if s.i >= len(s.s) {
		return 0
	}
	return s.s[s.i]
}

func (s *scanner) take(c byte) bool {
	if s.i < len(s.s) && s.s[s.i] == c {
		s.i++
		return true
	}
	return false
}

// space skips white space and comments.
func (s *scanner) space() {
	for s.i < len(s.s) {
		switch s.s[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		case '(':
			s.skipComment()
		default:
			return
		}
	}
}

// skipComment skips a comment, in which others may stand; one without an end ends with the
// field.
func (s *scanner) skipComment() {
	depth, text := 0, make([]byte, 0, 32)
	for ; s.i < len(s.s); s.i++ {
		c := s.s[s.i]
		switch {
		case c == '(':
			if depth++; depth == 1 {
				continue
			}
		case c == ')':
			if depth--; depth == 0 {
				s.i++
				s.comment = string(text)
				return
			}
		case c == '\\' && s.i+1 < len(s.s):
			s.i++
			c = s.s[s.i]
		}
		text = append(text, c)
	}
}

// token reads a word of RFC 2045; octets beyond ASCII may stand in it.
func (s *scanner) token() string {
	from := s.i
	for s.i < len(s.s) && tokenChar(s.s[s.i]) {
		s.i++
	}
	return s.s[from:s.i]
}

func tokenChar(c byte) bool { return tokenChars[c] }

var tokenChars = without(`()<>@,;:\"/[]?=`)

// without are all octets but white space, controls and those in specials.
func without(specials string) (t [256]bool) {
	for i := range t {
		t[i] = i > ' ' && i != 0x7f && strings.IndexByte(specials, byte(i)) < 0
	}
	return t
}

// quoted reads a quoted string, whose quotation mark is next; one without an end ends with
// the field.
func (s *scanner) quoted() string {
	s.i++
	from := s.i
	if end := strings.IndexAny(s.s[from:], `"\`); end >= 0 && s.s[from+end] == '"' {
		s.i = from + end + 1
		return s.s[from : from+end]
	}
	var b strings.Builder
	for ; s.i < len(s.s); s.i++ {
		c := s.s[s.i]
		if c == '"' {
			s.i++
			break
		}
		if c == '\\' && s.i+1 < len(s.s) {
			s.i++
			c = s.s[s.i]
		}
		b.WriteByte(c)
	}
	return b.String()
}

// params reads "; name=value" to the end; what is no parameter is skipped to the next
// semicolon.
func (s *scanner) params() (out []Param) {
	for len(out) < maxParams {
		s.space()
		if s.done() {
			return out
		}
		if !s.take(';') {
			if next := strings.IndexByte(s.s[s.i:], ';'); next >= 0 {
				s.i += next
				continue
			}
			return out
		}
		s.space()
		name := s.token()
		s.space()
		if name == "" || !s.take('=') {
			continue
		}
		s.space()
		out = append(out, Param{Name: name, Value: s.value()})
	}
	return out
}

// value reads the value of a parameter. An unquoted one may hold more than the RFC has it
// hold, up to white space or a semicolon: names of files stand there.
func (s *scanner) value() string {
	if s.peek() == '"' {
		return s.quoted()
	}
	from := s.i
	for s.i < len(s.s) && s.s[s.i] > ' ' && s.s[s.i] != ';' {
		s.i++
	}
	return s.s[from:s.i]
}
