package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"waxwing/internal/store"
)

// result is what an address did with a report in the end.
type result int

const (
	accepted  result = iota
	refused          // for good: it bounced, or was answered 5xx or by HTTPS 4xx
	exhausted        // not taken for a day: 4xx, unreachable
)

// state is that of a delivery which ended so.
func (r result) state() string {
	if r == accepted {
		return "accepted"
	}
	return "failed"
}

// standing is what is remembered of a report address (RPT-12).
type standing struct {
	until   time.Time // suppressed until then
	times   int       // how often it was before
	manual  bool      // by an admin: left alone
	soft    int       // days in a row on which it was exhausted
	softDay int64     // the last of them
}

const (
	softDays  = 3                   // days of 4xx that suppress an address
	forgetful = 60 * 24 * time.Hour // after its end, a suppression is forgotten
)

// after decides what becomes of an address: refused once, or exhausted on three
// days in a row, it is suppressed, for longer each time. That it accepts a report
// ends the row of bad days but not the memory of earlier bounces: a mail is
// accepted before it bounces. What an admin has set stays.
func (x standing) after(v result, now time.Time) standing {
	today := dayOf(now)
	switch {
	case x.manual:
		return x
	case v == accepted:
		x.soft, x.softDay = 0, 0
		return x
	case now.Before(x.until): // one bad day with many reports counts once
		return x
	case v == exhausted && x.soft > 0 && x.softDay == today:
		return x
	}
	if !x.until.IsZero() && now.Sub(x.until) > forgetful {
		x.times = 0
	}
	if v == exhausted {
		if x.softDay < today-softDays { // the bad days do not stand together
			x.soft = 0
		}
		x.soft, x.softDay = x.soft+1, today
		if x.soft < softDays {
			return x
		}
	}
	x.until, x.times, x.soft, x.softDay = now.Add(penalty(x.times)), x.times+1, 0, 0
	return x
}

// penalty is how long an address is left alone that was so times before: 3 days,
// doubled up to 48.
func penalty(times int) time.Duration { return 72 * time.Hour << min(times, 4) }

// remember notes what an address did.
func (f Family) remember(tx *store.Tx, uri string, v result, note string, now time.Time) error {
	address := f.addressKey(uri)
	was, err := readStanding(tx, address)
	if err != nil {
		return fmt.Errorf("look up %s: %w", address, err)
	}
	is := was.after(v, now)
	if is == was {
		return nil
	}
	_, err = tx.Exec(`INSERT INTO outbox_suppressions (address, until, times, manual, reason, created, soft, soft_day) VALUES (?, ?, ?, 0, ?, ?, ?, ?)
		ON CONFLICT (address) DO UPDATE SET until = excluded.until, times = excluded.times, reason = CASE WHEN ? = 0 THEN outbox_suppressions.reason ELSE excluded.reason END,
			created = excluded.created, soft = excluded.soft, soft_day = excluded.soft_day WHERE outbox_suppressions.manual = 0`,
		address, store.Time(is.until), is.times, Clip(note), store.Time(now), is.soft, is.softDay, int(v))
	if err != nil {
		return fmt.Errorf("note what became of reports to %s: %w", address, err)
	}
	return nil
}

func readStanding(tx *store.Tx, address string) (standing, error) {
	var x standing
	var until, manual int64
	err := tx.Row(`SELECT until, times, manual, soft, soft_day FROM outbox_suppressions WHERE address = ?`+tx.Wait(), address).
		Scan(&until, &x.times, &manual, &x.soft, &x.softDay)
	if errors.Is(err, sql.ErrNoRows) {
		return standing{}, nil
	}
	x.until, x.manual = store.FromTime(until), manual != 0
	return x, err
}

// addressKey is one form for all that are the same report address: a plain
// local@domain is taken too.
func (f Family) addressKey(uri string) string {
	if !strings.Contains(uri, ":") && strings.Contains(uri, "@") {
		uri = "mailto:" + uri
	}
	u, err := f.Address(uri)
	switch {
	case err != nil:
		return uri
	case u.Mail != "":
		at := strings.LastIndexByte(u.Mail, '@')
		return "mailto:" + u.Mail[:at] + "@" + strings.ToLower(u.Mail[at+1:])
	case u.HTTPS != "":
		if p, err := url.Parse(uri); err == nil {
			p.Host = strings.ToLower(p.Host)
			return p.String()
		}
	}
	return uri
}

