package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/store"
)

// State is what became of a unit.
type State string

// The states of a unit.
const (
	Open     State = "open"
	Reported State = "reported"
	None     State = "none"    // there is no record
	Invalid  State = "invalid" // the record names nobody who could be sent to
	Expired  State = "expired" // the record could not be looked up for too long
	Skipped  State = "skipped" // nothing that is to be reported, or nobody takes it
	Failed   State = "failed"  // over it this server panics
)

// Key names a unit: what there is to report on a name on a UTC day, in days
// since 1970.
type Key struct {
	Day  int64
	Kind Kind
	Name string
}

// Date is the unit's day.
func (k Key) Date() string { return date(k.Day) }

// Unit is one report to be made, under a lease.
type Unit struct {
	Key
	Tries int // this one included
	// Partial: the day is not over, and this is a report of what there is so far.
	Partial bool
	// Trial is, in a run that settles nothing, what the store knows in a real one:
	// to whom the earlier units of the run are reported, as in the column rua; nil
	// in a real run.
	Trial map[Key]string
	run   string // of which run of reports it is, in the log (DMR-5)
	claim int64
}

func dayOf(t time.Time) int64     { return t.UTC().Truncate(24*time.Hour).Unix() / 86400 }
func startOf(day int64) time.Time { return time.Unix(day*86400, 0).UTC() }
func date(day int64) string       { return startOf(day).Format(time.DateOnly) }

// begin is when the reports of a day may start: 4 to 6 minutes after its end,
// another moment for each host and day (RPT-5).
func begin(day int64, host dns.Name) time.Time {
	h := fnv.New64a()
	h.Write([]byte(host.ASCII()))
	h.Write([]byte{byte(day), byte(day >> 8), byte(day >> 16)})
	jitter := time.Duration(h.Sum64() % uint64(2*time.Minute))
	return startOf(day + 1).Add(4*time.Minute + jitter)
}

// spread is the pause between two of n reports: evenly over at most 4 hours,
// at most 5 minutes apart (RPT-5).
func spread(n int) time.Duration {
	if n <= 1 {
		return 0
	}
	return min(5*time.Minute, 4*time.Hour/time.Duration(n))
}

// planDays makes the units of every finished day that has none yet: yesterday
// once its time has come, and older days that were missed (RPT-5).
func (b *Box) planDays(ctx context.Context) error {
	now := b.Now()
	today := dayOf(now)
	for d := today - int64(catchUp/(24*time.Hour)); d < today; d++ {
		// A finished day does not grow: this process need not plan it again.
		if _, known := b.planned.Load(d); known || now.Before(begin(d, b.Hostname)) {
			continue
		}
		// Yesterday is planned once by every machine, even if it has units: a run by
		// hand right at midnight may have missed what was settled in that moment.
		if err := b.plan(ctx, d, now, d < today-1); err != nil {
			return fmt.Errorf("plan the %ss of %s: %w", b.Name, date(d), err)
		}
		b.planned.Store(d, true)
	}
	return b.planEnded(ctx, today)
}

