package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/store"
)

// post is one report on its way to one https address, under a lease.
type post struct {
	id, claim int64
	tries     int // this one included
	expires   time.Time
	uri       string
	body      []byte
}

// nextPost makes one due post. It returns false when none is due.
func (b *Box) nextPost(ctx context.Context) (bool, error) {
	p, err := b.claimPost(ctx)
	if p == nil || err != nil {
		return false, err
	}
	_, err = b.contain(ctx, b.Area, fmt.Sprint(p.id), func(tx *store.Tx) error { return p.giveUp(tx, b.Now()) }, func() error {
		a := b.post(ctx, cmp.Or(b.To, p.uri), p.body)
		if ctx.Err() != nil {
			return nil // stopped, not failed: it comes back when the lease ends
		}
		return b.posted(ctx, p, a)
	})
	return true, err
}

// giveUp ends a post that cannot be made; its address is not to blame.
func (p *post) giveUp(tx *store.Tx, now time.Time) error {
	err := p.ours(tx, now)
	if err == nil {
		_, err = end(tx, p.id, "failed", noteInternal, now)
	}
	return err
}

// posted settles a try.
func (b *Box) posted(ctx context.Context, p *post, a answer) error {
	err := b.write(ctx, func(tx *store.Tx) error { return b.settlePost(tx, p, a) })
	if err != nil && !errors.Is(err, ErrLost) {
		return fmt.Errorf("settle the %s to %s: %w", b.Name, p.uri, err)
	}
	b.Log.Info(b.Name+" posted", "uri", p.uri, "state", a.state, "try", p.tries, "text", a.note)
	return nil
}

// waiting are the posts of this sort that wait, as a condition of SQL.
func (b *Box) waiting() string {
	return `state = 'waiting' AND report IN (SELECT id FROM outbox_reports WHERE kind IN ` + b.kinds() + `)`
}

// claimPost takes one due post for a while; nil: none is due.
func (b *Box) claimPost(ctx context.Context) (p *post, err error) {
	now := b.Now()
	err = b.write(ctx, func(tx *store.Tx) error {
		p = &post{}
		var expires int64
		err := tx.Row(`UPDATE outbox_deliveries SET claim = claim + 1, due = ? WHERE id = (
				SELECT id FROM outbox_deliveries WHERE due <= ? AND `+b.waiting()+` ORDER BY due, id LIMIT 1`+tx.Lock()+`)
			RETURNING id, claim, tries + 1, expires, uri, (SELECT body FROM outbox_reports AS r WHERE r.id = outbox_deliveries.report)`,
			store.Time(now.Add(lease)), store.Time(now)).Scan(&p.id, &p.claim, &p.tries, &expires, &p.uri, &p.body)
		p.expires = store.FromTime(expires)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("claim a %s to post: %w", b.Name, err)
	}
	return p, nil
}

// ours is ErrLost where another machine has the delivery.
func (p *post) ours(tx *store.Tx, now time.Time) error {
	n, err := tx.Exec(`UPDATE outbox_deliveries SET changed = ? WHERE id = ? AND claim = ? AND state = 'waiting'`, store.Time(now), p.id, p.claim)
	if err == nil && n != 1 {
		err = ErrLost
	}
	return err
}

// settlePost notes the result of a try, if the delivery is still ours.
func (b *Box) settlePost(tx *store.Tx, p *post, a answer) error {
	now := b.Now()
	if err := p.ours(tx, now); err != nil {
		return err
	}
	next := a.next(p.tries, now)
	switch {
	case a.state == "accepted":
		return b.finishPost(tx, p.id, accepted, a.note, now)
	case a.state == "failed":
		return b.finishPost(tx, p.id, refused, a.note, now)
	case next.After(p.expires):
		return b.finishPost(tx, p.id, exhausted, a.note+"; given up after 24 hours", now)
	}
	if err := record(tx, p.id, now, a.note); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE outbox_deliveries SET due = ?, tries = tries + 1, note = ? WHERE id = ?`, store.Time(next), Clip(a.note), p.id)
	return err
}

// finishPost ends one post. Nothing is remembered of the operator's own address (Box.To).
func (b *Box) finishPost(tx *store.Tx, id int64, r result, note string, now time.Time) error {
	if b.To != "" {
		_, err := end(tx, id, r.state(), note, now)
		return err
	}
	return b.finish(tx, id, r, note, now)
}

// postDue is when a post may be due.
func (b *Box) postDue(ctx context.Context) (time.Time, error) {
	return b.sooner(ctx, b.Now().Add(longest), `SELECT due FROM outbox_deliveries WHERE `+b.waiting()+` ORDER BY due LIMIT 1`)
}
