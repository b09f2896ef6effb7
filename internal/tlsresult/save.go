package tlsresult

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/store"
	"waxwing/tlsrpt"
)

const (
	maxText    = 256 // octets of one stored string (RPT-1)
	maxDetails = 100 // distinct details of a row; the rest is folded into one
	maxStrings = 64  // policy strings and patterns of a row
	shards     = 8   // on PostgreSQL, see 00004_tls.sql
	folded     = ""  // key of the detail that holds the rest
)

// Recorder is what the queue calls in its settling transaction.
type Recorder struct {
	// Send says whether mail to a recipient domain is recorded and reported
	// (RPT-3, tlsrpt.send); nil: always.
	Send func(domain string) bool
	Now  func() time.Time // nil: time.Now
}

// Record stores what an attempt came to, under the UTC day of the transaction.
func (r Recorder) Record(tx *store.Tx, job *delivery.Job, res *delivery.Result) error {
	if r.Send != nil && !r.Send(job.Domain.String()) {
		return nil
	}
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	return Save(tx, now(), Observe(job, res))
}

// Day is the number of the UTC day of t, counted from 1970-01-01.
func Day(t time.Time) int64 {
	s := t.Unix()
	d := s / 86400
	if s%86400 < 0 {
		d--
	}
	return d
}

// Start is the first moment of a day.
func Start(day int64) time.Time { return time.Unix(day*86400, 0).UTC() }

// rowKey is the key of RPT-1 but for the day.
type rowKey struct{ id, domain, typ, policyDomain, strings, mx string }

// sum is what one Save adds to a row.
type sum struct {
	rowKey
	ok, okMail, failed int
	sessions           [][]delivery.Detail // per observation, to fold each session once
}

// Save adds observations to the rows of the UTC day of t: one statement per
// row, and per failure one or two more. Rows are written in the order of their
// keys, so that two machines never wait for each other in a circle.
func Save(tx *store.Tx, t time.Time, obs []delivery.Observation) error {
	day, shard := Day(t), 0
	if n := shardsOf(tx); n > 1 {
		shard = rand.IntN(n)
	}
	for _, s := range sums(obs) {
		_, err := tx.Exec(`INSERT INTO tls_rows (day, id, shard, domain, type, policy_domain, strings, mx, ok, ok_mail, failed, details)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
			ON CONFLICT (day, id, shard) DO UPDATE SET ok = tls_rows.ok + excluded.ok,
				ok_mail = tls_rows.ok_mail + excluded.ok_mail, failed = tls_rows.failed + excluded.failed`,
			day, s.id, shard, s.domain, s.typ, s.policyDomain, s.strings, s.mx, s.ok, s.okMail, s.failed)
		if err != nil {
			return fmt.Errorf("store TLS results of %s: %w", s.domain, err)
		}
		r := rowRef{day, s.id, shard}
		for _, details := range s.sessions {
			if err := r.addSession(tx, details); err != nil {
				return fmt.Errorf("store TLS failures of %s: %w", s.domain, err)
			}
		}
	}
	return nil
}

// shardsOf is how many rows of one key there may be: SQLite has one writer.
func shardsOf(tx *store.Tx) int {
	if tx.Postgres() {
		return shards
	}
	return 1
}

// sums groups observations by key, in the order of the keys.
func sums(obs []delivery.Observation) []*sum {
	byKey := map[rowKey]*sum{}
	var out []*sum
	for i := range obs {
		o := &obs[i]
		k := key(o)
		s := byKey[k]
		if s == nil {
			s = &sum{rowKey: k}
			byKey[k] = s
			out = append(out, s)
		}
		s.ok += o.OK
		s.failed += o.Failed
		if !o.ReportOnly {
			s.okMail += o.OK
		}
		if len(o.Details) > 0 && o.Failed > 0 {
			s.sessions = append(s.sessions, o.Details)
		}
	}
	slices.SortFunc(out, func(a, b *sum) int { return strings.Compare(a.id, b.id) })
	return out
}

func key(o *delivery.Observation) rowKey {
	k := rowKey{
		domain: o.RecipientDomain.ASCII(), typ: string(o.Type), policyDomain: o.PolicyDomain.ASCII(),
		strings: list(o.Strings), mx: list(o.MX),
	}
	k.id = hash(k.domain, k.typ, k.policyDomain, k.strings, k.mx)
	return k
}

// list is a bounded JSON array of bounded strings.
func list(ss []string) string {
	cutted := make([]string, 0, min(len(ss), maxStrings))
	for _, s := range ss[:min(len(ss), maxStrings)] {
		cutted = append(cutted, cut(s))
	}
	b, err := json.Marshal(cutted)
	if err != nil {
		return "[]" // not possible: valid UTF-8 strings always marshal
	}
	return string(b)
}

// cut makes a string fit for both engines and for a report.
func cut(s string) string { return foreign.Text(s, maxText) }

func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(strconv.Itoa(len(p)) + ":" + p))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// rowRef names one stored row.
type rowRef struct {
	day   int64
	id    string
	shard int
}

// addSession adds the details of one failed observation. What does not find
// room goes into the folded detail, at most once a session: no detail may count
// more sessions than failed.
func (r rowRef) addSession(tx *store.Tx, details []delivery.Detail) error {
	rest := 0
	for _, d := range details {
		k := detailKey(&d)
		n, err := r.count(tx, k, d.Count)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		ok, err := r.room(tx)
		if err != nil {
			return err
		}
		if !ok {
			rest = max(rest, d.Count)
			continue
		}
		if err := r.insert(tx, k, d); err != nil {
			return err
		}
	}
	if rest == 0 {
		return nil
	}
	if n, err := r.count(tx, folded, rest); n > 0 || err != nil {
		return err
	}
	return r.insert(tx, folded, foldedDetail(rest))
}

func foldedDetail(sessions int) delivery.Detail {
	return delivery.Detail{Type: tlsrpt.ValidationFailure, Reason: "too-many-details", Count: sessions,
		Info: fmt.Sprintf("more than %d different failures; these are the rest", maxDetails)}
}

func detailKey(d *delivery.Detail) string {
	return hash(cut(string(d.Type)), cut(d.SendingIP), cut(d.MXHostname), cut(d.HELO), cut(d.ReceiverIP), cut(d.Reason))
}

func (r rowRef) count(tx *store.Tx, detail string, n int) (int64, error) {
	return tx.Exec(`UPDATE tls_details SET sessions = sessions + ? WHERE day = ? AND id = ? AND shard = ? AND detail = ?`,
		n, r.day, r.id, r.shard, detail)
}

// room takes a place for one more detail of the row, if there is one.
func (r rowRef) room(tx *store.Tx) (bool, error) {
	n, err := tx.Exec(`UPDATE tls_rows SET details = details + 1 WHERE day = ? AND id = ? AND shard = ? AND details < ?`,
		r.day, r.id, r.shard, maxDetails)
	return n > 0, err
}

func (r rowRef) insert(tx *store.Tx, detail string, d delivery.Detail) error {
	_, err := tx.Exec(`INSERT INTO tls_details (day, id, shard, detail, type, sending_ip, mx_host, helo, receiver_ip, reason, ede, info, sessions)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, r.day, r.id, r.shard, detail, cut(string(d.Type)), cut(d.SendingIP),
		cut(d.MXHostname), cut(d.HELO), cut(d.ReceiverIP), cut(d.Reason), int64(d.EDE), cut(d.Info), d.Count)
	return err
}
