package route

import (
	"cmp"
	"fmt"

	"waxwing/dns"
	"waxwing/internal/delivery"
)

// Subject is what a choice depends on beside the rules.
type Subject struct {
	Account   string                   // who submitted it; "" for mail from outside and our own
	Sender    dns.Name                 // domain of the sender; zero for the null sender
	Recipient delivery.RecipientDomain // an address literal matches no domain
	Attempts  int                      // made before this one
	Need      delivery.TLSNeed
	Purpose   delivery.Purpose
	Own       string // the message's own transport; "" for none
}

// SubjectOf reads what routes look at from a job. Where its recipients have
// been tried more and less often, the least counts: nobody's mail takes the way meant
// for later before its time.
func SubjectOf(job *delivery.Job) Subject {
	s := Subject{Account: job.Account, Recipient: job.Domain, Need: job.Need, Purpose: job.Purpose, Own: job.Transport, Sender: domainOf(job.Sender)}
	for i, r := range job.Recipients {
		if i == 0 {
			s.Attempts = r.Attempts
		}
		s.Attempts = min(s.Attempts, r.Attempts)
	}
	return s
}

// domainOf is the domain of an address; zero for none, and for a literal.
func domainOf(address string) dns.Name {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == '@' {
			n, err := dns.ParseName(address[i+1:])
			if err != nil {
				return dns.Name{}
			}
			return n
		}
	}
	return dns.Name{}
}

// Choice is the way a message takes.
type Choice struct {
	Transport string
	Rule      *Rule  // that chose it; nil: the message's own, or none matched
	Why       string // in words
}

// Choose picks the transport for s: its own, else that of the first rule that
// matches, else DirectName. The order is that of Before, whatever that of the
// list. It changes nothing.
func Choose(rules []Rule, s Subject) Choice {
	if s.Own != "" {
		return Choice{Transport: s.Own, Why: "the message has a transport of its own"}
	}
	var best *Rule
	for i := range rules {
		r := &rules[i]
		if Mismatch(r, s) == "" && (best == nil || Before(r, best)) {
			best = r
		}
	}
	if best == nil {
		return Choice{Transport: DirectName, Why: "no route matches"}
	}
	return Choice{Transport: best.Transport, Rule: best, Why: best.String()}
}

// Before reports whether a is asked before b.
func Before(a, b *Rule) bool {
	return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Position, b.Position), cmp.Compare(a.ID, b.ID)) < 0
}

// Mismatch says why a rule is not for s; "" if it is.
func Mismatch(r *Rule, s Subject) string {
	switch {
	case r.Scope == OfAccount && (s.Account == "" || r.Owner != s.Account):
		return "it is for mail of the account " + r.Owner
	case r.Scope == OfDomain && (s.Sender.IsZero() || r.Owner != s.Sender.ASCII()):
		return "it is for senders at " + r.Owner
	case r.Scope > OfServer:
		return "its scope is unknown"
	case !r.Recipient.Matches(s.Recipient.Name):
		return "it is for recipients at " + r.Recipient.words()
	case !r.Sender.Matches(s.Sender):
		return "it is for senders at " + r.Sender.words()
	case s.Attempts < r.MinAttempts:
		return fmt.Sprintf("it begins after %d failed attempts", r.MinAttempts)
	case r.Need != nil && *r.Need != s.Need:
		return "it is for the TLS need " + r.Need.String()
	}
	return ""
}
