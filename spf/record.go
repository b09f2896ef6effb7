package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"waxwing/internal/foreign"
)

// Record is a parsed SPF record.
type Record struct {
	Terms    []Term
	Redirect Macro // nil: none
	Exp      Macro // nil: none
}

// Term is one mechanism.
type Term struct {
	Text      string // as written
	Qualifier Result // Pass, Fail, SoftFail or Neutral
	Mechanism string // all, include, a, mx, ptr, ip4, ip6, exists
	Domain    Macro  // nil: the domain that is checked
	Prefix4   int    // of a and mx
	Prefix6   int
	Network   netip.Prefix // of ip4 and ip6
}

const version = "v=spf1"

// isRecord is RFC 7208 §4.5: the version, then a space or the end.
func isRecord(text string) bool {
	if len(text) < len(version) || !strings.EqualFold(text[:len(version)], version) {
		return false
	}
	return len(text) == len(version) || text[len(version)] == ' '
}

// Parse parses a record (RFC 7208 §12). Any fault refuses the whole.
func Parse(text string) (*Record, error) {
	if !isRecord(text) {
		return nil, errors.New("it does not begin with v=spf1")
	}
	r := &Record{}
	for word := range strings.SplitSeq(text[len(version):], " ") {
		if word == "" {
			continue
		}
		if err := r.add(word); err != nil {
			return nil, fmt.Errorf("%s: %w", strconv.QuoteToASCII(foreign.Clip(word, 100)), err)
		}
	}
	return r, nil
}

func (r *Record) add(word string) error {
	for i := range len(word) {
		if word[i] <= ' ' || word[i] > '~' {
			return errors.New("only visible ASCII is allowed")
		}
	}
	if name, value, ok := modifier(word); ok {
		return r.addModifier(name, value)
	}
	t, err := parseTerm(word)
	if err == nil {
		r.Terms = append(r.Terms, t)
	}
	return err
}

// modifier splits name=value; a mechanism has ":" or "/" before any "=".
func modifier(word string) (name, value string, ok bool) {
	i := strings.IndexByte(word, '=')
	if i < 1 || !letter(word[0]) {
		return "", "", false
	}
	for k := range i {
		if c := word[k]; !letter(c) && !digit(c) && c != '-' && c != '_' && c != '.' {
			return "", "", false
		}
	}
	return strings.ToLower(word[:i]), word[i+1:], true
}

func (r *Record) addModifier(name, value string) error {
	var into *Macro
	switch name {
	case "redirect":
		into = &r.Redirect
	case "exp":
		into = &r.Exp
	default: // RFC 7208 §6: ignored, if its value is a macro string
		_, err := parseMacro(value, false)
		return err
	}
	if *into != nil {
		return errors.New("it stands twice")
	}
	m, err := parseDomain(value)
	*into = m
	return err
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

var qualifiers = map[byte]Result{'+': Pass, '-': Fail, '~': SoftFail, '?': Neutral}

func parseTerm(word string) (Term, error) {
	t := Term{Text: word, Qualifier: Pass, Prefix4: 32, Prefix6: 128}
	if q, ok := qualifiers[word[0]]; ok {
		t.Qualifier, word = q, word[1:]
	}
	n := strings.IndexAny(word, ":/")
	if n < 0 {
		n = len(word)
	}
	t.Mechanism = strings.ToLower(word[:n])
	rest := word[n:]
	var err error
	switch t.Mechanism {
	case "all":
		if rest != "" {
			err = errors.New("all takes no argument")
		}
	case "include", "exists":
		t.Domain, err = argument(rest, true)
	case "ptr":
		t.Domain, err = argument(rest, false)
	case "a", "mx":
		if rest, err = t.prefixes(rest); err == nil {
			t.Domain, err = argument(rest, false)
		}
	case "ip4", "ip6":
		err = t.network(rest)
	default:
		err = errors.New("unknown mechanism")
	}
	return t, err
}

// argument parses ":domain-spec".
func argument(rest string, required bool) (Macro, error) {
	if rest == "" && !required {
		return nil, nil
	}
	spec, ok := strings.CutPrefix(rest, ":")
	if !ok {
		return nil, errors.New("it needs a colon and a domain")
	}
	return parseDomain(spec)
}

// prefixes takes dual-cidr-length off the end: "/24", "//64" or "/24//64".
func (t *Term) prefixes(rest string) (string, error) {
	head, six, ok, err := cutLength(rest, "//", 128)
	if err != nil {
		return "", err
	}
	if ok {
		t.Prefix6, rest = six, head
	}
	head, four, ok, err := cutLength(rest, "/", 32)
	if err != nil {
		return "", err
	}
	if ok {
		t.Prefix4, rest = four, head
	}
	return rest, nil
}

// cutLength takes sep and a number off the end of s, where they stand.
func cutLength(s, sep string, most int) (head string, n int, ok bool, err error) {
	end := len(s)
	for end > 0 && digit(s[end-1]) {
		end--
	}
	if !strings.HasSuffix(s[:end], sep) || strings.HasSuffix(s[:end], "/"+sep) || end == len(s) {
		if end == len(s) && strings.HasSuffix(s, "/") {
			return "", 0, false, errors.New("a prefix length is missing behind /")
		}
		return s, 0, false, nil
	}
	n, err = length(s[end:], most)
	return s[:end-len(sep)], n, err == nil, err
}

// length is a prefix length without leading zeroes (RFC 7208 §12).
func length(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n > most || len(s) > 1 && s[0] == '0' || s == "" || !digit(s[0]) {
		return 0, fmt.Errorf("%q is no prefix length from 0 to %d", foreign.Clip(s, 10), most)
	}
	return n, nil
}

// network parses ":address[/length]".
func (t *Term) network(rest string) error {
	text, ok := strings.CutPrefix(rest, ":")
	if !ok {
		return errors.New("it needs a colon and an address")
	}
	addr, bits, cut := strings.Cut(text, "/")
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" || a.Is4() != (t.Mechanism == "ip4") {
		return fmt.Errorf("%q is no %s address", foreign.Clip(addr, 50), t.Mechanism)
	}
	n := a.BitLen()
	if cut {
		if n, err = length(bits, n); err != nil {
			return err
		}
	}
	if a.Is4In6() && n >= 96 { // clients are compared without the mapping
		a, n = a.Unmap(), n-96
	}
	t.Network = netip.PrefixFrom(a, n).Masked()
	return nil
}
