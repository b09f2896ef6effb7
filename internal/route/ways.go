package route

import (
	"waxwing/internal/delivery"
)

// Ways are all rules and transports at one moment. They are not changed once made.
type Ways struct {
	Generation int64  // another one may choose another way
	Rules      []Rule // those that can be read
	Transports map[string]Transport
	// BadRule is why a rule cannot be read; nil if all can. Any mail may be what it
	// was meant for, so all of it waits.
	BadRule error
	// Reports: the operator named somebody who is handed our TLS reports, before all rules.
	Reports bool
}

// ReportsName names the transport for TLS reports. No transport of an operator's has
// such a name.
const ReportsName = "report relay"

// Choose decides which way s takes.
func (w *Ways) Choose(s Subject) delivery.Way {
	if w.Reports && s.Purpose == delivery.TLSReport {
		return delivery.Way{Transport: ReportsName, Contact: delivery.Contact{Transport: ReportsName}, Why: "TLS reports are handed to the report relay"}
	}
	c := Choose(w.Rules, s)
	way := delivery.Way{Transport: c.Transport, Why: c.Why, Contact: w.contact(s, c.Transport)}
	if w.BadRule != nil {
		way.Transport, way.Why = "", "a route cannot be read: "+w.BadRule.Error()
	}
	return way
}

// contact is whom a transport dials for s. A transport of no known kind connects to
// nobody, and is a contact by itself.
func (w *Ways) contact(s Subject, transport string) delivery.Contact {
	domain := s.Recipient.String()
	if transport == DirectName {
		return delivery.Contact{Domain: domain}
	}
	c := delivery.Contact{Transport: transport}
	switch kind := w.Transports[transport].Kind; {
	case transport == LocalName, kind == Local, kind == Direct, kind == SOCKS5:
		c.Domain = domain
	}
	return c
}
