package tlsresult

import (
	"fmt"
	"strings"

	"waxwing/internal/text"
)

// Listing is how rows are listed for people.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("DOMAIN|POLICY|POLICY DOMAIN|OK|FAILED|WHY", "POLICY DOMAIN", "WHY"), Cells: func(r *Row) []any {
		why := []string{}
		for _, d := range r.Details {
			why = append(why, fmt.Sprintf("%d× %s (%s)", d.Count, d.Type, d.Reason))
		}
		return []any{r.Domain, r.Type, r.PolicyDomain, r.OK, r.Failed, strings.Join(why, ", ")}
	}}
}
