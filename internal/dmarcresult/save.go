package dmarcresult

import (
	"context"
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
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/internal/verify"
)

// Bounds on the rows of a day: a sender makes as many different ones as it likes.
const (
	MaxOfOrganization = 10_000
	maxOfDay          = 200_000
	maxText           = 256 // octets of one text
	shards            = 8   // on PostgreSQL
)

// Recorder counts messages. Its fields are set before its first use.
type Recorder struct {
	Store *store.Store
	// Send says whether mail of a policy domain is counted and reported (dmarc.exclude); nil:
	// all is.
	Send func(domain string) bool
	Now  func() time.Time
}

// Observe is the package's Observe, without the domains that nothing is reported to.
func (r *Recorder) Observe(f *verify.Facts, report bool) []delivery.Evaluation {
	all := Observe(f, report)
	if r.Send == nil {
		return all
	}
	return slices.DeleteFunc(all, func(e delivery.Evaluation) bool { return !r.Send(e.Policy.Domain) })
}

// Save counts a message in the transaction that accepts it.
func (r *Recorder) Save(tx *store.Tx, all []delivery.Evaluation) error { return Save(tx, r.Now(), all) }

// Write counts a message that is not accepted, in a transaction of its own.
func (r *Recorder) Write(ctx context.Context, all []delivery.Evaluation) error {
	if len(all) == 0 {
		return nil
	}
	return r.Store.Write(ctx, func(tx *store.Tx) error { return r.Save(tx, all) })
}

// Save adds evaluations to the rows of the UTC day of t. Rows are written in the order of
// their ids, so that two machines never wait for each other in a circle.
func Save(tx *store.Tx, t time.Time, all []delivery.Evaluation) error {
	rows := make([]row, 0, len(all))
	for _, e := range all {
		r, err := newRow(t, e)
		if err != nil {
			return err
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.id, b.id) })
	for _, r := range rows {
		if err := r.save(tx); err != nil {
			return fmt.Errorf("count a message for the DMARC report to %s: %w", r.domain, err)
		}
	}
	return nil
}

// row is one evaluation as it is stored.
type row struct {
	day                        int64
	part                       int
	id, domain, record, policy string
	mail                       int
}

func newRow(t time.Time, e delivery.Evaluation) (row, error) {
	cut(&e)
	record, err := json.Marshal(e.Record)
	if err != nil {
		return row{}, err
	}
	policy, err := json.Marshal(e.Policy)
	if err != nil {
		return row{}, err
	}
	r := row{day: tlsresult.Day(t), part: partOf(t, e.Hours).code(), domain: e.Policy.Domain, record: string(record), policy: string(policy), mail: 1}
	if e.Report {
		r.mail = 0
	}
	key := r.domain + "\n" + r.record
	if r.part != 0 {
		key += "\n" + strconv.Itoa(r.part)
	}
	sum := sha256.Sum256([]byte(key))
	r.id = hex.EncodeToString(sum[:16])
	return r, nil
}

// cut makes the texts of strangers fit for both engines.
func cut(e *delivery.Evaluation) {
	fit := func(s *string) { *s = foreign.Text(*s, maxText) }
	r := &e.Record
	fit(&r.EnvelopeFrom)
	r.Count, r.DKIMResults, r.SPFResults = 0, slices.Clone(r.DKIMResults), slices.Clone(r.SPFResults)
	for i := range r.DKIMResults {
		fit(&r.DKIMResults[i].Selector)
	}
	for i := range r.SPFResults {
		fit(&r.SPFResults[i].Domain)
	}
}

// save counts the message in its row. A row that is new needs room.
func (r row) save(tx *store.Tx) error {
	shard := 0
	if tx.Postgres() {
		shard = rand.IntN(shards)
	}
	n, err := tx.Exec(`UPDATE dmarc_rows SET messages = messages + 1, mail = mail + ? WHERE day = ? AND id = ? AND shard = ?`, r.mail, r.day, r.id, shard)
	if err == nil && n == 0 {
		var ok bool
		if ok, err = r.room(tx); !ok || err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO dmarc_rows (day, id, shard, part, domain, record, messages, mail) VALUES (?, ?, ?, ?, ?, ?, 1, ?)
			ON CONFLICT (day, id, shard) DO UPDATE SET messages = dmarc_rows.messages + 1, mail = dmarc_rows.mail + excluded.mail`,
			r.day, r.id, shard, r.part, r.domain, r.record, r.mail)
	}
	if err != nil {
		return err
	}
	return r.keepPolicy(tx)
}

// keepPolicy notes the policy, where it is not the one that is known: most transactions only
// read, and do not wait for each other.
func (r row) keepPolicy(tx *store.Tx) error {
	var same bool
	if r.part != 0 {
		err := tx.Row(`SELECT EXISTS (SELECT 1 FROM dmarc_parts WHERE day = ? AND part = ? AND domain = ? AND policy = ?)`, r.day, r.part, r.domain, r.policy).Scan(&same)
		if same || err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO dmarc_parts (day, part, domain, policy) VALUES (?, ?, ?, ?)
			ON CONFLICT (day, part, domain) DO UPDATE SET policy = excluded.policy`, r.day, r.part, r.domain, r.policy)
		return err
	}
	err := tx.Row(`SELECT EXISTS (SELECT 1 FROM dmarc_policies WHERE day = ? AND domain = ? AND policy = ?)`, r.day, r.domain, r.policy).Scan(&same)
	if same || err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO dmarc_policies (day, domain, policy) VALUES (?, ?, ?)
		ON CONFLICT (day, domain) DO UPDATE SET policy = excluded.policy`, r.day, r.domain, r.policy)
	return err
}

// room takes a place for one more row, of its organisation and of the day. Where there is
// none, the message is counted as left out, of the organisation if it has rows.
func (r row) room(tx *store.Tx) (bool, error) {
	org := outbox.Organization(r.domain)
	for _, c := range []struct {
		organization string
		most         int
	}{{org, MaxOfOrganization}, {"", maxOfDay}} {
		n, err := tx.Exec(`INSERT INTO dmarc_room (day, organization, entries, left_out) VALUES (?, ?, 1, 0)
			ON CONFLICT (day, organization) DO UPDATE SET entries = dmarc_room.entries + 1 WHERE dmarc_room.entries < ?`, r.day, c.organization, c.most)
		if n > 0 && err == nil {
			continue
		}
		if err == nil {
			_, err = tx.Exec(`UPDATE dmarc_room SET left_out = left_out + 1 WHERE day = ? AND organization IN (?, ?)`, r.day, org, c.organization)
		}
		return false, err
	}
	return true, nil
}
