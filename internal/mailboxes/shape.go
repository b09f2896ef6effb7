package mailboxes

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/junk"
	"waxwing/internal/mailbox"
	"waxwing/internal/text"
	"waxwing/internal/verify"
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

// Explanation is one message with what was found out about who sent it.
type Explanation struct {
	Row
	Facts *verify.Facts `json:"facts"` // null: nobody looked, as for mail that was submitted here
	// Junk is why it was put into this mailbox; null: nobody looked.
	Junk *junk.Decision `json:"junk"`
}

// Explain reads the facts that are kept with a message.
func Explain(m mailbox.Message) (Explanation, error) {
	e := Explanation{Row: RowOf(m)}
	for _, kept := range []struct {
		json []byte
		into any
	}{{m.Facts, &e.Facts}, {[]byte(m.Evidence), &e.Junk}} {
		if len(kept.json) == 0 {
			continue
		}
		if err := json.Unmarshal(kept.json, kept.into); err != nil {
			return e, fmt.Errorf("message %s: the facts that are kept with it: %w", e.ID, err)
		}
	}
	return e, nil
}

// String is the explanation for people, line by line.
func (e Explanation) String() string {
	head := fmt.Sprintf("message %s from <%s> to %s, in %s of %s\n", e.ID, foreign.Shown(e.Sender), foreign.Shown(e.Recipient), e.Mailbox, e.Account)
	if e.Facts == nil {
		return head + "nobody looked who sent it: it was submitted or made here, or the configuration does not want it\n"
	}
	if e.Junk == nil {
		return head + e.Facts.Why()
	}
	return head + e.Junk.Why() + e.Facts.Why()
}
