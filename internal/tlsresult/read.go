package tlsresult

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/tlsrpt"
)

// Row is what was seen on one day under one policy, all machines together.
type Row struct {
	Day          int64             `json:"-"`
	Domain       string            `json:"domain"` // recipient domain
	Type         tlsrpt.PolicyType `json:"policy_type"`
	PolicyDomain string            `json:"policy_domain"`
	Strings      []string          `json:"policy_string,omitempty"`
	MX           []string          `json:"mx_host,omitempty"`
	OK           int64             `json:"ok"`
	OKMail       int64             `json:"ok_mail"` // of OK: sessions that carried more than reports
	Failed       int64             `json:"failed"`
	Details      []delivery.Detail `json:"details,omitempty"`
}

// Filter chooses rows. A zero field chooses all.
type Filter struct {
	Domain       string // recipient domain
	PolicyDomain string // with OnlyTLSA: an MX host's rows
	OnlyTLSA     bool
	Max          int // rows read, 0: 10,000
}

// Rows reads the rows of a day, ordered by recipient domain, type and policy
// domain. Shards are summed and rows ordered here and not in SQL: for GROUP BY
// or ORDER BY SQLite would rather walk a whole day's index than sort a few rows.
func Rows(tx *store.Tx, day int64, f Filter) ([]Row, error) {
	if f.Max <= 0 {
		f.Max = 10_000
	}
	where, args := f.where(day)
	var out []Row
	at := map[string]int{}
	err := tx.Each(func(row store.Row) error {
		r := Row{Day: day}
		var id, strings, mx string
		if err := row.Scan(&id, &r.Domain, &r.Type, &r.PolicyDomain, &strings, &mx, &r.OK, &r.OKMail, &r.Failed); err != nil {
			return err
		}
		if i, again := at[id]; again {
			out[i].OK, out[i].OKMail, out[i].Failed = out[i].OK+r.OK, out[i].OKMail+r.OKMail, out[i].Failed+r.Failed
			return nil
		}
		if len(out) == f.Max {
			return nil
		}
		var err1, err2 error
		r.Strings, err1 = unlist(strings)
		r.MX, err2 = unlist(mx)
		at[id] = len(out)
		out = append(out, r)
		return cmp.Or(err1, err2)
	}, `SELECT r.id, r.domain, r.type, r.policy_domain, r.strings, r.mx, r.ok, r.ok_mail, r.failed FROM tls_rows AS r WHERE `+where+
		` LIMIT ?`, append(args, f.Max*shardsOf(tx))...)
	if err != nil {
		return nil, fmt.Errorf("read TLS results: %w", err)
	}
	if err := addDetails(tx, where, args, out, at); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Type, b.Type), cmp.Compare(a.PolicyDomain, b.PolicyDomain),
			slices.Compare(a.Strings, b.Strings), slices.Compare(a.MX, b.MX))
	})
	return out, nil
}

func (f Filter) where(day int64) (string, []any) {
	where, args := "r.day = ?", []any{day}
	if f.Domain != "" {
		where, args = where+" AND r.domain = ?", append(args, f.Domain)
	}
	if f.PolicyDomain != "" {
		where, args = where+" AND r.policy_domain = ?", append(args, f.PolicyDomain)
	}
	if f.OnlyTLSA {
		where, args = where+" AND r.type = ?", append(args, string(tlsrpt.PolicyTLSA))
	}
	return where, args
}

func unlist(s string) ([]string, error) {
	var ss []string
	if err := json.Unmarshal([]byte(s), &ss); err != nil {
		return nil, err
	}
	return ss, nil
}

// addDetails reads the details of rows. CROSS JOIN makes SQLite begin with the
// rows, of which where leaves few; PostgreSQL decides for itself.
func addDetails(tx *store.Tx, where string, args []any, out []Row, at map[string]int) error {
	if !slices.ContainsFunc(out, func(r Row) bool { return r.Failed > 0 }) {
		return nil // details stand only where sessions failed
	}
	over := map[int]int{} // sessions of details that found no room, by row
	all := make([][]keyed, len(out))
	err := tx.Each(func(row store.Row) error {
		var id string
		var k keyed
		d := &k.Detail
		err := row.Scan(&id, &k.key, &d.Type, &d.SendingIP, &d.MXHostname, &d.HELO, &d.ReceiverIP, &d.Reason, &d.EDE, &d.Info, &d.Count)
		i, ok := at[id]
		if err != nil || !ok { // without its row, which is beyond the filter's maximum
			return err
		}
		if n := len(all[i]); n > 0 && all[i][n-1].key == k.key { // another shard's
			all[i][n-1].Count += k.Count
			return nil
		}
		all[i] = append(all[i], k)
		return nil
	}, `SELECT d.id, d.detail, d.type, d.sending_ip, d.mx_host, d.helo, d.receiver_ip, d.reason, d.ede, d.info, d.sessions
		FROM tls_rows AS r CROSS JOIN tls_details AS d WHERE `+where+` AND d.day = r.day AND d.id = r.id AND d.shard = r.shard
		ORDER BY d.id, d.detail, d.info`, args...)
	if err != nil {
		return fmt.Errorf("read TLS failures: %w", err)
	}
	for i, list := range all {
		slices.SortStableFunc(list, func(a, b keyed) int { return cmp.Compare(b.Count, a.Count) })
		for _, k := range list {
			if k.key == folded || len(out[i].Details) >= maxDetails {
				over[i] += k.Count
			} else {
				out[i].Details = append(out[i].Details, k.Detail)
			}
		}
	}
	for i, n := range over {
		// Details may overlap in a session, their sum must not exceed the sessions.
		out[i].Details = append(out[i].Details, foldedDetail(min(n, int(out[i].Failed))))
	}
	return nil
}

// keyed is a detail and its key in the store.
type keyed struct {
	delivery.Detail
	key string
}

// Days lists the days that have rows, newest first.
func Days(tx *store.Tx) ([]int64, error) {
	days, err := store.Column[int64](tx, `SELECT DISTINCT day FROM tls_rows ORDER BY day DESC`)
	if err != nil {
		return nil, fmt.Errorf("read the days of TLS results: %w", err)
	}
	return days, nil
}

// Policy gives a row as an entry of a TLS report (RFC 8460 §4.4). What a detail
// says in words follows its reason in failure-reason-code: the member
// additional-information is for a URI.
func (r Row) Policy() tlsrpt.PolicyResult {
	p := tlsrpt.PolicyResult{
		Type: r.Type, Strings: slices.Clone(r.Strings), Domain: r.PolicyDomain, MXHost: slices.Clone(r.MX),
		Success: r.OK, Failed: r.Failed,
	}
	for _, d := range r.Details {
		reason := d.Reason
		if d.EDE != 0 {
			reason += " ede-" + strconv.Itoa(int(d.EDE)) // RPT-23: "dns-bogus ede-6: …", by which receivers can group
		}
		if d.Info != "" && d.Info != d.Reason {
			reason += ": " + d.Info
		}
		p.Details = append(p.Details, tlsrpt.FailureDetail{
			Type: d.Type, SendingIP: d.SendingIP, MXHostname: d.MXHostname, HELO: d.HELO,
			ReceivingIP: d.ReceiverIP, Sessions: int64(d.Count), Reason: reason,
		})
	}
	return p
}
