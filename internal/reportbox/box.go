// Package reportbox keeps the reports that others send us, of every sort, each once: it knows
// neither TLS nor DMARC. What is stored of a day is bounded, and what comes by HTTPS, for which
// nobody vouches, stands apart (RPT-15, RPT-17). It is the outbox's counterpart.
package reportbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/internal/turns"
)

// Sort is a sort of reports.
type Sort struct {
	Name   string // in the log and in errors: "TLS report"
	Noun   string // of its commands and its table of the configuration: "tlsrpt"
	Tables string // what its tables begin with: "tls" has tls_received and tls_intake
}

// Box keeps reports of one sort. Its fields are set before its first use; its methods may be
// called from any goroutine. Store, Outbox, Now and Log are needed.
type Box struct {
	Sort
	Store  *store.Store
	Outbox *outbox.Box // whose mails may bounce to us
	// Addresses are where its reports come to.
	Addresses *Addresses
	// PerReporter is how much is stored of reports by mail that one organisation
	// has signed, about one organisation's domains, on a UTC day; PerDay of all.
	// One for each domain of ours in a report; 0: 100 and 20,000.
	PerReporter, PerDay int
	// OctetsPerDay is the same of all in octets, packed, of which one organisation
	// that signs may use an eighth; 0: 64 MiB.
	OctetsPerDay int64
	Count        func(result string) // is told of each report that came: taken, posted, over-cap; nil: nobody
	Keep         time.Duration       // how long reports are kept; 0: 400 days
	Now          func() time.Time
	Log          *slog.Logger

	turnsOnce sync.Once
	turns     *turns.Turns
}

// Told counts a report that came.
func (b *Box) Told(result string) {
	if b.Count != nil {
		b.Count(result)
	}
}

// What strangers send is unpacked in few places at a time (INB-2): a report may be
// a hundred times as large in memory as on the wire.
const (
	AtOnce  = 2
	Waiting = 100 // their mail lies in files, or is short
	Wait    = 30 * time.Second
)

// Turn is for a report that is to be unpacked, by mail and by HTTPS together. Its error
// turns.ErrBusy asks the sender to come again.
func (b *Box) Turn(ctx context.Context) (end func(), err error) {
	b.turnsOnce.Do(func() {
		b.turns = &turns.Turns{AtOnce: AtOnce, Waiting: Waiting, Wait: Wait}
	})
	return b.turns.Take(ctx, turns.Caller{})
}

// TakeBounce takes mail to the return path of a report of ours as its bounce (RPT-12); mine
// says that it was such. The rest is as of outbox.Box.TakeBounce.
func (b *Box) TakeBounce(ctx context.Context, recipient string, msg []byte) (mine, taken bool, reason string, err error) {
	id, mine, err := b.Outbox.Returned(ctx, recipient[:max(0, strings.LastIndexByte(recipient, '@'))])
	if !mine || err != nil {
		return mine, false, "", err
	}
	end, err := b.Turn(ctx)
	if err != nil {
		return true, false, "", err
	}
	defer end()
	taken, reason, err = b.Outbox.TakeBounce(ctx, id, msg)
	return true, taken, reason, err
}

// One is one of the reports that a mail holds.
type One struct {
	ID      string   // as its sender has it
	LeftOut []string // what was passed over while it was read
	Keep    func() (refused string, err error)
}

// TakeAll stores every report that find finds in a mail of submitter's. The mail is taken if one
// of them is stored; the reason why not is the first one's. The error is temporary.
func (b *Box) TakeAll(submitter dns.Name, recipient string, find func(one func(One) error) error) (taken bool, reason string, err error) {
	var temporary error
	why := find(func(r One) error {
		refused, err := r.Keep()
		switch {
		case err != nil:
			temporary = fmt.Errorf("%s of %s to %s: %w", b.Name, submitter, recipient, err)
			return temporary
		case refused != "":
			reason = cmp.Or(reason, refused)
			return nil
		}
		taken = true
		b.Told("taken")
		b.Log.Info(b.Name+" received", "submitter", submitter, "report-id", outbox.Clip(r.ID), "recipient", recipient, "left-out", r.LeftOut)
		return nil
	})
	switch {
	case temporary != nil:
		return false, "", temporary
	case taken:
		return true, "", nil
	case reason == "" && why != nil:
		reason = outbox.Line(why.Error())
	}
	return false, reason, nil
}

