package smtp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"waxwing/dns"
)

// Limits of RFC 5321 §4.5.3.1. A local part may be longer than the 64 octets
// that everyone must take: senders of mailing lists put whole addresses into
// theirs, and the path's limit bounds it anyway.
const (
	MaxPath   = 256 // with its brackets, without a source route
	MaxDomain = 255
)

// Address is a mailbox. The zero value is the null reverse-path. Domain is
// empty for the bare "postmaster" that RCPT may name (RFC 5321 §4.5.1).
type Address struct {
	Local  string // without quoting
	Domain string // as written: a domain or an address literal with its brackets
}

// IsNull reports the null reverse-path.
func (a Address) IsNull() bool { return a == Address{} }

// ASCII reports whether the address can be sent without SMTPUTF8.
func (a Address) ASCII() bool { return isASCII(a.Local) && isASCII(a.Domain) }

// String is "local@domain", the local part quoted where it must be; "" for the
// null path. ParseAddress undoes it.
func (a Address) String() string {
	if a.IsNull() {
		return ""
	}
	local := a.Local
	if !isDotString(local) {
		local = quote(local)
	}
	if a.Domain == "" {
		return local
	}
	return local + "@" + a.Domain
}

// ASCIIAddress is an address for a host without SMTPUTF8: only its domain may hold
// more than US-ASCII, and goes as A-labels (RFC 6531 §3.2). False where that is
// not enough.
func ASCIIAddress(addr string) (string, bool) {
	if isASCII(addr) {
		return addr, true
	}
	at := strings.LastIndexByte(addr, '@')
	if at < 0 || !isASCII(addr[:at]) {
		return addr, false
	}
	name, err := dns.ParseName(addr[at+1:])
	if err != nil {
		return addr, false
	}
	return addr[:at+1] + name.ASCII(), true
}

func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// syntax is what an address may look like.
type syntax struct {
	utf8  bool // as in RFC 6531
	loose bool // dots anywhere in a local part without quotes
}

// ParsePath reads the path in angle brackets at the start of s, and returns
// what follows it. A source route is dropped (RFC 5321 §4.1.1.3); "<>" is the
// zero Address. utf8 allows the addresses of RFC 6531.
func ParsePath(s string, utf8 bool) (a Address, rest string, err error) {
	a, _, rest, err = parsePath(s, syntax{utf8: utf8})
	return a, rest, err
}

// parsePath is ParsePath; written is the address as it came.
func parsePath(s string, like syntax) (a Address, written, rest string, err error) {
	if !strings.HasPrefix(s, "<") {
		return a, "", s, errors.New("path must stand in angle brackets, as in <local@domain>")
	}
	p := s[1:]
	if strings.HasPrefix(p, ">") {
		return a, written, p[1:], nil
	}
	if strings.HasPrefix(p, "@") {
		if p, err = dropRoute(p); err != nil {
			return a, "", s, err
		}
	}
	before := p
	a.Local, p, err = localPart(p, like)
	if err != nil {
		return Address{}, "", s, err
	}
	if strings.HasPrefix(p, "@") {
		end := strings.IndexByte(p, '>')
		if end < 0 {
			return Address{}, "", s, errors.New("path lacks its closing bracket")
		}
		a.Domain, p = p[1:end], p[end:]
		if err := checkDomain(a.Domain, like.utf8); err != nil {
			return Address{}, "", s, err
		}
	} else if !strings.EqualFold(a.Local, "postmaster") {
		return Address{}, "", s, errors.New("address lacks its domain")
	}
	if !strings.HasPrefix(p, ">") {
		return Address{}, "", s, errors.New("path lacks its closing bracket")
	}
	written = before[:len(before)-len(p)]
	if len(written)+2 > MaxPath {
		return Address{}, "", s, fmt.Errorf("path longer than %d octets", MaxPath)
	}
	return a, written, p[1:], nil
}

// ParseAddress parses "local@domain" without brackets; a domain is needed. It is
// for addresses that are to be ours.
func ParseAddress(s string, utf8 bool) (Address, error) {
	return parseAddress(s, syntax{utf8: utf8})
}

// ParseReceived is ParseAddress for addresses that others chose, as they stand in
// received envelopes: without the quotes that RFC 5321 §4.1.2 wants around a local
// part with a dot at an end or two in a row. Mailboxes that are called so exist.
func ParseReceived(s string, utf8 bool) (Address, error) {
	return parseAddress(s, syntax{utf8: utf8, loose: true})
}

