package route

import "strings"

// Ways are all rules and transports at one moment.
type Ways struct {
	Generation int64 // another one may choose another way
	Rules      []Rule
	Transports map[string]Transport
}

// Contact names who is connected to for the next attempt at s.
func (w *Ways) Contact(s Subject) string {
	c := Choose(w.Rules, s)
	return Contact(s.Recipient.String(), c.Transport, w.Transports[c.Transport].Kind)
}

// via begins the part of a contact that names a transport. No domain holds it.
const via = "via:"

// Contact names who is connected to, and so who it is that does not answer
// (QUE-3): the hosts of a domain, "example.org"; the same over a transport of the
// operator's with an address or a proxy of its own, "example.org via:NAME"; or the
// one host of a relay, "via:NAME". A transport of no known kind connects to nobody.
func Contact(domain, transport string, kind Kind) string {
	switch {
	case transport == DirectName || transport == "":
		return domain
	case transport == LocalName || kind == Local || kind == Direct || kind == SOCKS5:
		return domain + " " + via + transport
	}
	return via + transport
}

// Way names the way to a contact that several contacts share, as one that can fail
// by itself: "via:NAME" of "example.org via:NAME", such as a proxy. ok is false where
// the contact shares none.
func Way(contact string) (way string, ok bool) {
	domain, transport := ParseContact(contact)
	if domain == "" || transport == "" {
		return "", false
	}
	return via + transport, true
}

// ParseContact is the inverse of Contact: one of the two, or both.
func ParseContact(s string) (domain, transport string) {
	if name, ok := strings.CutPrefix(s, via); ok {
		return "", name
	}
	domain, name, _ := strings.Cut(s, " "+via)
	return domain, name
}
