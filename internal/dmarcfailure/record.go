package dmarcfailure

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"waxwing/internal/foreign"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/verify"
	"waxwing/message"
)

const (
	period   = 15 * time.Minute // messages alike of so long are one report
	settling = time.Minute      // after a period's end, before its reports are sent: others still write theirs
	maxNoted = 1000             // reports in memory
	maxOfDay = 1000             // reports of a day, of all organisations
	keptFor  = 24 * time.Hour   // a report that cannot be sent is given up after so long
)

// Recorder sums up messages that fail. It keeps them in memory between two looks of the Service:
// what a crash loses is a report that its reader does not count on. Its fields are set before its
// first use.
type Recorder struct {
	Store    *store.Store
	Hostname string
	Redactor Redactor
	// Send says whether failures are reported to a policy domain (dmarc.exclude); nil: to all.
	Send func(domain string) bool
	Most int // reports about the domains of one organisation on a UTC day
	Now  func() time.Time

	mu    sync.Mutex
	noted map[string]*row
}

// row is a report about messages alike, of one period.
type row struct {
	id        string
	due       time.Time
	domain    string // where the policy stands
	spf       string // domain of which the SPF record is told; "": none
	report    string // JSON, arf.Report
	original  []byte
	incidents int64
}

// Note notes a message with what was found out about it. Own tells that the message is itself a
// report: these make none, or two servers could keep each other busy.
func (r *Recorder) Note(f *verify.Facts, h message.Header, own bool) {
	if own || strings.HasPrefix(strings.ToLower(strings.TrimSpace(h.Get("Content-Type"))), "multipart/report") {
		return
	}
	for _, x := range Observe(f) {
		if r.Send == nil || r.Send(x.Policy.ASCII()) {
			r.note(x, f, h)
		}
	}
}

// note adds a message to those that are alike: of one source and one envelope domain, with the
// same results and the same fate.
func (r *Recorder) note(x Failure, f *verify.Facts, h message.Header) {
	now := r.Now()
	begin := now.Truncate(period)
	p := x.Report
	_, envelope, _ := strings.Cut(p.MailFrom, "@")
	key := fmt.Sprint(begin.Unix(), x.Policy, p.Domain, p.Failure, p.Alignment, p.Delivery, p.Source, envelope, p.Signature, x.SPF)
	sum := sha256.Sum256([]byte(key))
	id := hex.EncodeToString(sum[:16])
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.noted[id]; old != nil {
		old.incidents++
		return
	}
	if len(r.noted) >= maxNoted {
		return
	}
	p.MailFrom, p.Arrival, p.MTA = ascii(r.Redactor.Address(p.MailFrom)), now.UTC().Truncate(time.Second), r.Hostname
	results := f.Results(r.Hostname).Field()
	_, value, _ := strings.Cut(strings.ReplaceAll(string(results), "\r\n", ""), ":")
	p.Results = r.Redactor.Text(strings.TrimSpace(value))
	text, err := json.Marshal(p)
	if err != nil {
		return // a value of our own, which has no such fields
	}
	if r.noted == nil {
		r.noted = map[string]*row{}
	}
	r.noted[id] = &row{id: id, due: begin.Add(period + settling), domain: x.Policy.ASCII(), spf: x.SPF.ASCII(), report: foreign.Text(string(text), 8<<10), original: r.Redactor.Header(h), incidents: 1}
}

// flush writes what was noted into the store, where there is room for it.
func (r *Recorder) flush(ctx context.Context) error {
	r.mu.Lock()
	all := r.noted
	r.noted = nil
	r.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	// As for the rows of results: all lock them in one order.
	rows := slices.SortedFunc(maps.Values(all), func(a, b *row) int { return strings.Compare(a.id, b.id) })
	err := r.Store.Write(ctx, func(tx *store.Tx) error {
		for _, x := range rows {
			if err := r.save(tx, x); err != nil {
				return fmt.Errorf("note a failure for %s: %w", x.domain, err)
			}
		}
		return nil
	})
	return err
}

func (r *Recorder) save(tx *store.Tx, x *row) error {
	n, err := tx.Exec(`UPDATE dmarc_failures SET incidents = incidents + ? WHERE id = ?`, x.incidents, x.id)
	if n > 0 || err != nil {
		return err
	}
	if ok, err := r.room(tx, x); !ok || err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO dmarc_failures (id, due, until, domain, spf, report, original, incidents, tries) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)
		ON CONFLICT (id) DO UPDATE SET incidents = dmarc_failures.incidents + excluded.incidents`,
		x.id, store.Time(x.due), store.Time(x.due.Add(keptFor)), x.domain, x.spf, x.report, x.original, x.incidents)
	return err
}

// room takes a place among the reports of the day (RFC 9991 §8.1): of the organisation's and of
// all. What finds none is counted.
func (r *Recorder) room(tx *store.Tx, x *row) (bool, error) {
	day, org := r.Now().Unix()/86400, outbox.Organization(x.domain)
	for _, c := range []struct {
		organization string
		most         int
	}{{org, r.Most}, {"", maxOfDay}} {
		n, err := tx.Exec(`INSERT INTO dmarc_failure_room (day, organization, entries, left_out) VALUES (?, ?, 1, 0)
			ON CONFLICT (day, organization) DO UPDATE SET entries = dmarc_failure_room.entries + 1 WHERE dmarc_failure_room.entries < ?`, day, c.organization, c.most)
		if n > 0 && err == nil {
			continue
		}
		if err == nil {
			_, err = tx.Exec(`UPDATE dmarc_failure_room SET left_out = left_out + ? WHERE day = ? AND organization = ?`, x.incidents, day, org)
		}
		return false, err
	}
	return true, nil
}
