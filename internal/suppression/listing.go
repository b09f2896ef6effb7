package suppression

import (
	"cmp"

	"waxwing/internal/text"
)

// Listing is how entries are listed for people.
func Listing() text.List[Entry] {
	return text.List[Entry]{Columns: text.Columns("ACCOUNT|ADDRESS|SINCE|UNTIL|WHY|TEXT", "SINCE", "TEXT"), Cells: func(x *Entry) []any {
		var until any = x.Expires
		if x.Expires.IsZero() {
			until = "for ever"
		}
		return []any{x.Account, x.Address, x.Created, until, cmp.Or(x.Code, "by hand"), x.Text}
	}}
}
