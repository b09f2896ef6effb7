// Package dnspublish keeps the records of this host and its hosted domains in DNS
// (CRT-5): it compares what should stand there with what the zones' own servers show, has
// package publication decide, writes by RFC 2136 or a program of the operator's, and
// remembers what it made. Commands do the same once.
package dnspublish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"waxwing/dns"
	"waxwing/internal/dnsplan"
	"waxwing/internal/dnsupdate"
	"waxwing/internal/foreign"
	"waxwing/internal/publication"
	"waxwing/internal/store"
	"waxwing/internal/zones"
)

// Service publishes records. Run is its service; what it remembers stands in the store,
// so that it and commands, and several machines, take turns. Its fields are needed unless
// they say otherwise, and must not change once it is used.
type Service struct {
	DB      *store.Store
	Host    dns.Name
	Zones   []dns.Name // that may be written to
	Updater dnsupdate.Updater
	Asker   *zones.Asker
	DNS     dns.Resolver // that validates: says which zones are signed
	// Plan says what should stand in DNS for the host and all its domains.
	Plan func(ctx context.Context) (dnsplan.Plan, error)
	// Served is nil if strangers fetch the MTA-STS policy of a domain as it stands here.
	Served func(ctx context.Context, domain dns.Name) error
	// Areas are the generations of the store with which the plan changes.
	Areas   []string
	Tell    func(ctx context.Context, n Notice) error
	Metrics Metrics
	Now     func() time.Time
	Log     *slog.Logger
}

// Metrics are told how the publishing stands; *metrics.Metrics is.
type Metrics interface {
	DNSPublished(at time.Time)
	DNSSets(class string, n int)
}

func (s *Service) host() string { return s.Host.ASCII() }

const (
	// perUpdate bounds the sets of one update.
	perUpdate = 50
	// passTime bounds one look and what it leads to; shorter than lease.
	passTime = 10 * time.Minute
	// maxText bounds what is kept of others' words.
	maxText = 1000
)

// ErrBusy: the server or another command publishes just now.
var ErrBusy = errors.New("records are being published just now: try again in a minute")

// Do looks, and carries out what is due unless it is a dry run. Items have what became of
// each set; the error is that nothing could be looked at or remembered.
func (s *Service) Do(ctx context.Context, o Order) ([]*Item, error) {
	ctx, cancel := context.WithTimeout(ctx, passTime)
	defer cancel()
	if o.DryRun {
		return s.look(ctx, o)
	}
	until, err := s.claim(ctx)
	if err != nil {
		return nil, err
	}
	if until.IsZero() {
		return nil, ErrBusy
	}
	items, err := s.pass(ctx, o)
	return items, errors.Join(err, s.giveBack(ctx, until))
}

// Await looks again at what a pass has written, until every server shows it or most is over.
func (s *Service) Await(ctx context.Context, items []*Item, most time.Duration) (after []*Item, err error) {
	o := Order{DryRun: true}
	for _, i := range items {
		if i.Done {
			o.only = append(o.only, i.Key)
		}
	}
	if o.only == nil {
		return nil, nil
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		after, err = s.look(ctx, o)
		if err != nil || !slices.ContainsFunc(after, func(i *Item) bool { return !shown(i) }) {
			return after, err
		}
		pause := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
			pause.Stop()
			return after, ctx.Err()
		case <-timer.C:
			pause.Stop()
			return after, nil
		case <-pause.C:
		}
	}
}

