package stspublish

import "time"

// Row is one published policy as listings show it.
type Row struct {
	Domain  string    `json:"domain"`
	Mode    string    `json:"mode"`
	MX      []string  `json:"mx"`
	ID      string    `json:"id"`
	Record  string    `json:"record"`
	Changed time.Time `json:"changed"`
}

// Row makes it.
func (p Published) Row() Row {
	return Row{Domain: p.Domain.ASCII(), Mode: string(p.Policy.Mode), MX: p.Policy.Patterns(), ID: p.ID, Record: p.Record(), Changed: p.Changed}
}
