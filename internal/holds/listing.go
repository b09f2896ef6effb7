package holds

import (
	"cmp"

	"waxwing/internal/text"
)

// Listing is how rules are listed for people.
func Listing() text.List[Rule] {
	return text.List[Rule]{Columns: text.Columns("ID|ACCOUNT|SENDER DOMAIN|RECIPIENT DOMAIN|SINCE|NOTE", "SINCE", "NOTE"), Cells: func(r *Rule) []any {
		return []any{r.ID, cmp.Or(r.Account, "*"), cmp.Or(r.SenderDomain, "*"), cmp.Or(r.RecipientDomain, "*"), r.Created, r.Note}
	}}
}