func parseAddress(s string, like syntax) (Address, error) {
	if s == "" || s[0] == '@' {
		return Address{}, errors.New("address lacks its local part")
	}
	a, _, rest, err := parsePath("<"+s+">", like)
	if err != nil {
		return Address{}, err
	}
	if rest != "" {
		return Address{}, errors.New("address with text after it")
	}
	if a.Domain == "" {
		return Address{}, errors.New("address lacks its domain")
	}
	return a, nil
}

// dropRoute skips "@a,@b:".
func dropRoute(p string) (string, error) {
	route, rest, ok := strings.Cut(p, ":")
	if !ok || len(route) > MaxPath {
		return "", errors.New("invalid source route")
	}
	for hop := range strings.SplitSeq(route, ",") {
		name, ok := strings.CutPrefix(hop, "@")
		if !ok {
			return "", errors.New("invalid source route")
		}
		if _, err := dns.ParseName(name); err != nil {
			return "", errors.New("invalid source route")
		}
	}
	return rest, nil
}

// localPart reads a dot-string or a quoted string and returns it unquoted.
func localPart(p string, like syntax) (local, rest string, err error) {
	if strings.HasPrefix(p, `"`) {
		return quotedString(p, like.utf8)
	}
	end := strings.IndexAny(p, "@>")
	if end < 0 {
		return "", "", errors.New("path lacks its closing bracket")
	}
	local = p[:end]
	if local == "" {
		return "", "", errors.New("address lacks its local part")
	}
	if !isDotString(local) && !(like.loose && isLooseDots(local)) {
		return "", "", errors.New("invalid character or dot in the local part; quote it")
	}
	return local, p[end:], checkUTF8(local, like.utf8)
}

func quotedString(p string, utf8 bool) (local, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(p); i++ {
		c := p[i]
		switch {
		case c == '"':
			if b.Len() == 0 {
				return "", "", errors.New("empty quoted local part")
			}
			return b.String(), p[i+1:], checkUTF8(b.String(), utf8)
		case c == '\\' && i+1 < len(p):
			i++
			c = p[i]
			if c >= 0x80 {
				return "", "", errors.New("invalid escape in the local part")
			}
		}
		if c < ' ' || c == 0x7f {
			return "", "", errors.New("control character in the local part")
		}
		b.WriteByte(c)
	}
	return "", "", errors.New("quoted local part without end")
}

func checkUTF8(s string, allowed bool) error {
	if isASCII(s) {
		return nil
	}
	if !utf8.ValidString(s) {
		return errors.New("address is not valid UTF-8")
	}
	if !allowed {
		return errNeedsUTF8
	}
	return nil
}

var errNeedsUTF8 = errors.New("address needs SMTPUTF8")

// isDotString reports a Dot-string (RFC 5321 §4.1.2) or its RFC 6531 form.
func isDotString(s string) bool {
	prev := byte('.')
	for i := range len(s) {
		c := s[i]
		if c == '.' && prev == '.' || !isAtext(c) && c != '.' {
			return false
		}
		prev = c
	}
	return prev != '.'
}

// isLooseDots reports what would be a Dot-string if dots could stand anywhere.
func isLooseDots(s string) bool {
	for i := range len(s) {
		if !isAtext(s[i]) && s[i] != '.' {
			return false
		}
	}
	return s != ""
}

func isAtext(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= 0x80:
		return true
	}
	return strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func checkDomain(d string, utf8 bool) error {
	if d == "" {
		return errors.New("address lacks its domain")
	}
	if d[0] == '[' {
		return checkLiteral(d)
	}
	if len(d) > MaxDomain {
		return fmt.Errorf("domain longer than %d octets", MaxDomain)
	}
	if err := checkUTF8(d, utf8); err != nil {
		return err
	}
	if strings.HasSuffix(d, ".") {
		return errors.New("domain ends in a dot")
	}
	_, err := dns.ParseName(d)
	return err
}

// checkLiteral takes the address literals of RFC 5321 §4.1.3 that exist: IPv4
// and IPv6.
func checkLiteral(d string) error {
	lit, ok := strings.CutSuffix(d[1:], "]")
	v6 := len(lit) > 5 && strings.EqualFold(lit[:5], "IPv6:")
	if v6 {
		lit = lit[5:]
	}
	a, err := netip.ParseAddr(lit)
	if !ok || err != nil || a.Zone() != "" || a.Is6() != v6 {
		return errors.New("invalid address literal")
	}
	return nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
