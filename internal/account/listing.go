package account

import (
	"strings"

	"waxwing/dns"
	"waxwing/internal/text"
)

// DomainListing is how domains are listed for people.
func DomainListing() text.List[Domain] {
	return text.List[Domain]{Columns: text.Columns("DOMAIN|SINCE|STATE|SEPARATORS|CASE", "SINCE", "SEPARATORS", "CASE"), Cells: func(d *Domain) []any {
		state := text.Cell{Text: "hosted"}
		if d.Disabled {
			state = text.Cell{Text: "disabled", Tone: text.Waits}
		}
		separators := d.Separators
		if separators == "" {
			separators = "none"
		}
		return []any{d.Name.Unicode(), text.Day(d.Created), state, separators, map[bool]string{true: "counts", false: "does not"}[d.CaseSensitive]}
	}}
}

// AddressListing is how addresses are listed for people.
func AddressListing() text.List[Address] {
	return text.List[Address]{Columns: text.Columns("ADDRESS|ACCOUNT|MAILBOX"), Cells: func(a *Address) []any {
		if a.Refused {
			return []any{a.Address, text.Cell{Text: "refused", Tone: text.Waits}, ""}
		}
		return []any{a.Address, a.Account, a.Mailbox}
	}}
}

// TrustedForwarder is a mailing list or forwarder that an account trusts (AUT-3).
type TrustedForwarder struct {
	Domain dns.Name `json:"domain"`
}

// TrustedListing is how they are listed for people.
func TrustedListing() text.List[TrustedForwarder] {
	return text.List[TrustedForwarder]{Columns: text.Columns("DOMAIN"), Cells: func(t *TrustedForwarder) []any { return []any{t.Domain.Unicode()} }}
}

// AliasListing is how aliases are listed for people.
func AliasListing() text.List[Alias] {
	return text.List[Alias]{Columns: text.Columns("ALIAS|POSTING|SENDER COPY|MEMBERS", "SENDER COPY"), Cells: func(a *Alias) []any {
		posting := string(a.Posting)
		if len(a.Posters) > 0 {
			posting += ": " + strings.Join(a.Posters, " ")
		}
		return []any{a.Address, posting, map[bool]string{true: "yes", false: "no"}[a.SenderCopy], strings.Join(a.Members, " ")}
	}}
}

// RemovedListing is how accounts that can be brought back are listed for people.
func RemovedListing() text.List[Removed] {
	return text.List[Removed]{Columns: text.Columns("ACCOUNT|REMOVED"), Cells: func(r *Removed) []any { return []any{r.Name, r.Removed} }}
}
