package queue

import (
	"time"

	"waxwing/internal/delivery"
)

// Row is one recipient as listings show it.
type Row struct {
	ID        delivery.ID `json:"id"` // of the recipient
	Message   delivery.ID `json:"message"`
	State     string      `json:"state"`
	Sender    string      `json:"sender"`
	Recipient string      `json:"recipient"`
	Need      string      `json:"need"`
	Purpose   string      `json:"purpose"`
	Account   string      `json:"account,omitempty"`
	Transport string      `json:"transport,omitempty"` // its own; without one the routes choose
	Accepted  time.Time   `json:"accepted"`
	Due       time.Time   `json:"due"`
	Attempts  int         `json:"attempts"`
	Word      string      `json:"word,omitempty"`
	Text      string      `json:"text,omitempty"`
	Reply     string      `json:"reply,omitempty"`
	Host      string      `json:"host,omitempty"`
	TLS       string      `json:"tls,omitempty"`
}

// Row makes it.
func (i *Item) Row() Row {
	return Row{ID: delivery.ID(i.Recipient.ID), Message: delivery.ID(i.Envelope.ID), State: i.State.String(), Sender: i.Envelope.Sender, Recipient: i.Recipient.Address,
		Need: i.Envelope.Need.String(), Purpose: i.Envelope.Purpose.String(), Account: i.Envelope.Account, Transport: i.Envelope.Transport, Accepted: i.Envelope.Accepted,
		Due: i.Due, Attempts: i.Recipient.Attempts, Word: i.Word, Text: i.Text, Reply: i.Reply, Host: i.Host, TLS: i.TLS}
}

// Rows makes those of several.
func Rows(items []Item) []Row {
	rows := make([]Row, len(items))
	for i := range items {
		rows[i] = items[i].Row()
	}
	return rows
}

// AttemptRow is one attempt as listings show it.
type AttemptRow struct {
	ID        delivery.ID `json:"id"`
	Domain    string      `json:"domain"`
	Transport string      `json:"transport"`
	Owner     string      `json:"owner"` // the machine that made it
	Started   time.Time   `json:"started"`
	Ended     time.Time   `json:"ended"`
	Detail    Detail      `json:"detail"`
}

// ShownRows is a message as listings show it.
type ShownRows struct {
	Recipients []Row        `json:"recipients"`
	Attempts   []AttemptRow `json:"attempts"`
}

// Rows makes them.
func (s *Shown) Rows() ShownRows {
	out := ShownRows{Recipients: Rows(s.Recipients), Attempts: []AttemptRow{}}
	for _, a := range s.Attempts {
		out.Attempts = append(out.Attempts, AttemptRow{delivery.ID(a.ID), a.Domain, a.Transport, a.Owner, a.Started, a.Ended, a.Detail})
	}
	return out
}

// ClosedRow is one contact that cannot be reached, as listings show it.
type ClosedRow struct {
	Domain    string    `json:"domain,omitempty"`
	Transport string    `json:"transport,omitempty"`
	Until     time.Time `json:"until"`
	Since     time.Time `json:"since"`
	Failures  int       `json:"failures"`
	Text      string    `json:"text"`
}
