package spf

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"waxwing/dns"
	"waxwing/internal/foreign"
)

// Macro is a macro string (RFC 7208 §7), parsed.
type Macro []part

// part is literal text, or a macro where letter is set.
type part struct {
	text    string
	letter  byte // lower case
	escape  bool // an upper-case letter: URL-encode
	keep    int  // rightmost parts to keep; 0: all
	reverse bool
	delims  string
}

const delimiters = ".-+,/_="

// parseMacro parses a macro string. The letters c, r and t stand in
// explanations only.
func parseMacro(s string, explanation bool) (Macro, error) {
	m := Macro{}
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i != 0 {
			if i < 0 {
				i = len(s)
			}
			m, s = append(m, part{text: s[:i]}), s[i:]
			continue
		}
		if len(s) < 2 {
			return nil, errors.New("a lone %")
		}
		switch s[1] {
		case '%', '_', '-':
			m = append(m, part{text: map[byte]string{'%': "%", '_': " ", '-': "%20"}[s[1]]})
			s = s[2:]
		case '{':
			body, rest, ok := strings.Cut(s[2:], "}")
			if !ok {
				return nil, errors.New("a macro without }")
			}
			p, err := parsePart(body, explanation)
			if err != nil {
				return nil, err
			}
			m, s = append(m, p), rest
		default:
			return nil, fmt.Errorf("%%%c is no macro", s[1])
		}
	}
	return m, nil
}

// parsePart parses what stands within braces.
func parsePart(s string, explanation bool) (part, error) {
	if s == "" {
		return part{}, errors.New("an empty macro")
	}
	p := part{letter: s[0] | 0x20, escape: s[0]&0x20 == 0, delims: "."}
	letters := "slodiphv"
	if explanation {
		letters += "crt"
	}
	if !letter(s[0]) || strings.IndexByte(letters, p.letter) < 0 {
		return part{}, fmt.Errorf("%q is no macro letter here", s[0])
	}
	s = s[1:]
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	if n > 0 {
		k, err := strconv.Atoi(s[:min(n, 6)])
		if err != nil || k == 0 {
			return part{}, errors.New("a macro keeps no parts")
		}
		p.keep, s = k, s[n:]
	}
	if s != "" && s[0]|0x20 == 'r' {
		p.reverse, s = true, s[1:]
	}
	for i := range len(s) {
		if strings.IndexByte(delimiters, s[i]) < 0 {
			return part{}, fmt.Errorf("%q is no delimiter of a macro", s[i])
		}
	}
	if s != "" {
		p.delims = s
	}
	return p, nil
}

// parseDomain parses a domain-spec: a macro string that ends in a macro, or in
// a dot and a top label (RFC 7208 §7.1).
func parseDomain(s string) (Macro, error) {
	m, err := parseMacro(s, false)
	if err != nil {
		return nil, err
	}
	if len(m) == 0 {
		return nil, errors.New("a domain is missing")
	}
	last := m[len(m)-1]
	if last.letter != 0 || strings.HasSuffix(s, "%%") || strings.HasSuffix(s, "%_") || strings.HasSuffix(s, "%-") {
		return m, nil
	}
	end := strings.TrimSuffix(last.text, ".")
	dot := strings.LastIndexByte(end, '.')
	if dot < 0 || !topLabel(end[dot+1:]) {
		return nil, errors.New("a domain must end in a dot and a top-level label, or in a macro")
	}
	return m, nil
}

// topLabel: letters, digits and hyphens within, and not digits alone.
func topLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	digits := true
	for i := range len(s) {
		if !letter(s[i]) && !digit(s[i]) && s[i] != '-' {
			return false
		}
		digits = digits && digit(s[i])
	}
	return !digits
}

// target expands a domain-spec to a name; false where the outcome is none.
func (e *evaluation) target(m Macro, domain dns.Name) (dns.Name, bool, error) {
	s, err := e.expand(m, domain)
	if err != nil {
		return dns.Name{}, false, err
	}
	s = strings.TrimSuffix(s, ".")
	for len(s) > 253 { // RFC 7208 §7.3: labels go from the left
		_, rest, ok := strings.Cut(s, ".")
		if !ok {
			break
		}
		s = rest
	}
	n, err := dns.ParseQuestion(s)
	return n, err == nil, nil
}

