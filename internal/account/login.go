package account

import (
	"strings"

	"golang.org/x/text/unicode/norm"

	"waxwing/dns"
	"waxwing/smtp"
)

// Login is what a user typed to log in, in the form in which it is compared:
// the one place that says which spellings are the same user.
type Login struct {
	Name   string   // of an account; "" where it cannot be one
	Local  string   // of the address, or the whole where it is none; as NormalizeLocal
	Typed  string   // of the address, case and all, for domains that tell it apart (ACC-2)
	Domain dns.Name // of the address; zero where it is none
}

// ParseLogin never fails: what can be neither a name nor an address is nobody's,
// and is then only told apart from others.
func ParseLogin(user string) Login {
	if !strings.Contains(user, "@") {
		l := Login{Local: NormalizeLocal(user)}
		if name := strings.ToLower(user); CheckName(name) == nil {
			l.Name = name
		}
		return l
	}
	whole := Login{Local: NormalizeLocal(user)}
	a, err := smtp.ParseAddress(user, true)
	if err != nil || a.Local == CatchAll {
		return whole
	}
	domain, err := dns.ParseName(a.Domain)
	if err != nil {
		return whole
	}
	return Login{Local: NormalizeLocal(a.Local), Typed: norm.NFC.String(a.Local), Domain: domain}
}

// IsAddress reports an address, hosted or not.
func (l Login) IsAddress() bool { return !l.Domain.IsZero() }
