package setup

import (
	"fmt"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/internal/text"
	"waxwing/mtasts"
)

// Leaving is what is known of a hosted domain that is to be disabled or removed (SET-4).
type Leaving struct {
	Domain    dns.Name
	Addresses []string
	Going     bool     // its addresses are taken away with it
	Homeless  []string // accounts that have addresses in no other domain
	Keys      int      // for DKIM, that sign
	Policy    mtasts.Mode
	Reporter  bool // our TLS reports come from an address in it
	MX        bool // its MX records lead here; false also where they could not be seen
	MXUnseen  string
}

// Disabling says what breaks while the domain is disabled. Nothing is lost by it: mail is
// put off, and its senders try again for days.
func (l Leaving) Disabling() []string {
	var out []string
	if n := len(l.Addresses); n > 0 {
		out = append(out, fmt.Sprintf("%s get no mail from others: it waits at its senders, most of whom give up after 4 or 5 days", some(n, "address", "addresses", l.Addresses)))
	}
	if len(l.Homeless) > 0 {
		out = append(out, "these accounts can send from no address meanwhile: "+strings.Join(l.Homeless, ", "))
	}
	return out
}

// Removing says what breaks when the domain is gone.
func (l Leaving) Removing() []string {
	var out []string
	switch n := len(l.Addresses); {
	case n > 0 && l.Going:
		out = append(out, fmt.Sprintf("mail for %s is refused for good (550)", some(n, "address", "addresses", l.Addresses)))
	case n > 0:
		out = append(out, fmt.Sprintf("%s must be taken away first (\"waxwing address remove\"): their mail would be refused for good", some(n, "address", "addresses", l.Addresses)))
	}
	if len(l.Homeless) > 0 {
		out = append(out, "these accounts would have no address: "+strings.Join(l.Homeless, ", "))
	}
	switch {
	case l.MX:
		out = append(out, fmt.Sprintf("the MX records of %s lead here still: its mail would be refused (550). Change them first", l.Domain))
	case l.MXUnseen != "":
		out = append(out, fmt.Sprintf("whether the MX records of %s lead here could not be seen (%s): mail that comes would be refused (550)", l.Domain, l.MXUnseen))
	}
	out = append(out, PolicyGone(l.Domain.ASCII(), string(l.Policy))...)
	if l.Keys > 0 {
		out = append(out, fmt.Sprintf("%s of DKIM no longer sign; leave the records in DNS for two weeks, for mail that is under way", text.Count(l.Keys, "key")))
	}
	if l.Reporter {
		out = append(out, "our TLS reports come from tls-reports@"+l.Domain.ASCII()+": without it they come from another domain, or not at all")
	}
	return out
}

// PolicyGone says what breaks when a domain's MTA-STS policy is served no more: nothing where
// it is of mode none, or there is none.
func PolicyGone(domain, mode string) []string {
	if !slices.Contains([]mtasts.Mode{mtasts.ModeEnforce, mtasts.ModeTesting}, mtasts.Mode(mode)) {
		return nil
	}
	return []string{fmt.Sprintf("its MTA-STS policy (mode %s) is in the caches of senders, who hold other hosts against it: \"waxwing mtasts publish %s --mode none\" first, and wait until the old max_age is over", mode, domain)}
}

// maxNamed is how many of something are named.
const maxNamed = 5

func some(n int, one, many string, names []string) string {
	if n == 1 {
		return "1 " + one + " (" + names[0] + ")"
	}
	shown := strings.Join(names[:min(n, maxNamed)], ", ")
	if n > maxNamed {
		shown += ", …"
	}
	return fmt.Sprintf("%d %s (%s)", n, many, shown)
}
