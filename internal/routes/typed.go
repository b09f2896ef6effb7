package routes

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/smtp"
)

// Typed is a transport as it is typed; a list has commas between.
type Typed struct {
	Kind, EHLO, Family, Source       string
	Host, Security, User, Mechanisms string
	Port                             uint
	Implicit                         bool
	Proxy, ProxyUser, Public         string
	Code                             int
	Enhanced, Text                   string
}

// Transport is the transport that was typed, unchecked and without passwords. Its errors
// name the flags.
func (t *Typed) Transport(name string) (route.Transport, error) {
	var errs []error
	tr := t.Read(name, func(flag string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		}
	})
	return tr, errors.Join(errs...)
}

// Read is the transport that was typed, unchecked and without passwords. It tells fault of
// each flag that it has read, with nil or what is wrong.
func (t *Typed) Read(name string, fault func(flag string, err error)) route.Transport {
	tr := route.Transport{Name: name, Kind: route.Kind(t.Kind), Family: route.Family(t.Family), Port: uint16(t.Port), Implicit: t.Implicit,
		Security: route.Security(t.Security), User: t.User, Proxy: t.Proxy, ProxyUser: t.ProxyUser, Code: t.Code, Text: t.Text}
	var err error
	if t.Port > 65535 {
		fault("port", fmt.Errorf("%d is no port", t.Port))
	}
	if t.EHLO != "" {
		tr.EHLO, err = dns.ParseName(t.EHLO)
		fault("ehlo", err)
	}
	if t.Host != "" {
		tr.Host, err = route.ParseHost(t.Host)
		fault("host", err)
	}
	if t.Enhanced != "" {
		tr.Enhanced, err = smtp.ParseEnhanced(t.Enhanced)
		fault("enhanced", err)
	}
	tr.Sources, err = addressList(t.Source)
	fault("source", err)
	tr.Public, err = addressList(t.Public)
	fault("public", err)
	if t.Mechanisms != "" {
		tr.Mechanisms = strings.Split(strings.ToUpper(t.Mechanisms), ",")
	}
	return tr
}

func addressList(s string) ([]netip.Addr, error) {
	if s == "" {
		return nil, nil
	}
	var out []netip.Addr
	for part := range strings.SplitSeq(s, ",") {
		a, err := netip.ParseAddr(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		out = append(out, a.Unmap())
	}
	return out, nil
}

// Tell says a transport for people, with the routes that lead to it.
func (t *Table) Tell(tr *route.Transport) string {
	s := fmt.Sprintf("%s, kind %s", tr.Name, tr.Kind)
	if settings := tr.Settings(); settings != "" {
		s += "\n  " + settings
	}
	if tr.Password != "" || tr.ProxyPassword != "" {
		s += "\n  a password is stored"
	}
	for i := range t.Rules {
		if t.Rules[i].Transport == tr.Name {
			s += fmt.Sprintf("\n  route %s: %s", delivery.ID(t.Rules[i].ID), &t.Rules[i])
		}
	}
	return s
}

// TypedRule is a rule as it is typed: of an account, or of a hosted domain, or of the server.
type TypedRule struct {
	Account, Domain, To, From string
	Attempts                  int
	Need                      string
}

// Rule is the rule that was typed, checked. Its errors name the flags.
func (t TypedRule) Rule(transport string) (route.Rule, error) {
	row := Row{Scope: route.OfServer.String(), To: t.To, From: t.From, Attempts: t.Attempts, Need: t.Need, Transport: transport}
	switch {
	case t.Account != "" && t.Domain != "":
		return route.Rule{}, errors.New("--account and --domain exclude each other: a route belongs to one of them (--from goes with both)")
	case t.Account != "":
		row.Scope, row.Owner = route.OfAccount.String(), t.Account
	case t.Domain != "":
		d, err := dns.ParseName(t.Domain)
		if err != nil {
			return route.Rule{}, fmt.Errorf("--domain: %w", err)
		}
		row.Scope, row.Owner = route.OfDomain.String(), d.ASCII()
	}
	rule, err := row.Rule()
	if err != nil {
		return rule, fmt.Errorf("--%w", err)
	}
	return rule, rule.Check()
}

// Tried is a mail whose way is asked for, as it is typed.
type Tried struct {
	Account, From   string
	Attempts        int
	Need, Transport string
}

// Subject is the mail to an address. Its errors are wrong usage.
func (t Tried) Subject(address string) (s route.Subject, err error) {
	s = route.Subject{Account: t.Account, Attempts: t.Attempts, Own: t.Transport}
	if _, s.Recipient, err = delivery.ParseAddress(address); err != nil {
		return s, err
	}
	if t.From != "" {
		_, from, err := delivery.ParseAddress(t.From)
		if err != nil {
			return s, fmt.Errorf("--from: %w", err)
		}
		s.Sender = from.Name // an address literal has none, and matches none
	}
	if t.Need != "" {
		if s.Need, err = delivery.ParseTLSNeed(t.Need); err != nil {
			return s, fmt.Errorf("--need: %w", err)
		}
	}
	return s, nil
}
