package dnsrecords

import (
	"waxwing/internal/foreign"
	"waxwing/internal/text"
)

// shownValue bounds what a table shows of a value; Snippet has it whole.
const shownValue = 60

// Listing is how records are listed for people.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("FOR|NAME|TYPE|VALUE", "FOR"), Cells: func(r *Row) []any {
		return []any{string(r.Purpose), r.Name, r.Type, foreign.Clip(r.Value, shownValue)}
	}}
}