// Suppressed tells whether an address is not to be sent to now (RPT-12).
func (b *Box) Suppressed(ctx context.Context, uri string) (bool, error) {
	var until int64
	err := b.Store.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT until FROM outbox_suppressions WHERE address = ?`, b.addressKey(uri)).Scan(&until)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up the suppression of %s: %w", uri, err)
	}
	return b.Now().Before(store.FromTime(until)), nil
}

// Suppression is a report address that is not sent to.
type Suppression struct {
	Address string    `json:"address"` // mailto:… or https:…
	Until   time.Time `json:"until"`
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason"`
	Manual  bool      `json:"manual"`
	Times   int       `json:"times"` // how often it was suppressed by itself, this time included
}

// ErrAddress: what is to be suppressed is neither a mail address nor an https URL.
var ErrAddress = errors.New("give a report address: local@domain, mailto:local@domain or https://…")

// Suppress stops reports to an address until a time, by hand.
func (b *Box) Suppress(ctx context.Context, address string, until time.Time, reason string) error {
	address = b.addressKey(address)
	if u, err := b.Address(address); err != nil || u == (Address{}) {
		return ErrAddress
	}
	now := b.Now()
	err := b.write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO outbox_suppressions (address, until, times, manual, reason, created) VALUES (?, ?, 0, 1, ?, ?)
			ON CONFLICT (address) DO UPDATE SET until = excluded.until, manual = 1, reason = excluded.reason, created = excluded.created`,
			address, store.Time(until), Clip(reason), store.Time(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("suppress %s: %w", address, err)
	}
	return nil
}

// Lift ends a suppression and forgets the earlier ones; false: there was none.
func (b *Box) Lift(ctx context.Context, address string) (bool, error) {
	address = b.addressKey(address)
	var n int64
	err := b.write(ctx, func(tx *store.Tx) error {
		var err error
		n, err = tx.Exec(`DELETE FROM outbox_suppressions WHERE address = ?`, address)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("lift the suppression of %s: %w", address, err)
	}
	return n > 0, nil
}

// Suppressions lists those that hold now, by address.
func (b *Box) Suppressions(ctx context.Context) ([]Suppression, error) {
	out, err := store.List(ctx, b.Store, func(r store.Row) (x Suppression, err error) {
		var until, created, manual int64
		err = r.Scan(&x.Address, &until, &created, &manual, &x.Reason, &x.Times)
		x.Until, x.Since, x.Manual = store.FromTime(until), store.FromTime(created), manual != 0
		return x, err
	}, `SELECT address, until, created, manual, reason, times FROM outbox_suppressions WHERE until > ? ORDER BY address`, store.Time(b.Now()))
	if err != nil {
		return nil, fmt.Errorf("list suppressions: %w", err)
	}
	return out, nil
}

// defaultCap is how many reports one organisation gets on a UTC day (RPT-12).
const defaultCap = 1000

// Organization is who stands behind a host name: the registrable domain, and
// where there is none the name itself.
func Organization(host string) string {
	if org, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return org
	}
	return host
}

// organization is who stands behind a report address: that of the mail domain or
// of the https host. "" for what is no such address.
func (b *Box) organization(uri string) string {
	a, err := b.Address(uri)
	host := ""
	switch {
	case err != nil:
	case a.Mail != "":
		host = a.Mail[strings.LastIndexByte(a.Mail, '@')+1:]
	case a.HTTPS != "":
		if p, err := url.Parse(a.HTTPS); err == nil {
			host = p.Hostname()
		}
	}
	return Organization(strings.ToLower(strings.TrimSuffix(host, ".")))
}

// capped counts the parcels of m that are within the daily cap of their
// organisations, and says what the unit comes to with these. Some domain owner has
// named these addresses: without a bound, anybody could have us flood a third party.
func (b *Box) capped(tx *store.Tx, m *Made) (s State, note string, err error) {
	out := Made{Draft: Draft{State: m.State, Note: m.Note}}
	for _, p := range m.parcels {
		org := b.organization(p.uri)
		n, err := tx.Exec(`INSERT INTO outbox_caps (day, organization, reports) VALUES (?, ?, 1)
			ON CONFLICT (day, organization) DO UPDATE SET reports = outbox_caps.reports + 1 WHERE outbox_caps.reports < ?`, dayOf(b.Now()), org, cmp.Or(b.Cap, defaultCap))
		switch {
		case err != nil:
			return "", "", err
		case n > 0:
			out.within = append(out.within, p)
		default:
			out.note(p.uri + ": the daily cap of reports to " + org + " is reached")
		}
	}
	if m.within = out.within; m.State == Reported && len(m.within) == 0 {
		out.State = Skipped
	}
	return out.State, out.Note, nil
}
