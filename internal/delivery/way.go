package delivery

import "strings"

// Way is how a job leaves. It is chosen once, when the job is claimed (TRA-4), and
// whoever carries the job obeys.
type Way struct {
	Transport string // its name; "": none could be chosen, and the mail waits
	Contact   Contact
	Why       string // in words
}

// Contact is whom a delivery dials, and so who it is that does not answer (QUE-3): the
// hosts of a domain, by themselves or over a transport with an address or a proxy of
// its own, or the one host of a transport, whatever the domain.
type Contact struct {
	Domain    string // "": the host of Transport
	Transport string // "": the built-in direct one
}

// via begins the part of a contact that names a transport. No domain holds it.
const via = "via:"

// String is the contact as it is stored: "example.org", "example.org via:NAME", "via:NAME".
func (c Contact) String() string {
	switch {
	case c.Transport == "":
		return c.Domain
	case c.Domain == "":
		return via + c.Transport
	}
	return c.Domain + " " + via + c.Transport
}

// ParseContact is the inverse of String.
func ParseContact(s string) Contact {
	if name, ok := strings.CutPrefix(s, via); ok {
		return Contact{Transport: name}
	}
	domain, name, _ := strings.Cut(s, " "+via)
	return Contact{Domain: domain, Transport: name}
}

// Shared is the way to the contact that other domains share, as one that can fail by
// itself, such as a proxy; ok is false where there is none.
func (c Contact) Shared() (way Contact, ok bool) {
	if c.Domain == "" || c.Transport == "" {
		return Contact{}, false
	}
	return Contact{Transport: c.Transport}, true
}
