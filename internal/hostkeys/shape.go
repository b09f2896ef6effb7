package hostkeys

import (
	"fmt"

	"waxwing/dns"
)

// Row is a key file as it is shown.
type Row struct {
	Key    string `json:"key"`
	File   string `json:"file"`
	Record string `json:"record"` // the TLSA record to publish
}

// Rows makes those of several keys of a host.
func Rows(keys []Key, host dns.Name) (rows []Row) {
	for _, k := range keys {
		rows = append(rows, Row{k.ID, k.File, fmt.Sprintf("_25._tcp.%s. IN TLSA %s", host.ASCII(), k.TLSA())})
	}
	return rows
}
