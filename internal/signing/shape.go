package signing

import (
	"time"

	"waxwing/dns"
)

// Row is one key as listings show it.
type Row struct {
	Domain    dns.Name  `json:"domain"`
	Selector  string    `json:"selector"`
	Algorithm string    `json:"algorithm"`
	Services  []string  `json:"services,omitempty"`
	State     string    `json:"state"` // waiting (for DNS), signing, retired
	Created   time.Time `json:"created"`
	Record    string    `json:"record"`           // the TXT record to publish
	DNS       string    `json:"dns,omitempty"`    // what it showed last: shown, missing, other, failed
	Detail    string    `json:"detail,omitempty"` // why that is not shown
	Looked    time.Time `json:"looked,omitzero"`
	Since     time.Time `json:"shown_since,omitzero"`
}

// Row makes it.
func (k Key) Row() Row {
	return Row{k.Domain, k.Selector, k.Algorithm, k.Services, string(k.Stage()), k.Created, k.Record,
		string(k.Sight.Found), k.Sight.Detail, k.Sight.Looked, k.Sight.First}
}
