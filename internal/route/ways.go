package route

import (
	"fmt"

	"waxwing/internal/delivery"
)

// Ways are all rules and transports at one moment. They are not changed once made.
type Ways struct {
	Generation int64  // another one may choose another way
	Rules      []Rule // those that can be read
	Transports map[string]Transport
	// Bad are the rules that cannot be read. Mail that one of them may have been meant for
	// waits; all other mail goes its way.
	Bad []BadRule
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
	contact := w.contact(s, c.Transport) // what waits stays in the lane that it would have
	c = w.hold(c, s)
	return delivery.Way{Transport: c.Transport, Why: c.Why, Contact: contact}
}

// Choice is what Choose of this package says, unless a rule that cannot be read may have been
// meant to take s before: then its Transport is "", and Why says which.
func (w *Ways) Choice(s Subject) Choice { return w.hold(Choose(w.Rules, s), s) }

func (w *Ways) hold(c Choice, s Subject) Choice {
	if s.Own != "" { // no rule is asked
		return c
	}
	for i := range w.Bad {
		if b := &w.Bad[i]; b.before(c.Rule, s) {
			return Choice{Why: fmt.Sprintf("route %s cannot be read: %v", delivery.ID(b.Rule.ID), b.Err)}
		}
	}
	return c
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