// pass looks and acts. The publishing is ours for as long.
func (s *Service) pass(ctx context.Context, o Order) ([]*Item, error) {
	items, err := s.look(ctx, o)
	if err != nil {
		return nil, err
	}
	var noted []*Item // what is to be remembered though nothing is done
	for _, i := range items {
		if i.Action == publication.None && !sameMade(i.prev, i.Made) {
			noted = append(noted, i)
		}
	}
	if _, err := s.note(ctx, noted); err != nil {
		return nil, err
	}
	for _, batch := range batches(items) {
		if err := s.carryOut(ctx, batch); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// note remembers what the items say is ours, and returns those of which that holds: what
// another machine has got hold of since it was looked at is left to it.
func (s *Service) note(ctx context.Context, items []*Item) (ours []*Item, err error) {
	var notes []owned
	for _, i := range items {
		notes = append(notes, i.owned(i.Made))
	}
	lost, err := s.remember(ctx, notes)
	for _, i := range items {
		if slices.Contains(lost, i.Key) {
			i.lost()
		} else {
			ours = append(ours, i)
		}
	}
	return ours, err
}

// sameMade says whether nothing is to be stored.
func sameMade(a, b *publication.Made) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Host == b.Host && a.Released == b.Released && a.Pending == b.Pending && slices.Equal(a.Before, b.Before) && a.Written.Equal(b.Written) &&
		slices.EqualFunc(a.Values, b.Values, func(x, y publication.Value) bool { return x.Text == y.Text && x.Unwanted.Equal(y.Unwanted) })
}

// batches are the sets that are to be written, in order: those that follow each other and
// are of one zone together.
func batches(items []*Item) (all [][]*Item) {
	for _, i := range items {
		if i.Action == publication.None {
			continue
		}
		n := len(all) - 1
		if n < 0 || all[n][0].Zone != i.Zone || len(all[n]) == perUpdate {
			all = append(all, nil)
			n++
		}
		all[n] = append(all[n], i)
	}
	return all
}

// carryOut writes sets of one zone: all at once, and one by one where one of them has
// changed since it was seen. The error is of the store.
func (s *Service) carryOut(ctx context.Context, batch []*Item) error {
	refused, err := s.write(ctx, batch)
	if err != nil || len(batch) == 1 || !errors.Is(refused, dnsupdate.ErrChanged) {
		return err
	}
	for _, i := range batch {
		if i.Action == publication.None { // lost to another machine
			continue
		}
		if _, err := s.write(ctx, []*Item{i}); err != nil {
			return err
		}
	}
	return nil
}

// write writes sets of one zone, all or none. That they are ours is noted before, so that
// a crash leaves no set of which nobody knows who made it; where the server has refused,
// the note is taken back, and where nobody knows, it says so. refused is why nothing was
// written; err is of the store.
func (s *Service) write(ctx context.Context, batch []*Item) (refused, err error) {
	if batch, err = s.note(ctx, batch); err != nil || len(batch) == 0 {
		return nil, err
	}
	var back, unsure []owned
	var changes []dnsupdate.Change
	for _, i := range batch {
		i.Detail = ""
		made := *i.Made
		made.Written = time.Time{}
		back, unsure = append(back, i.owned(i.prev)), append(unsure, i.owned(&made))
		changes = append(changes, dnsupdate.Change{Zone: i.Zone, Name: i.Name, Type: i.Type, TTL: i.TTL, Was: i.Was, Raw: i.raw, Values: i.Values})
	}
	refused = s.Updater.Update(ctx, changes)
	if refused == nil {
		for _, i := range batch {
			i.Done = true
			s.Log.Info("records were written into DNS", "name", i.Name.ASCII(), "type", i.Type, "action", string(i.Action), "zone", i.Zone.ASCII())
		}
		return nil, nil
	}
	why := foreign.Text(oneLine(refused), maxText)
	for _, i := range batch {
		i.Detail = why
	}
	if errors.Is(refused, dnsupdate.ErrRefused) {
		unsure = back
	}
	_, err = s.remember(context.WithoutCancel(ctx), unsure) // what was taken over meanwhile is not taken back
	return refused, err
}

// Release leaves a set that Waxwing made or would make to others from now on. What stands
// there stays.
func (s *Service) Release(ctx context.Context, k publication.Key) error {
	subjects, _, err := s.subjects(ctx, Order{})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(subjects, func(x subject) bool { return x.Key == k })
	if i < 0 {
		return fmt.Errorf("%s: none of the records that Waxwing publishes; \"waxwing dns published\" lists those that it made", k)
	}
	x := subjects[i]
	made := &publication.Made{Host: s.host(), Released: true, Written: s.Now()}
	from := ""
	if x.made != nil {
		made.Values, from = x.made.Values, x.made.Host
	}
	lost, err := s.remember(ctx, []owned{{Key: k, scope: x.scope, purpose: x.purpose, made: made, from: from}})
	if err == nil && len(lost) > 0 {
		err = fmt.Errorf("%s: another machine has just published it: try again", k)
	}
	return err
}
