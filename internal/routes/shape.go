package routes

import (
	"waxwing/internal/delivery"
	"waxwing/internal/route"
)

// Row is one rule as listings show it.
type Row struct {
	ID        delivery.ID `json:"id"`
	Scope     string      `json:"scope"`
	Owner     string      `json:"owner,omitempty"`
	To        string      `json:"to,omitempty"`
	From      string      `json:"from,omitempty"`
	Attempts  int         `json:"attempts,omitempty"`
	Need      string      `json:"need,omitempty"`
	Transport string      `json:"transport"`
	Skipped   string      `json:"skipped,omitempty"` // of a test: why it is not for this mail
	Text      string      `json:"-"`                 // the rule in words
}

// RowOf makes it.
func RowOf(r *route.Rule) Row {
	row := Row{ID: delivery.ID(r.ID), Scope: r.Scope.String(), Owner: r.Owner, To: r.Recipient.String(), From: r.Sender.String(),
		Attempts: r.MinAttempts, Transport: r.Transport, Text: r.String()}
	if r.Need != nil {
		row.Need = r.Need.String()
	}
	return row
}

// Test is which way a mail would take.
type Test struct {
	Transport string `json:"transport"`
	Exists    bool   `json:"exists"`
	Why       string `json:"why"`
	Routes    []Row  `json:"routes"`
}
