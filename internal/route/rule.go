package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/internal/delivery"
)

// Scope says whose a rule is. Lower ones come first (TRA-4).
type Scope uint8

// The scopes.
const (
	OfAccount Scope = iota // mail that Owner, an account, submitted
	OfDomain               // mail whose sender is at Owner, a domain
	OfServer               // all mail
)

var scopeWords = [...]string{"account", "domain", "server"}

func (s Scope) String() string {
	if int(s) < len(scopeWords) {
		return scopeWords[s]
	}
	return "unknown"
}

// ParseScope reads a scope's word.
func ParseScope(s string) (Scope, error) {
	i := slices.Index(scopeWords[:], s)
	if i < 0 {
		return 0, fmt.Errorf("%q is none of %s", s, strings.Join(scopeWords[:], ", "))
	}
	return Scope(i), nil
}

// MarshalText is String.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Pattern is a domain, alone or with all below it. The zero value is any domain.
type Pattern struct {
	Domain     dns.Name
	Subdomains bool // those too, the domain itself included
}

// ParsePattern parses "example.org", or ".example.org" for the domain and all
// its subdomains.
func ParsePattern(s string) (Pattern, error) {
	rest, sub := strings.CutPrefix(s, ".")
	n, err := dns.ParseName(rest)
	if err == nil {
		// A pattern is stored by its A-labels, and must be readable again.
		_, err = dns.ParseName(n.ASCII())
	}
	if err != nil {
		return Pattern{}, fmt.Errorf("%w; write example.org, or .example.org for its subdomains too", err)
	}
	return Pattern{n, sub}, nil
}

// IsZero reports a pattern that any domain matches.
func (p Pattern) IsZero() bool { return p.Domain.IsZero() }

func (p Pattern) String() string {
	if p.Subdomains {
		return "." + p.Domain.ASCII()
	}
	return p.Domain.ASCII()
}

// MarshalText is String.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Matches reports whether p stands for d; the zero domain (an address literal,
// the null sender) is matched by the zero pattern alone.
func (p Pattern) Matches(d dns.Name) bool {
	switch {
	case p.IsZero():
		return true
	case d.IsZero():
		return false
	}
	return d == p.Domain || p.Subdomains && d.Under(p.Domain)
}

// Rule sends mail that meets all of its criteria to a transport.
type Rule struct {
	ID       int64
	Scope    Scope  // whose it is
	Owner    string // account name, or domain in A-labels; empty for the server's
	Position int64  // the order within a scope and owner; of equal ones the lower ID comes first

	Recipient   Pattern           // recipient's domain
	Sender      Pattern           // sender's domain
	MinAttempts int               // attempts that failed before this one, at least
	Need        *delivery.TLSNeed // nil: any

	Transport string
}

// maxAttempts bounds MinAttempts.
const maxAttempts = 1000

// Check finds everything that is wrong with r; nil if nothing is.
func (r *Rule) Check() error {
	var errs []error
	switch {
	case r.Scope > OfServer:
		errs = append(errs, errors.New("unknown scope"))
	case r.Scope == OfServer && r.Owner != "":
		errs = append(errs, errors.New("a route of the server has no owner"))
	case r.Scope != OfServer && r.Owner == "":
		errs = append(errs, fmt.Errorf("a route of one %s needs to name it", r.Scope))
	}
	if r.MinAttempts < 0 || r.MinAttempts > maxAttempts {
		errs = append(errs, fmt.Errorf("the number of attempts, %d, must be from 0 to %d", r.MinAttempts, maxAttempts))
	}
	if r.Need != nil && *r.Need > delivery.TLSOptional {
		errs = append(errs, errors.New("unknown TLS need"))
	}
	if err := CheckName(r.Transport); err != nil {
		errs = append(errs, fmt.Errorf("transport: %w", err))
	}
	return errors.Join(errs...)
}

// String is the rule in words.
func (r *Rule) String() string {
	var b strings.Builder
	switch r.Scope {
	case OfAccount:
		b.WriteString("mail of the account " + r.Owner)
	case OfDomain:
		b.WriteString("mail from " + r.Owner)
	default:
		b.WriteString("mail")
	}
	if !r.Sender.IsZero() {
		b.WriteString(" from a sender at " + r.Sender.words())
	}
	if !r.Recipient.IsZero() {
		b.WriteString(" to " + r.Recipient.words())
	}
	if r.MinAttempts > 0 {
		fmt.Fprintf(&b, " after %d failed attempts", r.MinAttempts)
	}
	if r.Need != nil {
		b.WriteString(" with the TLS need " + r.Need.String())
	}
	b.WriteString(" takes the transport " + r.Transport)
	return b.String()
}

func (p Pattern) words() string {
	if p.Subdomains {
		return p.Domain.Unicode() + " or below"
	}
	return p.Domain.Unicode()
}
