package provision

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/inventory"
	"waxwing/smtp"
)

// cleanAddress brings an address into the form in which it is stored where case counts;
// lowerCase does the rest.
func cleanAddress(text *string) error {
	clean, err := accounts.CleanAddress(*text, account.LocalRules{CaseSensitive: true})
	if err == nil {
		*text = clean
	}
	return err
}

// lowerCase gives the addresses of domains in which case does not count the form in which they
// are stored. A domain that the document does not tell of is taken for one of these. Members
// and posters at domains of others keep their case.
func lowerCase(inv *inventory.Inventory) {
	ours, sensitive := map[string]bool{}, map[string]bool{}
	for _, d := range inv.Domains {
		ours[d.Name], sensitive[d.Name] = true, d.CaseSensitive
	}
	lower := func(address *string, own bool) {
		a, err := smtp.ParseAddress(*address, true)
		if err == nil && !sensitive[a.Domain] && (own || ours[a.Domain]) {
			*address = smtp.Address{Local: account.NormalizeLocal(a.Local), Domain: a.Domain}.String()
		}
	}
	for i := range inv.Addresses {
		lower(&inv.Addresses[i].Address, true)
	}
	for i := range inv.Aliases {
		a := &inv.Aliases[i]
		lower(&a.Address, true)
		for _, list := range []*[]string{&a.Members, &a.Posters} {
			*list = slices.Clone(*list)
			for j := range *list {
				lower(&(*list)[j], false)
			}
			slices.Sort(*list)
			*list = slices.Compact(*list)
		}
	}
}

func checkAlias(a *inventory.Alias, fault faulty) {
	fault("address", cleanAddress(&a.Address))
	posting, err := account.ParsePosting(a.Posting)
	fault("posting", err)
	if a.Posting = string(posting); posting == account.PostAnyone {
		a.Posting = ""
	}
	a.Members, a.Posters = slices.Clone(a.Members), slices.Clone(a.Posters)
	for i := range a.Members {
		if err := cleanAddress(&a.Members[i]); err != nil {
			fault("members", err)
		}
	}
	for i, p := range a.Posters {
		if strings.HasPrefix(p, "@") {
			continue
		}
		if err := cleanAddress(&a.Posters[i]); err != nil {
			fault("posters", err)
		}
	}
	if err == nil {
		all := aliasOf(*a)
		fault("", all.Check())
	}
}

func aliasOf(a inventory.Alias) account.Alias {
	posting, _ := account.ParsePosting(a.Posting) // checked
	return account.Alias{Address: a.Address, Members: a.Members, Posting: posting, Posters: a.Posters, SenderCopy: !a.NoSenderCopy}
}

func readAliases(in within) (out []inventory.Alias, err error) {
	all, err := in.Accounts.Within(in.tx).Aliases()
	for _, a := range all {
		e := inventory.Alias{Address: a.Address, Members: a.Members, Posting: string(a.Posting), Posters: a.Posters, NoSenderCopy: !a.SenderCopy}
		if a.Posting == account.PostAnyone {
			e.Posting = ""
		}
		out = append(out, e)
	}
	return out, err
}

func putAlias(in within, p put[inventory.Alias]) error {
	a := aliasOf(p.after)
	a.Members, a.Posters = slices.Clone(a.Members), slices.Clone(a.Posters)
	err := in.Accounts.Within(in.tx).SetAlias(&a)
	if errors.Is(err, accounts.ErrExists) {
		return fmt.Errorf("%w: it is an account's, or refused", err)
	}
	return err
}

func removeAlias(in within, a inventory.Alias) error {
	return in.Accounts.Within(in.tx).RemoveAlias(a.Address)
}