// Received is a report that somebody sent us, one policy domain of it.
type Received struct {
	ID           delivery.ID `json:"id"`
	Source       string      `json:"source"`    // mail or https
	Submitter    string      `json:"submitter"` // domain that authenticated it
	ReportID     string      `json:"report_id"`
	PolicyDomain string      `json:"policy_domain"`
	Organization string      `json:"organization_name"`
	Contact      string      `json:"contact,omitempty"` // of a failure report: the address that the messages came from
	Begin        time.Time   `json:"start_datetime"`
	End          time.Time   `json:"end_datetime"`
	At           time.Time   `json:"received"`
	OK           int64       `json:"ok"`
	Failed       int64       `json:"failed"`
}

func (b *Box) received() string { return b.Tables + "_received" }
func (b *Box) intake() string   { return b.Tables + "_intake" }

// Reports lists what others reported about us, newest first.
func (b *Box) Reports(ctx context.Context, f outbox.Filter) ([]Received, error) {
	out, err := store.List(ctx, b.Store, func(row store.Row) (r Received, err error) {
		var first, last, at int64
		err = row.Scan(&r.ID, &r.Source, &r.Submitter, &r.ReportID, &r.PolicyDomain, &r.Organization, &r.Contact,
			&first, &last, &at, &r.OK, &r.Failed)
		r.Begin, r.End, r.At = store.FromTime(first), store.FromTime(last), store.FromTime(at)
		return r, err
	}, `SELECT id, source, submitter, report_id, policy_domain, organization, contact, first, last, received, ok, failed
			FROM `+b.received()+` WHERE received >= ? AND (? = '' OR policy_domain = ?) ORDER BY received DESC, id DESC LIMIT ?`,
		store.Time(f.Since), f.Domain, f.Domain, cmp.Or(f.Limit, 1000))
	if err != nil {
		return nil, fmt.Errorf("list received %ss: %w", b.Name, err)
	}
	return out, nil
}

// ErrNoReport is of File for an id that is not stored.
var ErrNoReport = errors.New("no such report is stored")

// File is a report by its id, packed as it is stored.
func (b *Box) File(ctx context.Context, id delivery.ID) (file []byte, err error) {
	err = b.Store.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT json FROM `+b.received()+` WHERE id = ?`, int64(id)).Scan(&file)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("no such %s; see the ids of `waxwing %s reports` (%w)", b.Name, b.Noun, ErrNoReport)
	}
	return file, err
}

// Stored is a report as Each gives it.
type Stored struct {
	Source, Submitter, Domain string
	File                      []byte
}

// Each goes through the reports about a domain, or with "" about all, that begin then or later:
// the newest, at most so many. What begin returns is called for each; begin itself once, and again
// where the store has to be read anew. It returns how many there were.
func (b *Box) Each(ctx context.Context, f outbox.Filter, begin func() func(Stored) error) (n int, err error) {
	err = b.Store.Read(ctx, func(tx *store.Tx) error {
		fn := begin()
		n = 0
		return tx.Each(func(r store.Row) error {
			var x Stored
			if err := r.Scan(&x.Source, &x.Submitter, &x.Domain, &x.File); err != nil {
				return err
			}
			n++
			return fn(x)
		}, `SELECT source, submitter, policy_domain, json FROM `+b.received()+` WHERE (? = '' OR policy_domain = ?) AND first >= ?
			ORDER BY first DESC, id LIMIT ?`, f.Domain, f.Domain, store.Time(f.Since), f.Limit)
	})
	if err != nil {
		return 0, fmt.Errorf("sum up received %ss: %w", b.Name, err)
	}
	return n, nil
}

const (
	keepReport = 400 * 24 * time.Hour
	keepCounts = 7 * 24 * time.Hour
	// KeepPosted is how long reports by HTTPS are kept.
	KeepPosted = 31 * 24 * time.Hour
)

// Prune forgets what is too old.
func (b *Box) Prune(ctx context.Context) error {
	now := b.Now()
	return b.Store.Prune(ctx, "received "+b.Name+"s",
		store.Old{Query: `DELETE FROM ` + b.received() + ` WHERE received < ?`, Before: store.Time(now.Add(-cmp.Or(b.Keep, keepReport)))},
		store.Old{Query: `DELETE FROM ` + b.received() + ` WHERE received < ? AND source = 'https'`, Before: store.Time(now.Add(-KeepPosted))},
		store.Old{Query: `DELETE FROM ` + b.intake() + ` WHERE day < ?`, Before: tlsresult.Day(now.Add(-keepCounts)) - 1})
}
