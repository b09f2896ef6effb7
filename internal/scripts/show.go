package scripts

import "waxwing/internal/text"

// Listing is how scripts are listed for people.
func Listing() text.List[Script] {
	return text.List[Script]{Columns: text.Columns("ACCOUNT|SCRIPT|ACTIVE|SIZE|CHANGED", "SCRIPT"), Cells: func(s *Script) []any {
		return []any{s.Account, s.Name, map[bool]string{true: "yes"}[s.Active], s.Size, s.Changed}
	}}
}

// GlobalListing is how the operator's scripts are listed for people.
func GlobalListing() text.List[Global] {
	return text.List[Global]{Columns: text.Columns("SCRIPT|SIZE|CHANGED", "SCRIPT"), Cells: func(g *Global) []any {
		return []any{g.Name, g.Size, g.Changed}
	}}
}
