package stspolicy

import (
	"time"

	"waxwing/dns"
)

// Row is one cached policy as listings show it.
type Row struct {
	Domain     dns.Name  `json:"domain"`
	Mode       string    `json:"mode,omitempty"`
	ID         string    `json:"id,omitempty"`
	MX         []string  `json:"mx,omitempty"`
	Fetched    time.Time `json:"fetched,omitzero"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
	Failure    string    `json:"failure,omitempty"`
}

// Row makes it.
func (e *Entry) Row() Row {
	r := Row{Domain: e.Domain, ID: e.ID, Fetched: e.Fetched, ValidUntil: e.ValidUntil}
	if e.Policy != nil {
		r.Mode, r.MX = string(e.Policy.Mode), e.Policy.Patterns()
	}
	if e.Failure != nil {
		r.Failure = e.Failure.Error()
	}
	return r
}
