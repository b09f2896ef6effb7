package message

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/internal/foreign"
)

// Bounds of an address list.
const (
	maxAddressList = 64 << 10 // octets
	maxAddresses   = 2000
)

// Address is one mailbox of an address list (RFC 5322 §3.4).
type Address struct {
	Name   string // display name, decoded as far as it can be; may be empty
	Local  string // left of the "@", without quoting
	Domain string // right of it, as written; may be a literal in brackets
}

// Addr is the address in "local@domain" form, the local part quoted where it
// needs to be.
func (a Address) Addr() string { return quoteLocal(a.Local) + "@" + a.Domain }

// String is the form for a header field, the display name encoded where it
// needs to be (RFC 2047).
func (a Address) String() string {
	if a.Name == "" {
		return a.Addr()
	}
	return EncodePhrase(a.Name) + " <" + a.Addr() + ">"
}

func quoteLocal(local string) string {
	atom := local != "" && local[0] != '.' && local[len(local)-1] != '.' && !strings.Contains(local, "..")
	for i := 0; atom && i < len(local); i++ {
		atom = atext(local[i]) || local[i] == '.'
	}
	if atom {
		return local
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
}

// atext is RFC 5322 §3.2.3 with RFC 6532 §3.2's UTF-8.
func atext(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 ||
		strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// ParseAddressList parses the body of a From, To or Cc field (TRA-8): comments,
// folding white space and the obsolete forms of RFC 5322 §4.4 are read, groups are
// flattened. What a display name or a comment says never makes it fail. Lists of
// more than 64 KiB or 2,000 addresses are refused.
func ParseAddressList(s string) ([]Address, error) {
	r, err := readAddresses(s)
	if err != nil {
		return nil, err
	}
	out := make([]Address, len(r.boxes))
	for i, m := range r.boxes {
		if m.Domain == "" {
			return nil, fmt.Errorf("invalid address list: %q has no domain", foreign.Clip(m.Local, 60))
		}
		out[i] = m.Address
	}
	return out, nil
}

// RewriteAddressList is ParseAddressList for text that may hold names of this
// machine's users, as "root" or "root (Cron Daemon)"; their Domain is empty. Where
// replace gives another address, it takes the place of the one that stands there;
// all else of the text stays as it is.
func RewriteAddressList(s string, replace func(Address) Address) (text string, list []Address, err error) {
	r, err := readAddresses(s)
	if err != nil {
		return "", nil, err
	}
	var b strings.Builder
	done := 0
	for _, m := range r.boxes {
		if full := replace(m.Address); full.Local != m.Local || full.Domain != m.Domain {
			m.Local, m.Domain = full.Local, full.Domain
			b.WriteString(s[done:m.start] + m.Addr())
			done = m.end
		}
		list = append(list, m.Address)
	}
	b.WriteString(s[done:])
	return b.String(), list, nil
}

// EncodeAddressList writes the names and comments of an address list that hold more
// than US-ASCII as encoded words (RFC 2047 §5). Addresses stay, and so does all
// that needs no encoding.
func EncodeAddressList(s string) (string, error) {
	r, err := readAddresses(s)
	if err != nil {
		return "", err
	}
	slices.SortFunc(r.names, func(a, b namePart) int { return a.start - b.start })
	var b strings.Builder
	done := 0
	for _, n := range r.names {
		if n.start < done || !EightBit([]byte(s[n.start:n.end])) {
			continue
		}
		b.WriteString(s[done:n.start] + n.encoded())
		done = n.end
	}
	b.WriteString(s[done:])
	return b.String(), nil
}

// From is the mailboxes of the one From field a message has (RFC 5322 §3.6.2). They may stand in one
// group (RFC 6854), and not in several: readers differ in whose names they show then (AUT-5).
func From(h Header) ([]Address, error) {
	switch n := h.Count("From"); {
	case n == 0:
		return nil, errors.New("message has no From field")
	case n > 1:
		return nil, fmt.Errorf("message has %d From fields, one is allowed", n)
	}
	text := h.Get("From")
	list, err := ParseAddressList(text)
	if err != nil {
		return nil, fmt.Errorf("From field: %w", err)
	}
	if len(list) == 0 {
		return nil, errors.New("From field names no address")
	}
	if severalGroups(text) {
		return nil, errors.New("From field has addresses in several groups")
	}
	return list, nil
}

// severalGroups is whether more than one group of an address list has addresses.
func severalGroups(text string) bool {
	r, err := readAddresses(text)
	if err != nil {
		return false
	}
	first := 0
	for _, m := range r.boxes {
		switch {
		case m.group == 0 || m.group == first:
		case first != 0:
			return true
		default:
			first = m.group
		}
	}
	return false
}

// FromDomains are the author's domains: those of the From field, each once.
func FromDomains(h Header) ([]dns.Name, error) {
	list, err := From(h)
	if err != nil {
		return nil, err
	}
	var out []dns.Name
	for _, a := range list {
		d, err := dns.ParseName(a.Domain)
		if err != nil {
			return nil, fmt.Errorf("From field, address %s: %w", foreign.Clip(a.Addr(), 100), err)
		}
		if !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out, nil
}

// FromDomain is the domain of the From field. Several addresses must share it:
// nobody could say otherwise whose policy counts.
func FromDomain(h Header) (dns.Name, error) {
	all, err := FromDomains(h)
	switch {
	case err != nil:
		return dns.Name{}, err
	case len(all) > 1:
		return dns.Name{}, fmt.Errorf("From field names two domains, %s and %s", all[0], all[1])
	}
	return all[0], nil
}
