package account

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// TypedAccess is what somebody types of an account's rules; "" changes nothing.
type TypedAccess struct{ Send, LogIn, Networks, Admin, IMAPDisable string }

// Change is what was typed as a change. announced are the extensions of IMAP that there are. The error is about
// the flag, or field, of that name.
func (t TypedAccess) Change(announced []string) (change func(Access) Access, flag string, err error) {
	to, err := ParseSending(t.Send)
	if err != nil {
		return nil, "send", err
	}
	if t.LogIn != "" && t.LogIn != "all" && t.LogIn != "app-passwords" {
		return nil, "log-in", errors.New("it is all or app-passwords")
	}
	if t.Admin != "" && t.Admin != "yes" && t.Admin != "no" {
		return nil, "admin", errors.New("it is yes or no")
	}
	from, err := ParseNetworks(without(t.Networks, "all"))
	if err != nil {
		return nil, "networks", err
	}
	off, err := ParseExtensions(without(t.IMAPDisable, "none"))
	if err == nil {
		err = known(off, announced)
	}
	if err != nil {
		return nil, "imap-disable", err
	}
	return func(a Access) Access {
		if t.Send != "" {
			a.Send = to
		}
		if t.LogIn != "" {
			a.AppOnly = t.LogIn == "app-passwords"
		}
		if t.Networks != "" {
			a.Networks = from
		}
		if t.Admin != "" {
			a.Admin = t.Admin == "yes"
		}
		if t.IMAPDisable != "" {
			a.IMAPDisable = off
		}
		return a
	}, "", nil
}

// without is a list, empty where it is the word that stands for that.
func without(list, word string) string {
	if list == word {
		return ""
	}
	return list
}

// known finds names that are not announced.
func known(names, announced []string) error {
	for _, n := range names {
		if !slices.ContainsFunc(announced, func(c string) bool { return strings.EqualFold(c, n) }) {
			return fmt.Errorf("%s is no extension that is announced here: %s are", n, strings.Join(announced, " "))
		}
	}
	return nil
}
