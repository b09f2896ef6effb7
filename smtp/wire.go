package smtp

import (
	"fmt"
	"strconv"
	"strings"

	"waxwing/internal/foreign"
)

// takeEnhanced moves an enhanced code from the text to its field. The first
// line decides; the others drop theirs if it is the same.
func (r *Reply) takeEnhanced() {
	word, _, _ := strings.Cut(r.Lines[0], " ")
	e, err := ParseEnhanced(word)
	if err != nil || e.Class != r.Code/100 {
		return
	}
	r.Enhanced = e
	for i, line := range r.Lines {
		if rest, ok := strings.CutPrefix(line, word); ok && (rest == "" || rest[0] == ' ') {
			r.Lines[i] = strings.TrimPrefix(rest, " ")
		}
	}
}

// ParseEnhanced parses "5.7.1" (RFC 3463 §2).
func ParseEnhanced(s string) (Enhanced, error) {
	var n [3]int
	rest := s
	for i := range n {
		part, after, more := strings.Cut(rest, ".")
		v, ok := enhancedPart(part)
		if !ok || more != (i < 2) {
			return Enhanced{}, fmt.Errorf("%q is no enhanced status code", foreign.Clip(foreign.Line(s), 200))
		}
		n[i], rest = v, after
	}
	if n[0] != 2 && n[0] != 4 && n[0] != 5 {
		return Enhanced{}, fmt.Errorf("%q is no enhanced status code: its class is not 2, 4 or 5", foreign.Clip(foreign.Line(s), 200))
	}
	return Enhanced{n[0], n[1], n[2]}, nil
}

// enhancedPart parses one to three digits without leading zeros.
func enhancedPart(s string) (n int, ok bool) {
	if s == "" || len(s) > 3 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// AppendWire appends the reply as it is sent, each line with code, enhanced
// code and CRLF. Line ends within a line are replaced, so that no text can
// make a reply of its own.
func (r *Reply) AppendWire(b []byte) []byte {
	lines := r.Lines
	if len(lines) == 0 {
		lines = []string{""}
	}
	for i, line := range lines {
		b = strconv.AppendInt(b, int64(r.Code), 10)
		if i < len(lines)-1 {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if !r.Enhanced.IsZero() {
			b = append(b, r.Enhanced.String()...)
			b = append(b, ' ')
		}
		b = append(b, foreign.Line(line)...)
		b = append(b, '\r', '\n')
	}
	return b
}
