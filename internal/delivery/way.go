package delivery

import (
	"cmp"
	"strings"
)

// Way is how a job leaves. It is chosen once, when the job is claimed (TRA-4), and
// whoever carries the job obeys.
type Way struct {
	Transport string // its name; "": none could be chosen, and the mail waits
	Contact   Contact
	Why       string // in words
}

// Contact is whom a delivery dials, and so who it is that does not answer (QUE-3): the
// hosts of a domain, by themselves or over a transport with an address or a proxy of
// its own, or the one host of a transport, whatever the domain. With Local set nobody is
// dialled: it is the mailboxes of this server. The zero Contact is nobody.
type Contact struct {
	Domain    string // as it was written, also where it cannot be read; "": the host of Transport
	Transport string // "": the built-in direct one
	Local     bool
}

// via begins the part of a contact that names a transport. No domain holds it.
const via = "via:"

// String is the contact as it is stored, beside Local: "example.org", "example.org via:NAME", "via:NAME".
func (c Contact) String() string {
	switch {
	case c.Transport == "":
		return c.Domain
	case c.Domain == "":
		return via + c.Transport
	}
	return c.Domain + " " + via + c.Transport
}

// ParseContact is the inverse of String. Local stands in a column of its own.
func ParseContact(s string) Contact {
	if name, ok := strings.CutPrefix(s, via); ok {
		return Contact{Transport: name}
	}
	domain, name, _ := strings.Cut(s, " "+via)
	return Contact{Domain: domain, Transport: name}
}

// Shared is the way to the contact that other domains share, as one that can fail, and
// close, by itself, such as a proxy; ok is false where there is none.
func (c Contact) Shared() (way Contact, ok bool) {
	if c.Domain == "" || c.Transport == "" {
		return Contact{}, false
	}
	return Contact{Transport: c.Transport}, true
}

// Lane names the mail of one account that waits for one contact.
type Lane struct {
	To      Contact
	Account string
}

// Compare orders lanes.
func (l Lane) Compare(o Lane) int {
	local := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(l.To.Domain, o.To.Domain), cmp.Compare(l.To.Transport, o.To.Transport),
		local(l.To.Local)-local(o.To.Local), cmp.Compare(l.Account, o.Account))
}

// String is for errors.
func (l Lane) String() string { return strings.TrimSpace(l.To.String() + " " + l.Account) }
