package mailboxes

import (
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
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
