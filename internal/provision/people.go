package provision

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/inventory"
)

// cleanName reads a domain and gives it the form in which it is stored.
func cleanName(text *string) (dns.Name, error) {
	n, err := dns.ParseName(*text)
	if err == nil {
		*text = n.ASCII()
	}
	return n, err
}

func checkDomain(d *inventory.Domain, fault faulty) {
	_, err := cleanName(&d.Name)
	fault("name", err)
	mail, err := account.ParseDisabledMail(d.DisabledMail)
	fault("disabled_mail", err)
	d.DisabledMail = string(mail)
	fault("separators", rulesOf(*d).Check())
	if d.Separators == account.DefaultRules.Separators {
		d.Separators = ""
	}
}

func readDomains(in within) (out []inventory.Domain, err error) {
	all, err := in.Accounts.Within(in.tx).Domains()
	for _, d := range all {
		out = append(out, inventory.Domain{Name: d.Name.ASCII(), Disabled: d.Disabled, Separators: separatorsText(d.Separators), CaseSensitive: d.CaseSensitive, DisabledMail: string(d.DisabledMail), Transport: d.Transport})
	}
	return out, err
}

func putDomain(in within, p put[inventory.Domain]) error {
	w := in.Accounts.Within(in.tx)
	name, err := dns.ParseName(p.after.Name)
	if err == nil && p.isNew {
		err = w.AddDomain(name)
	}
	if err == nil && p.before.Disabled != p.after.Disabled {
		err = w.SetDomainDisabled(name, p.after.Disabled)
	}
	if rules := rulesOf(p.after); err == nil && (p.isNew || rules != rulesOf(p.before)) {
		err = w.SetRules(name, rules)
	}
	if err == nil && p.before.DisabledMail != p.after.DisabledMail {
		err = w.SetDomainDisabledMail(name, account.DisabledMail(p.after.DisabledMail))
	}
	if err == nil && p.before.Transport != p.after.Transport {
		err = w.SetDomainTransport(name, p.after.Transport)
	}
	return err
}

// noSeparators stands for an empty list of separators, since an empty text is the default.
const noSeparators = "none"

func rulesOf(d inventory.Domain) account.LocalRules {
	r := account.LocalRules{Separators: d.Separators, CaseSensitive: d.CaseSensitive}
	switch d.Separators {
	case "":
		r.Separators = account.DefaultRules.Separators
	case noSeparators:
		r.Separators = ""
	}
	return r
}

func separatorsText(s string) string {
	switch s {
	case "":
		return noSeparators
	case account.DefaultRules.Separators:
		return ""
	}
	return s
}

func removeDomain(in within, d inventory.Domain) error {
	name, err := dns.ParseName(d.Name)
	if err != nil {
		return err
	}
	return in.Accounts.Within(in.tx).RemoveDomain(name)
}

func checkAccount(a *inventory.Account, fault faulty) {
	fault("name", account.CheckName(a.Name))
	for field, text := range map[string]*string{"messages_per_day": &a.Messages, "recipients_per_day": &a.Recipients} {
		limit, err := limitOf(*text)
		fault(field, err)
		if err == nil {
			*text = limitText(limit)
		}
	}
	access, err := accessOf(*a)
	fault("networks", err)
	if err == nil {
		a.Send, a.Networks, a.IMAPDisable = string(access.Send), networksOf(access), access.IMAPDisable
	}
	if a.DisabledMail != "" && a.DisabledMail != string(account.Refuse) {
		fault("disabled_mail", errors.New("a disabled account's mail is kept (left out), or \"refuse\""))
	}
	a.Trusted = slices.Clone(a.Trusted)
	for i := range a.Trusted {
		if _, err := cleanName(&a.Trusted[i]); err != nil {
			fault("trusted_forwarders", err)
		}
	}
	slices.Sort(a.Trusted)
	if stored := storedOf(a); stored != (account.Stored{}) {
		if err := stored.Check(); err != nil {
			fault("password", errors.New("password, scram_sha_256 and scram_sha_1 belong together, as \"waxwing export --keys\" writes them: these cannot be used"))
		}
	}
}

// accessOf is what the account may do.
func accessOf(a inventory.Account) (out account.Access, err error) {
	out.AppOnly, out.Admin = a.AppOnly, a.Admin
	if out.Send, err = account.ParseSending(a.Send); err == nil {
		out.Networks, err = account.ParseNetworks(strings.Join(a.Networks, " "))
	}
	if err == nil {
		out.IMAPDisable, err = account.ParseExtensions(strings.Join(a.IMAPDisable, " "))
	}
	return out, err
}

func networksOf(a account.Access) (out []string) {
	return append(out, strings.Fields(account.JoinNetworks(a.Networks))...)
}

func storedOf(a *inventory.Account) account.Stored {
	return account.Stored{Password: a.Password, SCRAM256: a.SCRAM256, SCRAM1: a.SCRAM1}
}

// limitOf reads a limit as "account limit" does; nil: as the configuration says.
func limitOf(text string) (*int64, error) {
	var c allowance.Change
	if text == "" {
		return nil, nil
	}
	err := c.Set(text)
	return c.Of(nil), err
}

func limitText(limit *int64) string {
	switch {
	case limit == nil:
		return ""
	case *limit == 0:
		return "none"
	}
	return strconv.FormatInt(*limit, 10)
}

