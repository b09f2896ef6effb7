package main

import (
	"strings"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/smtp"
)

// parseID reads an identifier as logs and listings show it; list is the command
// that shows them.
func parseID(s, list string) (delivery.ID, error) {
	id, err := delivery.ParseID(s)
	if err != nil {
		return 0, usagef("%q is no id; \"%s\" shows them", s, list)
	}
	return id, nil
}

// idOf is parseID for a list.
func idOf(list string) func(string) (delivery.ID, error) {
	return func(s string) (delivery.ID, error) { return parseID(s, list) }
}

func parseIDs(all []string, list string) ([]delivery.ID, error) {
	ids := make([]delivery.ID, len(all))
	for i, s := range all {
		var err error
		if ids[i], err = parseID(s, list); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// parseDomain reads a domain that stands as an argument.
func parseDomain(s string) (dns.Name, error) {
	if strings.Contains(s, "@") {
		return dns.Name{}, usagef("%q looks like an address: give a domain", s)
	}
	d, err := dns.ParseName(s)
	if err != nil {
		return dns.Name{}, usageError{err.Error()}
	}
	return d, nil
}

// parseAddress reads a mail address that stands as an argument, perhaps copied from
// a log: others' addresses have dots where RFC 5321 wants quotes.
func parseAddress(s string) (smtp.Address, delivery.RecipientDomain, error) {
	a, err := smtp.ParseReceived(s, true)
	if err != nil {
		return a, delivery.RecipientDomain{}, usagef("%q is no address such as someone@example.org: %v", s, err)
	}
	d, err := delivery.ParseRecipientDomain(a.Domain)
	if err != nil {
		return a, d, usagef("%q is no address such as someone@example.org: %v", s, err)
	}
	return a, d, nil
}

// parseFlag names the flag that an argument's error is about.
func parseFlag(name string, err error) error {
	if err == nil {
		return nil
	}
	return usagef("--%s: %v", name, err)
}
