package listing

import (
	"context"
	"time"

	"waxwing/internal/mailboxes"
	"waxwing/internal/text"
)

// RemovedRow is a message that can be brought back, as listings show it.
type RemovedRow struct {
	mailboxes.Row
	Removed time.Time `json:"removed"`
}

// RemovedRows lists what an account can have back, as Removed does.
func RemovedRows(ctx context.Context, s *mailboxes.Store, account string, limit int) (rows []RemovedRow, err error) {
	all, err := s.Removed(ctx, account, limit)
	for _, m := range all {
		rows = append(rows, RemovedRow{mailboxes.RowOf(m.Message), m.Removed})
	}
	return rows, err
}

// RemovedListing is how they are listed for people.
func RemovedListing() text.List[RemovedRow] {
	return text.List[RemovedRow]{Columns: text.Columns("ID|REMOVED|MAILBOX|RECEIVED|FROM|OCTETS", "OCTETS", "RECEIVED"), Cells: func(m *RemovedRow) []any {
		return []any{m.ID, m.Removed, m.Mailbox, m.Received, m.Sender, m.Size}
	}}
}