func (e *evaluation) expand(m Macro, domain dns.Name) (string, error) {
	var b strings.Builder
	for _, p := range m {
		if p.letter == 0 {
			b.WriteString(p.text)
			continue
		}
		v, err := e.value(p.letter, domain)
		if err != nil {
			return "", err
		}
		v = p.transform(v)
		if p.escape {
			v = escape(v)
		}
		b.WriteString(v)
	}
	return b.String(), nil
}

func (p part) transform(v string) string {
	if p.keep == 0 && !p.reverse && p.delims == "." {
		return v
	}
	parts := strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(p.delims, r) })
	if strings.ContainsAny(v, p.delims) { // keep empty parts, which FieldsFunc drops
		parts = split(v, p.delims)
	}
	if p.reverse {
		slices.Reverse(parts)
	}
	if p.keep > 0 && len(parts) > p.keep {
		parts = parts[len(parts)-p.keep:]
	}
	return strings.Join(parts, ".")
}

// split parts s at each octet of delims.
func split(s, delims string) []string {
	var out []string
	for {
		i := strings.IndexAny(s, delims)
		if i < 0 {
			return append(out, s)
		}
		out, s = append(out, s[:i]), s[i+1:]
	}
}

// value is what a letter stands for (RFC 7208 §7.2).
func (e *evaluation) value(letter byte, domain dns.Name) (string, error) {
	switch letter {
	case 's':
		return e.local + "@" + e.sender, nil
	case 'l':
		return e.local, nil
	case 'o':
		return e.sender, nil
	case 'd':
		return domain.ASCII(), nil
	case 'i':
		return dotted(e), nil
	case 'p':
		return e.pointer(domain)
	case 'h':
		return e.q.Helo, nil
	case 'v':
		if e.ip.Is4() {
			return "in-addr", nil
		}
		return "ip6", nil
	case 'c':
		return e.ip.String(), nil
	case 'r':
		if e.c.Receiver == "" {
			return "unknown", nil
		}
		return e.c.Receiver, nil
	}
	return strconv.FormatInt(e.c.Now().Unix(), 10), nil // t
}

// dotted is the macro i: an IPv6 address as nibbles.
func dotted(e *evaluation) string {
	if e.ip.Is4() {
		return e.ip.String()
	}
	b := e.ip.As16()
	out := make([]byte, 0, 63)
	for i, c := range b {
		if i > 0 {
			out = append(out, '.')
		}
		out = append(out, "0123456789abcdef"[c>>4], '.', "0123456789abcdef"[c&15])
	}
	return string(out)
}

// pointer is the macro p: a validated name, the domain itself or one below it
// first (RFC 7208 §7.3).
func (e *evaluation) pointer(domain dns.Name) (string, error) {
	names, err := e.validated()
	if err != nil {
		return "", err
	}
	best := -1
	rank := func(n dns.Name) int {
		switch {
		case n == domain:
			return 2
		case n.Under(domain):
			return 1
		}
		return 0
	}
	for i, n := range names {
		if best < 0 || rank(n) > rank(names[best]) {
			best = i
		}
	}
	if best < 0 {
		return "unknown", nil
	}
	return names[best].ASCII(), nil
}

// escape is the URL encoding of RFC 7208 §7.3: all but unreserved characters.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; letter(c) || digit(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// explain fetches and expands the explanation (RFC 7208 §6.2); "" where there
// is none that can be used.
func (e *evaluation) explain(exp Macro, domain dns.Name) string {
	target, ok, err := e.target(exp, domain)
	if err != nil || !ok {
		return ""
	}
	a, err := e.c.Resolver.LookupTXT(e.ctx, target)
	if err != nil || len(a.Records) != 1 {
		return ""
	}
	m, err := parseMacro(a.Records[0], true)
	if err != nil {
		return ""
	}
	text, err := e.expand(m, domain)
	if err != nil {
		return ""
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return ""
		}
	}
	return foreign.Clip(text, maxExplanation)
}
