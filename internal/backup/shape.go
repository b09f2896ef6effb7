package backup

import (
	"fmt"
	"time"

	"waxwing/internal/text"
)

// Row is a backup as it is listed.
type Row struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Hostname string    `json:"hostname"`
	Program  string    `json:"program"`
	Size     int64     `json:"size"`
	Files    int       `json:"files"`
}

// MadeRow is a new one.
type MadeRow struct {
	Row
	Added   int64    `json:"added"`
	Removed []string `json:"removed"`
}

// String says what was made.
func (m MadeRow) String() string {
	return fmt.Sprintf("backup %s: %s octets, %s of them new; %s removed", m.ID, text.Octets(m.Size), text.Octets(m.Added), text.Count(len(m.Removed), "older backup"))
}

// Row makes it.
func (m *Manifest) Row() Row {
	return Row{m.ID, m.Time, m.Hostname, m.Program, m.Size(), len(m.Files)}
}

// Rows makes those of several.
func Rows(all []*Manifest) (rows []Row) {
	for _, m := range all {
		rows = append(rows, m.Row())
	}
	return rows
}

// Listing is how backups are listed for people.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("NAME|MADE|HOST|OCTETS|FILES", "HOST", "FILES"), Cells: func(r *Row) []any {
		return []any{r.ID, r.Time, r.Hostname, text.Octets(r.Size), r.Files}
	}}
}
