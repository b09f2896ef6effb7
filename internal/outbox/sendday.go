package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/store"
)

// SendOptions say what SendDay does. The zero value reports yesterday.
type SendOptions struct {
	Day     time.Time // any moment of the UTC day; zero: yesterday
	Domain  string    // only the units of this name; "": all
	DryRun  bool      // only show what would be sent
	Partial bool      // allow a day that is not over: its units stay for the real run
}

// run is what SendDay did.
type run struct {
	day     string
	partial bool
	made    []*Made // in the order of the run
}

// ErrUnfinished: the day is not over.
var ErrUnfinished = errors.New("the day is not over (UTC): its report goes out after midnight; use --partial to send what there is so far")

func (b *Box) sendDay(ctx context.Context, o SendOptions) (run, error) {
	now := b.Now()
	if o.Day.IsZero() {
		o.Day = now.Add(-24 * time.Hour)
		if o.Partial {
			o.Day = now
		}
	}
	day := dayOf(o.Day)
	run := run{day: date(day), partial: day == dayOf(now)}
	switch {
	case day > dayOf(now):
		return run, errors.New("that day has not begun")
	case run.partial && !o.Partial:
		return run, ErrUnfinished
	case b.Off && !o.DryRun:
		return run, fmt.Errorf("sending %ss is switched off (%s)", b.Name, b.Setting)
	case o.DryRun || run.partial:
		err := b.trial(ctx, day, o, &run)
		return run, err
	}
	if err := b.plan(ctx, day, now, false); err != nil {
		return run, fmt.Errorf("plan the %ss of %s: %w", b.Name, run.day, err)
	}
	for had := map[Key]bool{}; ; {
		u, err := b.claim(ctx, func(k Key) bool { return !had[k] },
			`u.day = ? AND (? = '' OR u.name = ?) AND `+b.claimable()+` ORDER BY u.kind, u.due, u.name`, day, o.Domain, o.Domain)
		if u == nil || err != nil {
			return run, err
		}
		m, err := b.work(ctx, u)
		if errors.Is(err, ErrLost) {
			continue
		}
		if err != nil {
			return run, err
		}
		had[u.Key] = true
		run.made = append(run.made, m)
	}
}

// trial makes reports without settling anything: shown only, or for a day that
// is not over sent as partial ones.
func (b *Box) trial(ctx context.Context, day int64, o SendOptions, run *run) error {
	var keys []Key
	err := b.Store.Read(ctx, func(tx *store.Tx) (err error) {
		keys, err = b.Maker.Units(tx, day)
		return err
	})
	if err != nil {
		return fmt.Errorf("read what there is to report: %w", err)
	}
	keys = slices.DeleteFunc(keys, func(k Key) bool { return o.Domain != "" && k.Name != o.Domain })
	reported := map[Key]string{}
	for _, k := range keys {
		m, err := b.prepare(ctx, &Unit{Key: k, Partial: run.partial, Trial: reported})
		if err != nil {
			return err
		}
		if m.State == Reported {
			reported[k] = strings.Join(m.RUA, "\n")
			if !o.DryRun {
				err = b.send(ctx, m, func(*store.Tx, State, string) error { return nil })
			}
		}
		if err != nil {
			return fmt.Errorf("send the report about %s: %w", k.Name, err)
		}
		run.made = append(run.made, m)
	}
	return nil
}
