// Package account holds the nouns of who has mail here: hosted domains,
// accounts, addresses and what proves a password (ACC-1). It does no I/O.
package account

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"waxwing/dns"
	"waxwing/internal/foreign"
)

// Domain is a domain whose mail is received here.
type Domain struct {
	Name     dns.Name  `json:"domain"`
	Disabled bool      `json:"disabled"` // its mail is put off, and nobody may send from it
	Created  time.Time `json:"created"`

	DisabledMail DisabledMail `json:"disabled_mail"` // what becomes of it; "": PutOff

	Separators    string `json:"separators"` // as LocalRules
	CaseSensitive bool   `json:"case_sensitive"`
	Transport     string `json:"transport"` // of kind lmtp, to the program that keeps its mailboxes; "": they are here
}

// DisabledMail is what becomes of mail for a disabled domain or account (ACC-3).
type DisabledMail string

// The values of DisabledMail. An account's mail is kept unless it is refused.
const (
	PutOff DisabledMail = ""       // 450: others try again for days
	Refuse DisabledMail = "refuse" // 550
	Keep   DisabledMail = "keep"   // it is taken as before
)

// ParseDisabledMail reads one as it is typed.
func ParseDisabledMail(s string) (DisabledMail, error) {
	switch m := DisabledMail(s); m {
	case "put-off":
		return PutOff, nil
	case PutOff, Refuse, Keep:
		return m, nil
	}
	return "", fmt.Errorf("what becomes of mail is %q: it is put-off, refuse or keep", s)
}

// Account is one user.
type Account struct {
	Name         string       `json:"account"`
	Disabled     bool         `json:"disabled"`  // may not log in or send; its mail is still accepted
	Transport    string       `json:"transport"` // as Domain.Transport; "": as the domain says, Here: here in any case
	Created      time.Time    `json:"created"`
	DisabledMail DisabledMail `json:"disabled_mail"` // Refuse, or "": its mail is kept
}

// Removed is an account that was removed and can be brought back (MBX-3).
type Removed struct {
	Name    string    `json:"account"`
	Removed time.Time `json:"removed"`
}

// Address is one address of a hosted domain and the account that has it.
type Address struct {
	Address string    `json:"address"` // local@domain as Parse normalises it; *@domain is the catchall
	Account string    `json:"account"`
	Mailbox string    `json:"mailbox"` // where its mail goes; Inbox unless the operator chose another
	Refused bool      `json:"refused"` // its mail is refused, though the domain may have a catchall (ACC-2); it is no account's
	Created time.Time `json:"created"`
}

// Target is where mail for an address goes.
type Target struct {
	Account string
	Mailbox string
	Address string // the address row that matched, such as joe@example.org for joe+list@example.org
	Detail  string // what stood behind the separator; "" without one
	Alias   string // the address, where it is an alias; there is no Account then
	Refused bool   // the account is disabled, and its mail is refused
	// Transport takes the mail to a program that keeps the account's mailboxes; "": they are here.
	Transport string
	Return    string // whom a rewritten address (package srs) leads back to; there is neither then
}

// Here is the Transport of an account whose mailboxes are here, whatever its domain says.
const Here = "local"

// Inbox is the mailbox that every account has (RFC 9051 §5.1).
const Inbox = "INBOX"

// CatchAll is the local part that stands for every address not named.
const CatchAll = "*"

// maxName bounds account names, in octets.
const maxName = 64

// CheckName says whether name can be an account's: lower-case ASCII letters, digits,
// ".", "_" and "-", beginning with a letter or digit. There is no "@" in it, so that
// a login is either a name or an address.
func CheckName(name string) error { return checkWord("account name", name) }

func checkWord(what, name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%s %q: 1 to %d characters are needed", what, foreign.Clip(name, 100), maxName)
	}
	for i := range len(name) {
		c := name[i]
		word := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !word && (i == 0 || c != '.' && c != '_' && c != '-') {
			return fmt.Errorf("%s %q: only a-z, 0-9, and after the first also . _ - are allowed", what, foreign.Clip(name, 100))
		}
	}
	return nil
}

// NormalizeLocal is the form in which a local part is stored and compared: lower case
// and NFC (RFC 6532 §3.1), so that Joe@ and joe@ are one.
func NormalizeLocal(local string) string {
	return norm.NFC.String(strings.ToLower(norm.NFC.String(local)))
}
