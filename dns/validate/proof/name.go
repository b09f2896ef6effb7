package proof

import (
	"bytes"
	"strings"

	wire "github.com/miekg/dns"
)

// canon is a name in the form in which names are compared here: absolute, in
// lower case, escaped as the wire library escapes what it unpacks.
func canon(name string) string {
	name = wire.CanonicalName(name)
	plain := true
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '*') {
			plain = false
			break
		}
	}
	if plain {
		return name
	}
	var buf [256]byte
	if _, err := wire.PackDomainName(name, buf[:], 0, nil, false); err != nil {
		return name
	}
	out, _, err := wire.UnpackDomainName(buf[:], 0)
	if err != nil {
		return name
	}
	return wire.CanonicalName(out)
}

// octets are the labels of a name as they are on the wire in lower case, the first
// first; false: it is no name.
func octets(name string) ([][]byte, bool) {
	var buf [256]byte
	n, err := wire.PackDomainName(name, buf[:], 0, nil, false)
	if err != nil {
		return nil, false
	}
	var out [][]byte
	for at := 0; at < n && buf[at] != 0; {
		l := int(buf[at])
		if at+1+l > n {
			return nil, false
		}
		out = append(out, lower(bytes.Clone(buf[at+1:at+1+l])))
		at += 1 + l
	}
	return out, true
}

// lower turns ASCII letters alone into lower case (RFC 4034 §6.1).
func lower(b []byte) []byte {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return b
}

// compare is the canonical order of names (RFC 4034 §6.1): by labels, the last
// first. What is no name is less than every name.
func compare(a, b string) int {
	x, okX := octets(a)
	y, okY := octets(b)
	if !okX || !okY {
		return boolInt(okX) - boolInt(okY)
	}
	for i, j := len(x)-1, len(y)-1; i >= 0 && j >= 0; i, j = i-1, j-1 {
		if c := bytes.Compare(x[i], y[j]); c != 0 {
			return c
		}
	}
	return len(x) - len(y)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// under reports whether name is zone or below it.
func under(name, zone string) bool {
	if zone == "." || name == zone {
		return true
	}
	if i := len(name) - len(zone) - 1; i >= 0 && name[i] == '.' && name[i+1:] == zone && !escaped(name, i) {
		return true
	}
	return wire.IsSubDomain(zone, name) // names that are not canonical; and most others are no subdomains
}

// escaped reports whether the octet at i is part of a label, by a backslash before it that is none itself.
func escaped(name string, i int) bool {
	n := 0
	for i--; i >= 0 && name[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// below reports whether name is below zone, and not zone itself.
func below(name, zone string) bool { return name != zone && under(name, zone) }

// parent is the name without its first label; that of the root is the root.
func parent(name string) string {
	i, end := wire.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[i:]
}

// suffix is the last n labels of a name.
func suffix(name string, n int) string {
	for count := wire.CountLabel(name); count > n; count-- {
		name = parent(name)
	}
	return name
}

// wildcard is "*." before a name.
func wildcard(name string) string {
	if name == "." {
		return "*."
	}
	return "*." + name
}

// common is the longest name that both are, or are below.
func common(a, b string) string { return suffix(a, wire.CompareDomainName(a, b)) }

// path is the names between top, left out, and name, from above.
func path(top, name string) []string {
	var out []string
	for n := name; below(n, top); n = parent(n) {
		out = append(out, n)
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// firstLabel is a name's first label as text.
func firstLabel(name string) string {
	i, end := wire.NextLabel(name, 0)
	if end {
		return strings.TrimSuffix(name, ".")
	}
	return name[:i-1]
}