func readAccounts(in within) (out []inventory.Account, err error) {
	w := in.Accounts.Within(in.tx)
	all, err := w.Accounts()
	if err != nil {
		return nil, err
	}
	stored, err := w.Stored()
	if err != nil {
		return nil, err
	}
	limits, err := allowance.OwnLimits(in.tx)
	for _, a := range all {
		s, own := stored[a.Name], limits[a.Name]
		trusted, err := trustedText(w, a.Name)
		if err != nil {
			return nil, err
		}
		access, err := w.Access(a.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, inventory.Account{Name: a.Name, Send: string(access.Send), AppOnly: access.AppOnly, Admin: access.Admin, Networks: networksOf(access), IMAPDisable: access.IMAPDisable, Disabled: a.Disabled, DisabledMail: string(a.DisabledMail), Messages: limitText(own.Messages), Recipients: limitText(own.Recipients), Transport: a.Transport, Trusted: trusted,
			Password: s.Password, SCRAM256: s.SCRAM256, SCRAM1: s.SCRAM1})
	}
	return out, err
}

func putAccount(in within, p put[inventory.Account]) error {
	w, name := in.Accounts.Within(in.tx), p.after.Name
	var err error
	switch stored := storedOf(&p.after); {
	case p.isNew && p.after.Password == "":
		err = w.AddAccount(name, account.NoPassword().Stored())
	case p.isNew:
		err = w.AddAccount(name, stored)
	case stored != storedOf(&p.before):
		err = w.SetCredentials(name, stored)
	}
	if err == nil && p.before.Disabled != p.after.Disabled {
		err = w.SetDisabled(name, p.after.Disabled)
	}
	if err == nil && p.before.DisabledMail != p.after.DisabledMail {
		err = w.SetDisabledMail(name, account.DisabledMail(p.after.DisabledMail))
	}
	if err == nil && p.before.Transport != p.after.Transport {
		err = w.SetTransport(name, p.after.Transport)
	}
	if err == nil && (p.before.Send != p.after.Send || p.before.AppOnly != p.after.AppOnly || p.before.Admin != p.after.Admin || !slices.Equal(p.before.Networks, p.after.Networks) || !slices.Equal(p.before.IMAPDisable, p.after.IMAPDisable)) {
		access, aerr := accessOf(p.after)
		if err = aerr; err == nil {
			err = w.SetAccess(name, access)
		}
	}
	if err == nil && !slices.Equal(p.before.Trusted, p.after.Trusted) {
		err = setTrusted(w, name, p.after.Trusted)
	}
	if err != nil || p.before.Messages == p.after.Messages && p.before.Recipients == p.after.Recipients {
		return err
	}
	var own allowance.Own
	if own.Messages, err = limitOf(p.after.Messages); err == nil {
		own.Recipients, err = limitOf(p.after.Recipients)
	}
	if err != nil {
		return err
	}
	return allowance.PutLimit(in.tx, name, own)
}

func trustedText(w accounts.Within, name string) (out []string, err error) {
	all, err := w.Trusted(name)
	for _, d := range all {
		out = append(out, d.ASCII())
	}
	return out, err
}

func setTrusted(w accounts.Within, name string, list []string) error {
	var all []dns.Name
	for _, text := range list {
		d, err := dns.ParseName(text)
		if err != nil {
			return err
		}
		all = append(all, d)
	}
	return w.SetTrusted(name, all)
}

func removeAccount(in within, a inventory.Account) error {
	err := in.Accounts.Within(in.tx).RemoveAccount(a.Name)
	if errors.Is(err, accounts.ErrInUse) {
		return fmt.Errorf("%w: it has mailboxes; leave it in the file with disabled = true", err)
	}
	return err
}

func checkAddress(a *inventory.Address, fault faulty) {
	fault("address", cleanAddress(&a.Address))
	switch {
	case a.Refused && (a.Account != "" || a.Mailbox != ""):
		fault("refused", errors.New("an address that is refused has no account and no mailbox"))
	case !a.Refused:
		fault("account", account.CheckName(a.Account))
	}
	switch {
	case strings.EqualFold(a.Mailbox, account.Inbox):
		a.Mailbox = ""
	case len(a.Mailbox) > maxMailbox || strings.ContainsFunc(a.Mailbox, unicode.IsControl):
		fault("mailbox", fmt.Errorf("a mailbox's name has up to %d octets and no control characters", maxMailbox))
	}
}

// maxMailbox bounds a mailbox's name in octets, as package mailboxes does.
const maxMailbox = 255

func readAddresses(in within) (out []inventory.Address, err error) {
	all, err := in.Accounts.Within(in.tx).Addresses()
	for _, a := range all {
		e := inventory.Address{Address: a.Address, Account: a.Account, Mailbox: a.Mailbox, Refused: a.Refused}
		if e.Mailbox == account.Inbox {
			e.Mailbox = ""
		}
		out = append(out, e)
	}
	return out, err
}

func putAddress(in within, p put[inventory.Address]) error {
	w, mailbox := in.Accounts.Within(in.tx), p.after.Mailbox
	if mailbox == "" {
		mailbox = account.Inbox
	}
	if !p.isNew && p.after.Refused != p.before.Refused {
		if err := w.RemoveAddress(p.after.Address); err != nil {
			return err
		}
		p.isNew = true
	}
	if p.after.Refused {
		return w.RefuseAddress(p.after.Address)
	}
	if p.isNew {
		return w.AddAddress(p.after.Address, p.after.Account, mailbox)
	}
	return w.MoveAddress(p.after.Address, p.after.Account, mailbox)
}

func removeAddress(in within, a inventory.Address) error {
	return in.Accounts.Within(in.tx).RemoveAddress(a.Address)
}
