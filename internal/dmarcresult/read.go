package dmarcresult

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"waxwing/dmarcrpt"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/text"
)

// Row is what was seen on one day of one combination of results, all machines together.
type Row struct {
	Domain string          `json:"policy_domain"`
	Mail   int64           `json:"mail"` // messages of Record.Count that were no reports
	Record dmarcrpt.Record `json:"record"`
}

// Rows reads the rows of a day, of one policy domain or with "" of all, those with the most
// messages first; at most so many.
func Rows(tx *store.Tx, day int64, domain string, most int) ([]Row, error) {
	return rows(tx, most, `day = ? AND (? = '' OR domain = ?)`, day, domain, domain)
}

// RowsOf reads the rows of a part of a day, as Rows.
func RowsOf(tx *store.Tx, day int64, p Parted, most int) ([]Row, error) {
	return rows(tx, most, `day = ? AND domain = ? AND part = ?`, day, p.Domain, p.Part.code())
}

func rows(tx *store.Tx, most int, where string, args ...any) ([]Row, error) {
	out, err := store.Collect(tx, func(row store.Row) (r Row, err error) {
		var record string
		var messages int64
		if err := row.Scan(&r.Domain, &record, &messages, &r.Mail); err != nil {
			return r, err
		}
		err = json.Unmarshal([]byte(record), &r.Record)
		r.Record.Count = messages
		return r, err
	}, `SELECT domain, record, CAST(sum(messages) AS BIGINT), CAST(sum(mail) AS BIGINT) FROM dmarc_rows WHERE `+where+`
		GROUP BY domain, id, record ORDER BY 3 DESC, id LIMIT ?`, append(args, most)...)
	if err != nil {
		return nil, fmt.Errorf("read DMARC results: %w", err)
	}
	slices.SortStableFunc(out, func(a, b Row) int { return cmp.Compare(a.Domain, b.Domain) })
	return out, nil
}

// Domains are the policy domains that have rows for a whole day.
func Domains(tx *store.Tx, day int64) ([]string, error) {
	return store.Column[string](tx, `SELECT domain FROM dmarc_policies WHERE day = ? ORDER BY domain`, day)
}

// Policy is the policy of a domain as it was seen last in a part of a day.
func Policy(tx *store.Tx, day int64, of Parted) (p dmarcrpt.Policy, err error) {
	var policy string
	query, args := `SELECT policy FROM dmarc_policies WHERE day = ? AND domain = ?`, []any{day, of.Domain}
	if of.Part.Hours > 0 {
		query, args = `SELECT policy FROM dmarc_parts WHERE day = ? AND domain = ? AND part = ?`, append(args, of.Part.code())
	}
	if err = tx.Row(query, args...).Scan(&policy); err == nil {
		err = json.Unmarshal([]byte(policy), &p)
	}
	return p, err
}

// LeftOut is how many messages of a domain's organisation found no room in the rows of a day.
func LeftOut(tx *store.Tx, day int64, domain string) (n int64, err error) {
	err = tx.Row(`SELECT left_out FROM dmarc_room WHERE day = ? AND organization = ?`, day, outbox.Organization(domain)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

// Forget removes what was counted for a domain in a part of a day.
func Forget(tx *store.Tx, day int64, of Parted) error {
	_, err := tx.Exec(`DELETE FROM dmarc_rows WHERE day = ? AND domain = ? AND part = ?`, day, of.Domain, of.Part.code())
	switch {
	case err != nil:
	case of.Part.Hours > 0:
		_, err = tx.Exec(`DELETE FROM dmarc_parts WHERE day = ? AND domain = ? AND part = ?`, day, of.Domain, of.Part.code())
	default:
		_, err = tx.Exec(`DELETE FROM dmarc_policies WHERE day = ? AND domain = ?`, day, of.Domain)
	}
	return err
}

// Old are the statements that remove the rows of days before one.
func Old(day int64) []store.Old {
	return []store.Old{{Query: `DELETE FROM dmarc_rows WHERE day < ?`, Before: day}, {Query: `DELETE FROM dmarc_policies WHERE day < ?`, Before: day},
		{Query: `DELETE FROM dmarc_parts WHERE day < ?`, Before: day}, {Query: `DELETE FROM dmarc_room WHERE day < ?`, Before: day}}
}

// Listing is how rows are listed for people.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("POLICY DOMAIN|FROM|SOURCE|MESSAGES|DKIM|SPF|DONE|WHY", "WHY", "POLICY DOMAIN"), Cells: func(r *Row) []any {
		why := ""
		for _, x := range r.Record.Reasons {
			why = text.Words(why, x.Type)
		}
		return []any{r.Domain, r.Record.HeaderFrom, r.Record.SourceIP, r.Record.Count, r.Record.DKIM, r.Record.SPF, r.Record.Disposition, why}
	}}
}
