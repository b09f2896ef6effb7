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
	Name    dns.Name  `json:"domain"`
	Created time.Time `json:"created"`
}

// Account is one user.
type Account struct {
	Name     string    `json:"account"`
	Disabled bool      `json:"disabled"` // may not log in or send; its mail is still accepted
	Created  time.Time `json:"created"`
}

// Address is one address of a hosted domain and the account that has it.
type Address struct {
	Address string    `json:"address"` // local@domain as Parse normalises it; *@domain is the catchall
	Account string    `json:"account"`
	Mailbox string    `json:"mailbox"` // where its mail goes; Inbox unless the operator chose another
	Created time.Time `json:"created"`
}

// Target is where mail for an address goes.
type Target struct {
	Account string
	Mailbox string
	Address string // the address row that matched, such as joe@example.org for joe+list@example.org
	Detail  string // what stood behind the "+"; "" without one
}

// Inbox is the mailbox that every account has (RFC 9051 §5.1).
const Inbox = "INBOX"

// CatchAll is the local part that stands for every address not named.
const CatchAll = "*"

// maxName bounds account names, in octets.
const maxName = 64

// CheckName says whether name can be an account's: lower-case ASCII letters, digits,
// ".", "_" and "-", beginning with a letter or digit. There is no "@" in it, so that
// a login is either a name or an address.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("account name %q: 1 to %d characters are needed", foreign.Clip(name, 100), maxName)
	}
	for i := range len(name) {
		c := name[i]
		word := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !word && (i == 0 || c != '.' && c != '_' && c != '-') {
			return fmt.Errorf("account name %q: only a-z, 0-9, and after the first also . _ - are allowed", foreign.Clip(name, 100))
		}
	}
	return nil
}

// NormalizeLocal is the form in which a local part is stored and compared: lower case
// and NFC (RFC 6532 §3.1), so that Joe@ and joe@ are one.
func NormalizeLocal(local string) string {
	return norm.NFC.String(strings.ToLower(norm.NFC.String(local)))
}
