package server

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/holds"
	"waxwing/internal/home"
	"waxwing/internal/mailboxes"
	"waxwing/internal/panics"
	"waxwing/internal/posture"
	"waxwing/internal/queue"
	"waxwing/internal/removal"
	"waxwing/internal/routes"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/suppression"
	"waxwing/internal/verify"
	"waxwing/internal/zones"
)

// Rooms that keep a table each, and need little else.

func (b *builder) accounts(db *store.Store) *accounts.Store {
	return &accounts.Store{DB: db, Now: b.Now}
}

func (b *builder) home(users *accounts.Store, keys *signing.Service) *home.Home {
	return &home.Home{Host: b.cfg.Hostname, Accounts: users, Keys: keys, Addrs: b.cfg.OwnAddrs(net.InterfaceAddrs),
		Reports: b.cfg.ReportsTo, Guest: b.cfg.Companion.On() && !b.cfg.ServesMail()}
}

func (b *builder) mailboxes(db *store.Store) *mailboxes.Store {
	m := b.cfg.Mail
	boxes := &mailboxes.Store{DB: db, Now: b.Now, Quota: Quota(m)}
	b.run("news of mailboxes", guard.Watcher, boxes.Run)
	b.run("whether news of mailboxes are heard", guard.Watcher, func(ctx context.Context) error {
		return boxes.MindEars(ctx, func(err error) { b.Log.Error("news of mailboxes are not heard", "error", err) })
	})
	b.run("large mailboxes packed", guard.Watcher, func(ctx context.Context) error {
		return boxes.Pack(ctx, func(err error) { b.Log.Error("a large mailbox was not packed, and opens more slowly", "error", err) })
	})
	removed := &removal.Room{DB: db, Accounts: b.accounts(db), Boxes: boxes}
	b.everyHour("what was removed from mailboxes was not erased", func(ctx context.Context) error {
		before := b.Now().Add(-m.Undelete)
		return errors.Join(boxes.Forget(ctx, before), removed.Purge(ctx, before))
	})
	if m.ExpungeTrash > 0 {
		b.everyHour("old messages in Trash and Junk were not removed", func(ctx context.Context) error { return boxes.EmptyTrash(ctx, b.Now().Add(-m.ExpungeTrash)) })
	}
	return boxes
}

// Quota is what bounds accounts.
func Quota(m config.Mail) mailboxes.Quota {
	return mailboxes.Quota{Octets: int64(m.Quota), Messages: int64(m.QuotaMessages), Grace: m.OverQuotaGrace}
}

func (b *builder) routes(db *store.Store) *routes.Store { return &routes.Store{DB: db, Now: b.Now} }

func (b *builder) holds(db *store.Store) *holds.Store { return &holds.Store{DB: db, Now: b.Now} }

// Allowance makes the room of what accounts may send in a day, for commands.
func Allowance(cfg *config.Config, db *store.Store) *allowance.Store {
	return &allowance.Store{DB: db, Limit: allowance.Count{Messages: int64(cfg.Limits.MessagesPerDay), Recipients: int64(cfg.Limits.RecipientsPerDay)}}
}

func (b *builder) allowance(db *store.Store) *allowance.Store {
	a := Allowance(b.cfg, db)
	a.Now, a.Log, a.Refused = b.Now, b.area(config.LogAllowance), b.metrics.OverLimit
	b.run("daily limits", guard.Allowance, a.Run)
	return a
}

// signing makes the room of DKIM keys; a watcher looks for their records in DNS.
func (b *builder) signing(db *store.Store, resolver *dns.Client) *signing.Service {
	keys := &signing.Service{Store: db, Now: b.Now, Log: b.area(config.LogSigning)}
	w := &signing.Watcher{Keys: keys, DNS: resolver, Now: b.Now, Log: b.area(config.LogSigning)}
	b.run("DKIM keys", guard.Watcher, w.Run)
	u := b.cfg.DNS.Update
	asker := &zones.Asker{DNS: resolver, Guard: b.guard}
	r := &signing.Roller{Keys: keys, After: u.RollDKIM, Now: b.Now, Log: b.area(config.LogSigning),
		Servers: func(ctx context.Context, name dns.Name) ([][]string, time.Duration, error) {
			return textsOf(ctx, asker, name)
		},
		Managed: func(domain dns.Name) bool { return u.Publish && slices.ContainsFunc(u.Zones, domain.Under) }}
	b.run("roll-overs of DKIM keys", guard.Watcher, r.Run)
	return keys
}

// textsOf are the TXT records of a name as every server of its zone has them.
func textsOf(ctx context.Context, asker *zones.Asker, name dns.Name) (each [][]string, ttl time.Duration, err error) {
	view, err := asker.Ask(ctx, name, "TXT")
	if err == nil {
		err = view.Missing()
	}
	for _, r := range view {
		each = append(each, r.Values)
	}
	return each, view.TTL(), err
}

// suppression makes the room of addresses that get no more mail (QUE-7). What is over is
// ignored until it is swept.
func (b *builder) suppression(db *store.Store) *suppression.Store {
	d := b.cfg.Delivery
	s := &suppression.Store{DB: db, Codes: d.SuppressCodes, Expiry: d.SuppressFor, Now: b.Now}
	b.everyHour("suppressions that are over were not removed", func(ctx context.Context) error {
		_, err := s.Sweep(ctx)
		return err
	})
	return s
}

func (b *builder) posture(db *store.Store) *posture.Recorder {
	r := &posture.Recorder{Store: db, Now: b.Now, Log: b.area(config.LogPosture), Dropped: b.metrics.PostureDropped}
	b.run("posture", guard.Posture, r.Run)
	return r
}

func (b *builder) panics(db *store.Store) {
	b.everyHour("the store was not tidied", func(ctx context.Context) error { return panics.Sweep(ctx, db, b.Now()) })
}

// QueueArea is the generation that a command raises when it has put something
// into the queue, so that the running server looks.
const QueueArea = "queue"

// watcher makes sure once a second that the store is still the one that was opened, also
// while no mail comes, and wakes the queue when another process or machine has changed it.
func (b *builder) watcher(db *store.Store, q *queue.Queue) {
	b.run("change watcher", guard.Watcher, func(ctx context.Context) error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		var last int64
		var failed sync.Once
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			var g int64
			err := db.Check(ctx)
			if err == nil {
				g, err = db.Generation(ctx, QueueArea)
			}
			switch {
			case err == nil && g != last:
				last = g
				q.Wake()
			case err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrReplaced): // that is in the log already
				failed.Do(func() { b.Log.Error("changes of other processes are not seen", "error", err) })
			}
		}
	})
}

// putOff remembers senders whose mail is put off because a lookup failed.
func (b *builder) putOff(db *store.Store) *verify.PutOff {
	p := &verify.PutOff{DB: db, Now: b.Now}
	b.everyHour("senders that were put off long ago were not forgotten", p.Tidy)
	return p
}
