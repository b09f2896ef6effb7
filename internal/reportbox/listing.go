package reportbox

import (
	"cmp"

	"waxwing/internal/text"
)

// Listing is how reports received are listed for people.
func Listing() text.List[Received] {
	return text.List[Received]{Columns: text.Columns("ID|DAY|POLICY DOMAIN|BY|FROM|ORGANIZATION|OK|FAILED", "ORGANIZATION", "BY", "FROM"),
		Cells: func(r *Received) []any {
			return []any{r.ID, text.Day(r.Begin), r.PolicyDomain, r.Source, r.Submitter, r.Organization, r.OK, r.Failed}
		}}
}

// FailureListing is how failure reports are listed for people: each is about messages that one
// source has sent.
func FailureListing() text.List[Received] {
	return text.List[Received]{Columns: text.Columns("ID|ARRIVED|DOMAIN|REPORTED BY|FROM|MESSAGES", "REPORTED BY"), Cells: func(r *Received) []any {
		return []any{r.ID, text.Day(r.Begin), r.PolicyDomain, r.Submitter, r.Contact, r.Failed}
	}}
}

// RefusedListing is how caps that were reached are listed for people.
func RefusedListing() text.List[Refused] {
	return text.List[Refused]{Columns: text.Columns("DAY|FROM|ABOUT|STORED|OCTETS|REFUSED", "OCTETS", "STORED"), Cells: func(r *Refused) []any {
		return []any{r.Day, cmp.Or(r.Submitter, "everybody"), cmp.Or(r.Domain, "everything"), r.Stored, r.Octets, r.Refused}
	}}
}
