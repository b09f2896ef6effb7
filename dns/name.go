package dns

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"waxwing/internal/foreign"
)

// Name is a parsed, absolute domain name: A-labels in lower case, no trailing
// dot (DNS-1). It is comparable, and two Names are equal exactly if they are
// the same domain. The zero Name is no name at all.
type Name struct {
	ascii string
}

// nameOctets are the ASCII characters of host names, as they are typed.
const nameOctets = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."

// lookup is the IDNA profile for names that are looked up (RFC 5891 §5).
var lookup = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// ParseName parses a host name in A-label or U-label form. A trailing dot is
// allowed. IP literals, empty labels and underscores are refused.
func ParseName(s string) (Name, error) {
	t := strings.TrimSuffix(s, ".")
	if t == "" {
		return Name{}, errors.New("empty domain name")
	}
	if plain(t) {
		return checked(s, strings.ToLower(t))
	}
	if !utf8.ValidString(t) {
		return Name{}, fmt.Errorf("invalid domain name %q: not UTF-8", foreign.Clip(s, 100))
	}
	for i := range len(t) {
		if c := t[i]; c < utf8.RuneSelf && !strings.ContainsRune(nameOctets, rune(c)) {
			return Name{}, fmt.Errorf("invalid domain name %q: %q cannot stand in one", foreign.Clip(s, 100), c)
		}
	}
	a, err := lookup.ToASCII(t)
	if err != nil {
		return Name{}, fmt.Errorf("invalid domain name %q: %v", foreign.Clip(s, 100), err)
	}
	return checked(s, strings.ToLower(a))
}

// ParseLax is ParseName for names that are met rather than given: service
// labels (_25._tcp.…) and sloppy MX targets may hold underscores.
func ParseLax(s string) (Name, error) {
	t := strings.ToLower(strings.TrimSuffix(s, "."))
	if t == "" {
		return Name{}, errors.New("empty domain name")
	}
	for i := range len(t) {
		if c := t[i]; c >= 0x80 {
			return ParseName(s)
		}
	}
	var prev byte = '.'
	for i := range len(t) {
		c := t[i]
		ok := c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' && prev != '.'
		if !ok {
			return Name{}, fmt.Errorf("invalid domain name %q", foreign.Clip(s, 100))
		}
		prev = c
	}
	return checked(s, t)
}

// ParseQuestion is ParseLax for names that are only asked for, such as those
// that SPF macros make of local parts: labels may hold any printable ASCII but
// backslashes (RFC 2181 §11: DNS itself restricts them not).
func ParseQuestion(s string) (Name, error) {
	if n, err := ParseLax(s); err == nil {
		return n, nil
	}
	t := strings.ToLower(strings.TrimSuffix(s, "."))
	for label := range strings.SplitSeq(t, ".") {
		if label == "" {
			return Name{}, fmt.Errorf("empty label in domain name %q", foreign.Clip(s, 100))
		}
		for i := range len(label) {
			if c := label[i]; c < ' ' || c > '~' || c == '\\' {
				return Name{}, fmt.Errorf("invalid domain name %q", foreign.Clip(s, 100))
			}
		}
	}
	return checked(s, t)
}

// MustParse is ParseLax for constants and tests; it panics on an error.
func MustParse(s string) Name {
	n, err := ParseLax(s)
	if err != nil {
		panic(err)
	}
	return n
}

// plain reports whether s needs no IDNA processing: letters, digits, hyphens
// inside labels, no A-labels, no empty labels.
func plain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if len(label) >= 4 && label[2] == '-' && label[3] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i] | 0x20
			if !(c >= 'a' && c <= 'z' || label[i] >= '0' && label[i] <= '9' || label[i] == '-') {
				return false
			}
		}
	}
	return true
}

func checked(given, s string) (Name, error) {
	if len(s) > 253 {
		return Name{}, fmt.Errorf("domain name longer than 253 octets: %q", foreign.Clip(given, 100))
	}
	last := s
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 {
			return Name{}, fmt.Errorf("label longer than 63 octets in domain name %q", foreign.Clip(given, 100))
		}
		last = label
	}
	// A name whose last label is all digits is an IPv4 address or a typing
	// error (RFC 3696 §2).
	if strings.Trim(last, "0123456789") == "" {
		return Name{}, fmt.Errorf("%q is no domain name: its last label is a number", foreign.Clip(given, 100))
	}
	return Name{s}, nil
}

// IsZero reports whether n is no name.
func (n Name) IsZero() bool { return n.ascii == "" }

// ASCII is the A-label form in lower case without a trailing dot.
func (n Name) ASCII() string { return n.ascii }

// Unicode is the U-label form; the same as ASCII where there are no A-labels.
func (n Name) Unicode() string {
	if !strings.Contains(n.ascii, "xn--") {
		return n.ascii
	}
	u, err := idna.Lookup.ToUnicode(n.ascii)
	if err != nil {
		return n.ascii
	}
	return u
}

// String is ASCII: names are logged and compared in the form they are sent.
func (n Name) String() string { return n.ascii }

// Prefix returns the name with labels (such as "_mta-sts" or "_25._tcp") put before it.
func (n Name) Prefix(labels string) (Name, error) { return ParseLax(labels + "." + n.ascii) }

// Parent is the name without its leftmost label; zero for a top-level domain.
func (n Name) Parent() Name {
	_, rest, ok := strings.Cut(n.ascii, ".")
	if !ok {
		return Name{}
	}
	return Name{rest}
}

// Under reports whether n is p or a subdomain of it.
func (n Name) Under(p Name) bool {
	return n == p || strings.HasSuffix(n.ascii, "."+p.ascii)
}

// MarshalText and UnmarshalText carry the A-label form, for JSON and TOML.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.ascii), nil }

// UnmarshalText parses with ParseLax; empty text is the zero Name.
func (n *Name) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*n = Name{}
		return nil
	}
	p, err := ParseLax(string(b))
	if err != nil {
		return err
	}
	*n = p
	return nil
}
