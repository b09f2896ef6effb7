package reportbox

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/peers"
)

// Bounds on reports by HTTPS (RPT-15): nobody vouches for them.
const (
	MaxPosted         = 1 << 20  // octets as sent
	MaxPostedUnpacked = 10 << 20 // and unpacked
	maxPostedKept     = 64 << 10 // octets stored of one, packed
	PerSource         = 50       // stored a UTC day from one network
	PostsPerDay       = 2000     // and from all
)

// ErrTooMany: the source, or everybody together, has posted enough for a UTC day.
var ErrTooMany = errors.New("too many reports today")

// Origin is where a report came from.
type Origin struct {
	source    string // mail or https
	Submitter string
}

// Mail is the origin of a report by mail that a domain authenticated.
func Mail(submitter dns.Name) Origin { return Origin{"mail", submitter.ASCII()} }

// ByMail reports that somebody vouches for the report.
func (o Origin) ByMail() bool { return o.source == "mail" }

// Posted is the origin of a report by HTTPS: an IPv4 address or an IPv6 /64 (peers.Client).
func Posted(a netip.Addr) Origin {
	switch p := peers.Client(a); {
	case !p.IsValid():
		return Origin{"https", "unknown"}
	case p.Addr().Is4():
		return Origin{"https", p.Addr().String()}
	default:
		return Origin{"https", p.String()}
	}
}

// Part is what a report says of one domain of ours.
type Part struct {
	Domain                 dns.Name
	ReportID, Organization string
	Contact                string
	Begin, End             time.Time
	OK, Failed             int64
	File                   []byte // packed
}

// Put stores the parts of a report, once (RPT-17). New is asked in the transaction for each
// part that was not there; it may be nil. A reason says why nothing is stored, for good, or, of
// a report by mail, today. The error is ErrTooMany or temporary.
func (b *Box) Put(ctx context.Context, o Origin, parts []Part, isNew func(tx *store.Tx, p Part, id int64) error) (reason string, err error) {
	most := maxMailKept
	if !o.ByMail() {
		most = maxPostedKept
	}
	// As for intakes: all lock their rows in one order.
	slices.SortFunc(parts, func(a, b Part) int { return strings.Compare(a.Domain.ASCII(), b.Domain.ASCII()) })
	for _, p := range parts {
		if len(p.File) > most {
			return fmt.Sprintf("the report about %s has %d octets, %d are taken", p.Domain, len(p.File), most), nil
		}
	}
	err = b.Store.Write(ctx, func(tx *store.Tx) error {
		if !o.ByMail() {
			if err := b.admitPosted(tx, o.Submitter, int64(len(parts))); err != nil {
				return err
			}
		}
		var rows []newRow
		for _, p := range parts {
			id, err := b.insert(tx, o, p)
			if id == 0 && err == nil {
				continue
			}
			if err == nil && isNew != nil {
				err = isNew(tx, p, id)
			}
			if err != nil {
				return err
			}
			rows = append(rows, newRow{p.Domain.ASCII(), int64(len(p.File))})
		}
		if !o.ByMail() || len(rows) == 0 {
			return nil
		}
		return b.admitMail(tx, o.Submitter, rows)
	})
	if errors.Is(err, ErrTooMany) {
		b.Told("over-cap")
	}
	return b.full(ctx, err)
}

// insert stores what a report says of one domain; 0: it was stored before, which changes
// nothing.
func (b *Box) insert(tx *store.Tx, o Origin, p Part) (id int64, err error) {
	id = store.NewID()
	n, err := tx.Exec(`INSERT INTO `+b.received()+` (id, source, submitter, report_id, policy_domain, organization, contact,
		first, last, received, ok, failed, json) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (source, submitter, report_id, policy_domain) DO NOTHING`,
		id, o.source, o.Submitter, outbox.Clip(p.ReportID), p.Domain.ASCII(), outbox.Clip(p.Organization), outbox.Clip(p.Contact),
		store.Time(p.Begin), store.Time(p.End), store.Time(b.Now()), p.OK, p.Failed, p.File)
	if n == 0 {
		id = 0
	}
	return id, err
}

// admitPosted counts what has been posted today.
func (b *Box) admitPosted(tx *store.Tx, from string, n int64) error {
	today := store.Time(tlsresult.Start(tlsresult.Day(b.Now())))
	var mine, all int64
	err := tx.Row(`SELECT count(*), count(CASE WHEN submitter = ? THEN 1 END) FROM `+b.received()+` WHERE source = 'https' AND received >= ?`, from, today).Scan(&all, &mine)
	if err != nil {
		return err
	}
	if mine+n > PerSource || all+n > PostsPerDay {
		return ErrTooMany
	}
	return nil
}
