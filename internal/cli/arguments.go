package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/smtp"
)

// ParseID reads an identifier as logs and listings show it; list is the command
// that shows them.
func ParseID(s, list string) (delivery.ID, error) {
	id, err := delivery.ParseID(s)
	if err != nil {
		return 0, Usagef("%q is no id; \"%s\" shows them", s, list)
	}
	return id, nil
}

// IDOf is ParseID for a list.
func IDOf(list string) func(string) (delivery.ID, error) {
	return func(s string) (delivery.ID, error) { return ParseID(s, list) }
}

func ParseIDs(all []string, list string) ([]delivery.ID, error) {
	ids := make([]delivery.ID, len(all))
	for i, s := range all {
		var err error
		if ids[i], err = ParseID(s, list); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// ParseDomain reads a domain that stands as an argument.
func ParseDomain(s string) (dns.Name, error) {
	if strings.Contains(s, "@") {
		return dns.Name{}, Usagef("%q looks like an address: give a domain", s)
	}
	d, err := dns.ParseName(s)
	if err != nil {
		return dns.Name{}, usageError{err.Error()}
	}
	return d, nil
}

// ParseAddress reads a mail address that stands as an argument.
func ParseAddress(s string) (smtp.Address, delivery.RecipientDomain, error) {
	a, d, err := delivery.ParseAddress(s)
	if err != nil {
		return a, d, Usagef("%v", err)
	}
	return a, d, nil
}

// SplitPort parts HOST[:PORT]; 0 without a port.
func SplitPort(s string) (host string, port uint16, err error) {
	host, text, there := strings.Cut(s, ":")
	if !there {
		return host, 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, Usagef("%q is no TCP port", text)
	}
	return host, uint16(n), nil
}

// FlagError names the flag that an argument's error is about.
func FlagError(name string, err error) error {
	if err == nil {
		return nil
	}
	return Usagef("--%s: %v", name, err)
}

// Faults are errors that stand on lines of their own, as wrong usage on one line.
func Faults(err error) error {
	if err == nil {
		return nil
	}
	return Usagef("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
}

// Day is a flag whose value is a day such as 2026-01-31.
type Day time.Time

func (d *Day) String() string { return "" }
func (d *Day) Type() string   { return "day" }

func (d *Day) Set(s string) error {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil && s != "" {
		return fmt.Errorf("%q is no day such as 2026-01-31", s)
	}
	*d = Day(t)
	return nil
}