// planEnded makes the units of parts of today that are over.
func (b *Box) planEnded(ctx context.Context, today int64) error {
	m, ok := b.Maker.(Parted)
	if !ok {
		return nil
	}
	var keys []Key
	err := b.Store.Read(ctx, func(tx *store.Tx) (err error) {
		keys, err = m.Ended(tx, today, b.Now())
		return err
	})
	keys = slices.DeleteFunc(keys, func(k Key) bool {
		_, known := b.planned.Load(k)
		return known
	})
	if err == nil && len(keys) > 0 {
		err = b.write(ctx, func(tx *store.Tx) error {
			_, err := addUnits(tx, keys, b.Now())
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("plan the %ss of parts of today: %w", b.Name, err)
	}
	for _, k := range keys {
		b.planned.Store(k, true)
	}
	return nil
}

// addUnits makes units, as far as they are not there: the first due at start, the others spread.
func addUnits(tx *store.Tx, keys []Key, start time.Time) (added int, err error) {
	for i, k := range keys {
		n, err := tx.Exec(`INSERT INTO outbox_units (day, kind, name, state, due, tries, claim, rua, note)
			VALUES (?, ?, ?, ?, ?, 0, 0, '', '') ON CONFLICT (day, kind, name) DO NOTHING`,
			k.Day, int(k.Kind), k.Name, string(Open), store.Time(start.Add(time.Duration(i)*spread(len(keys)))))
		if err != nil {
			return added, err
		}
		added += int(n)
	}
	return added, nil
}

// plan makes the units of a day, as far as they are not there: the first due at
// start, the others spread. With whole, a day that has any has them all.
func (b *Box) plan(ctx context.Context, day int64, start time.Time, whole bool) error {
	planned := 0
	err := b.write(ctx, func(tx *store.Tx) error {
		planned = 0
		var there bool
		// Those of parts are there before the day is over.
		parts := cmp.Or(b.PartKind, -1)
		err := tx.Row(`SELECT EXISTS (SELECT 1 FROM outbox_units WHERE day = ? AND kind <> ? AND kind IN `+b.kinds()+`)`, day, int(parts)).Scan(&there)
		if err != nil || there && whole {
			return err
		}
		keys, err := b.Maker.Units(tx, day)
		if err != nil {
			return err
		}
		planned, err = addUnits(tx, keys, start)
		return err
	})
	if err == nil && planned > 0 {
		b.Log.Info("run of "+b.Name+"s begins", "run", b.runOf(day), "day", date(day), "units", planned)
	}
	return err
}

// runOf names the run of a day's reports, alike on all machines (DMR-5).
func (b *Box) runOf(day int64) string { return b.Noun + "-" + date(day) }

// ended logs the end of a day's run where no unit of it is left open (DMR-5).
func (b *Box) ended(ctx context.Context, day int64) error {
	counts, open := map[string]int64{}, false
	err := b.Store.Read(ctx, func(tx *store.Tx) error {
		clear(counts)
		return tx.Each(func(r store.Row) error {
			var state string
			var n int64
			err := r.Scan(&state, &n)
			counts[state], open = n, open || State(state) == Open
			return err
		}, `SELECT state, count(*) FROM outbox_units WHERE day = ? AND kind IN `+b.kinds()+` GROUP BY state`, day)
	})
	if err == nil && !open {
		b.Log.Info("run of "+b.Name+"s ends", "run", b.runOf(day), "day", date(day), "counts", counts, "duration", b.Now().Sub(begin(day, b.Hostname)).Round(time.Second))
	}
	return err
}

// claimable is the condition on units that may be claimed.
func (b *Box) claimable() string {
	c := `u.state = 'open' AND u.kind IN ` + b.kinds()
	if b.Blocked != "" {
		c += ` AND NOT (` + b.Blocked + `)`
	}
	return c
}

// claimUnit takes one due unit for a while; nil: none is due.
func (b *Box) claimUnit(ctx context.Context) (*Unit, error) {
	now := store.Time(b.Now())
	return b.claim(ctx, func(Key) bool { return true }, `u.due <= ? AND `+b.claimable()+` ORDER BY u.due, u.kind, u.name LIMIT 1`, now)
}

// claim takes the first unit of those that where chooses which fits; nil: there is none.
func (b *Box) claim(ctx context.Context, fits func(Key) bool, where string, args ...any) (*Unit, error) {
	var got *Unit
	err := b.write(ctx, func(tx *store.Tx) error {
		got = nil
		all, err := store.Collect(tx, func(r store.Row) (u Unit, err error) {
			return u, r.Scan(&u.Day, &u.Kind, &u.Name, &u.Tries, &u.claim)
		}, `SELECT u.day, u.kind, u.name, u.tries, u.claim FROM outbox_units AS u WHERE `+where+tx.Lock(), args...)
		if err != nil {
			return err
		}
		for _, u := range all {
			if !fits(u.Key) {
				continue
			}
			err := u.change(tx, `claim = claim + 1, tries = tries + 1, due = ?`, store.Time(b.Now().Add(lease)))
			if errors.Is(err, ErrLost) {
				return nil
			}
			u.claim, u.Tries, u.run, got = u.claim+1, u.Tries+1, b.runOf(u.Day), &u
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim a %s: %w", b.Name, err)
	}
	return got, nil
}

// ErrLost: another machine has taken the work over; nothing of ours may count.
var ErrLost = errors.New("another machine has taken this report over")

// change changes a unit, if it is still ours.
func (u *Unit) change(tx *store.Tx, set string, args ...any) error {
	n, err := tx.Exec(`UPDATE outbox_units SET `+set+` WHERE day = ? AND kind = ? AND name = ? AND claim = ? AND state = 'open'`,
		append(args, u.Day, int(u.Kind), u.Name, u.claim)...)
	if err == nil && n != 1 {
		err = ErrLost
	}
	return err
}

// ReportedTo is where the report of another unit went; nothing where it has none.
func (u *Unit) ReportedTo(tx *store.Tx, k Key) ([]string, error) {
	rua := u.Trial[k]
	if u.Trial == nil {
		err := tx.Row(`SELECT rua FROM outbox_units WHERE day = ? AND kind = ? AND name = ? AND state = 'reported'`, k.Day, int(k.Kind), k.Name).Scan(&rua)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
	}
	return strings.Fields(rua), nil
}

// settle ends a unit.
func (u *Unit) settle(tx *store.Tx, s State, rua, note string) error {
	return u.change(tx, `state = ?, rua = ?, note = ?, due = 0`, string(s), rua, note)
}

// postpone gives a unit back, to be looked at again at due.
func (u *Unit) postpone(tx *store.Tx, due time.Time, note string) error {
	return u.change(tx, `due = ?, note = ?`, store.Time(due), note)
}

// unitDue is when a unit may be due, or a day is to be planned.
func (b *Box) unitDue(ctx context.Context) (time.Time, error) {
	now := b.Now()
	next := begin(dayOf(now), b.Hostname)
	if y := begin(dayOf(now)-1, b.Hostname); y.After(now) {
		next = y
	}
	return b.sooner(ctx, next, `SELECT u.due FROM outbox_units AS u WHERE `+b.claimable()+` ORDER BY u.due LIMIT 1`)
}

// sooner is next, or the time that a query finds where that is sooner.
func (b *Box) sooner(ctx context.Context, next time.Time, q string) (time.Time, error) {
	err := b.Store.Read(ctx, func(tx *store.Tx) error {
		var due int64
		err := tx.Row(q).Scan(&due)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if t := store.FromTime(due); err == nil && t.Before(next) {
			next = t
		}
		return err
	})
	if err != nil {
		return b.Now().Add(longest), fmt.Errorf("find the next %s: %w", b.Name, err)
	}
	return next, nil
}

// Prune forgets what is too old: units after a week, sent reports after Keep.
func (b *Box) Prune(ctx context.Context) error {
	now := b.Now()
	before, oldest := store.Time(now.Add(-cmp.Or(b.Keep, keepReport))), dayOf(now.Add(-catchUp))-1
	old := `(SELECT id FROM outbox_reports WHERE created < ? AND kind IN ` + b.kinds() + `)`
	return b.Store.Prune(ctx, b.Name+"s",
		store.Old{Query: `DELETE FROM outbox_units WHERE day < ?`, Before: oldest},
		store.Old{Query: `DELETE FROM outbox_caps WHERE day < ?`, Before: oldest},
		store.Old{Query: `DELETE FROM outbox_tries WHERE delivery IN (SELECT id FROM outbox_deliveries WHERE report IN ` + old + `)`, Before: before},
		store.Old{Query: `DELETE FROM outbox_deliveries WHERE report IN ` + old, Before: before},
		store.Old{Query: `DELETE FROM outbox_reports WHERE id IN ` + old, Before: before},
		store.Old{Query: `DELETE FROM outbox_suppressions WHERE (CASE WHEN until > created THEN until ELSE created END) < ?`, Before: store.Time(now.Add(-forgetful))})
}
