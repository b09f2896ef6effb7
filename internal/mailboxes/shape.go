package mailboxes

import (
	"context"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/text"
)

// Row is one message as listings show it.
type Row struct {
	ID        delivery.ID `json:"id"`
	Account   string      `json:"account"`
	Mailbox   string      `json:"mailbox"`
	Sender    string      `json:"sender"`
	Recipient string      `json:"recipient"`
	Size      int64       `json:"size"` // octets
	Received  time.Time   `json:"received"`
}

// RowOf makes it.
func RowOf(m mailbox.Message) Row {
	return Row{delivery.ID(m.ID), m.Account, m.Mailbox, m.Sender, m.Recipient, m.Size, m.Received}
}

// Rows lists a page of a mailbox, as Page does.
func (s *Store) Rows(ctx context.Context, account, box string, before int64, limit int) (rows []Row, err error) {
	all, err := s.Page(ctx, account, box, before, limit)
	for _, m := range all {
		rows = append(rows, RowOf(m))
	}
	return rows, err
}

// Listing is how messages are listed for people.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("ID|RECEIVED|FROM|TO|OCTETS", "OCTETS", "TO"), Cells: func(m *Row) []any {
		return []any{m.ID, m.Received, m.Sender, m.Recipient, m.Size}
	}}
}

// Lying is one message where it lies, with its flags there.
type Lying struct {
	Row
	UID   uint32   `json:"uid"`
	Flags []string `json:"flags"`
}

// Lying lists a page of a mailbox, as Page does.
func (s *Store) Lying(ctx context.Context, account, box string, before int64, limit int) (rows []Lying, err error) {
	words, err := s.Keywords(ctx, account)
	if err != nil {
		return nil, err
	}
	all, err := s.Page(ctx, account, box, before, limit)
	for _, m := range all {
		rows = append(rows, Lying{RowOf(m), m.Entry.UID, append([]string{}, m.Entry.Flags.Words(words)...)})
	}
	return rows, err
}

// LyingListing is how they are listed for people.
func LyingListing() text.List[Lying] {
	return text.List[Lying]{Columns: text.Columns("ID|RECEIVED|FROM|TO|OCTETS|FLAGS", "FLAGS", "OCTETS", "TO"), Cells: func(m *Lying) []any {
		return []any{m.ID, m.Received, m.Sender, m.Recipient, m.Size, strings.Join(m.Flags, " ")}
	}}
}

// FoundListing is how messages of several mailboxes are listed for people.
func FoundListing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("ID|MAILBOX|RECEIVED|FROM|OCTETS", "OCTETS", "RECEIVED"), Cells: func(m *Row) []any {
		return []any{m.ID, m.Mailbox, m.Received, m.Sender, m.Size}
	}}
}
