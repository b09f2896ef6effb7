package dnspublish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/guard"
	"waxwing/internal/publication"
	"waxwing/internal/zones"
)

// Item is a record set with what is to be done about it, or was done.
type Item struct {
	publication.Step
	Scope   dns.Name // the hosted domain that it is for; zero: the host
	Purpose dnsrecords.Purpose
	Wanted  []string
	Detail  string // what kept it from being seen or written; "": nothing
	Done    bool   // the action was carried out

	raw  []string // Was, as the servers have it
	prev *publication.Made
}

func (i *Item) owned(made *publication.Made) owned {
	o := owned{Key: i.Key, scope: i.Scope, purpose: i.Purpose, made: made}
	if i.prev != nil {
		o.from = i.prev.Host
	}
	return o
}

// failure is why what is due of a set was not done, or is not known to be due: nobody
// answers; "": neither.
func (i *Item) failure() string {
	if i.Action != publication.None && !i.Done || i.Word == publication.Unseen {
		return fmt.Sprintf("%s: %s", i.Key, i.Detail)
	}
	return ""
}

// lost is what becomes of a set that another machine has made or taken over since it was
// looked at: it is that one's.
func (i *Item) lost() {
	i.Action, i.Word, i.Values, i.Until, i.Made = publication.None, publication.OtherMachine, i.Was, time.Time{}, i.prev
}

// Order is what is asked for.
type Order struct {
	Domain   dns.Name          // only what is for this one or the host; zero: all
	TakeOver []publication.Key // sets that are to be ours
	DryRun   bool

	only []publication.Key // nil: all
}

// asking is how many sets are looked at at a time.
const asking = 8

// subject is a set that is looked at.
type subject struct {
	want
	wanted bool
	made   *publication.Made
	shared bool // other machines of this host have records there too
}

// look says what is to be done now. It changes nothing.
func (s *Service) look(ctx context.Context, o Order) ([]*Item, error) {
	subjects, gone, err := s.subjects(ctx, o)
	if err != nil {
		return nil, err
	}
	items := make([]*Item, len(subjects))
	errs := make([]error, len(subjects))
	m := &memory{dns: s.DNS, signed: map[dns.Name]bool{}, down: map[dns.Name]error{}}
	places := make(chan struct{}, asking)
	var group guard.Group
	for i, x := range subjects {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			items[i], errs[i] = s.item(ctx, x, o, gone[x.Key], m)
		})
	}
	group.Wait()
	if err := cmp.Or(ctx.Err(), errors.Join(errs...)); err != nil {
		return nil, err
	}
	return items, nil
}

// subjects are all sets that are wanted, in the order of publishing, and then those of ours
// that are not, in the opposite order.
func (s *Service) subjects(ctx context.Context, o Order) (all []subject, gone map[publication.Key][]string, err error) {
	plan, err := s.Plan(ctx)
	if err != nil {
		return nil, nil, err
	}
	wanted, err := wants(plan)
	if err != nil {
		return nil, nil, err
	}
	mine, err := s.owned(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range wanted {
		x := subject{want: w, wanted: true}
		if i := slices.IndexFunc(mine, func(m owned) bool { return m.Key == w.Key }); i >= 0 {
			x.made = mine[i].made
		}
		all = append(all, x)
	}
	slices.SortStableFunc(mine, func(a, b owned) int { return b.purpose.Rank() - a.purpose.Rank() })
	for _, m := range mine {
		if !slices.ContainsFunc(wanted, func(w want) bool { return w.Key == m.Key }) && m.made.Host == s.host() {
			all = append(all, subject{want: want{Key: m.Key, scope: m.scope, purpose: m.purpose}, made: m.made})
		}
	}
	for i := range all {
		all[i].shared = plan.Shared && all[i].purpose == dnsrecords.Address
	}
	if o.only != nil {
		all = slices.DeleteFunc(all, func(x subject) bool { return !slices.Contains(o.only, x.Key) })
	}
	if !o.Domain.IsZero() {
		all = slices.DeleteFunc(all, func(x subject) bool { return !x.scope.IsZero() && x.scope != o.Domain })
	}
	if err := takenFrom(all, o); err != nil {
		return nil, nil, err
	}
	gone = map[publication.Key][]string{}
	for _, r := range plan.Gone {
		value, err := zones.Canonical(r.Type, r.Value)
		if err != nil {
			return nil, nil, err
		}
		k := publication.Key{Name: r.Name, Type: r.Type}
		gone[k] = append(gone[k], value)
	}
	return all, gone, nil
}

// takenFrom is nil if all that is to be taken over is wanted, and among what is asked for.
func takenFrom(all []subject, o Order) error {
	of := ""
	if !o.Domain.IsZero() {
		of = fmt.Sprintf(" for %s and this host", o.Domain)
	}
	for _, k := range o.TakeOver {
		if !slices.ContainsFunc(all, func(x subject) bool { return x.wanted && x.Key == k }) {
			return fmt.Errorf("%s: none of the records that Waxwing publishes%s, so that it is not taken over; \"waxwing dns records\" lists those", k, of)
		}
	}
	return nil
}

// item looks at one set and decides.
func (s *Service) item(ctx context.Context, x subject, o Order, gone []string, m *memory) (*Item, error) {
	item := &Item{Scope: x.scope, Purpose: x.purpose, Wanted: x.set.Values, prev: x.made}
	f := publication.Facts{Key: x.Key, Host: s.host(), Gone: gone, Stay: stay(x.purpose), Made: x.made, TakeOver: slices.Contains(o.TakeOver, x.Key), Shared: x.shared}
	if x.wanted {
		f.Wanted = &x.set
	}
	zone := s.zoneOf(x.Name)
	if zone.IsZero() {
		item.Step = publication.Decide(f, s.Now())
		return item, nil
	}
	err := m.isDown(zone)
	if err == nil {
		f.Zone, f.Seen, item.raw, err = s.seen(ctx, x.Key, m)
	}
	if err != nil {
		f.Zone, f.Seen.Unseen, item.Detail = zone, true, oneLine(err)
		m.setDown(zone, err)
	}
	f.Writable = slices.Contains(s.Zones, f.Zone)
	if x.wanted && x.purpose == dnsrecords.STS && !f.Seen.Unseen {
		if err := s.served(ctx, x, f.Seen.Values); err != nil {
			x.set.Await, item.Detail = publication.AwaitPolicy, err.Error()
		}
	}
	item.Step = publication.Decide(f, s.Now())
	return item, ctx.Err()
}

// zoneOf is the zone of ours that a name should be in; zero: none.
func (s *Service) zoneOf(name dns.Name) (zone dns.Name) {
	for _, z := range s.Zones {
		if name.Under(z) && (zone.IsZero() || z.Under(zone)) {
			zone = z
		}
	}
	return zone
}

// served is nil if the policy that a record announces is what strangers fetch (CRT-3):
// first the policy, then its id. What is announced already is not looked at.
func (s *Service) served(ctx context.Context, x subject, seen []string) error {
	if slices.Equal(seen, x.set.Values) {
		return nil
	}
	return s.Served(ctx, x.scope)
}

// seen is what the zone's own servers show of a set. The error is that none answers.
func (s *Service) seen(ctx context.Context, k publication.Key, m *memory) (zone dns.Name, out publication.Seen, raw []string, err error) {
	zone, view, err := s.Asker.At(ctx, k.Name, k.Type)
	if err != nil {
		return zone, out, nil, err
	}
	out, raw, err = read(view, k)
	if err != nil {
		return zone, out, nil, err
	}
	if k.Type == "CNAME" && len(out.Values) == 0 {
		for _, other := range []string{"A", "AAAA", "TXT", "MX"} {
			_, view, err := s.Asker.At(ctx, k.Name, other)
			if err != nil {
				return zone, out, nil, err
			}
			out.Other = out.Other || slices.ContainsFunc(view, func(r zones.Reply) bool { return len(r.Values) > 0 })
		}
	}
	out.Signed, err = m.isSigned(ctx, zone)
	return zone, out, raw, err
}

// read takes together what several servers show (pure). The error is that none answers.
func read(view zones.View, k publication.Key) (out publication.Seen, raw []string, err error) {
	first := true
	for _, r := range view {
		if r.Err != nil {
			continue
		}
		values := make([]string, len(r.Values))
		for i, v := range r.Values {
			if values[i], err = zones.Canonical(k.Type, v); err != nil {
				return out, nil, err
			}
		}
		out.Alias = out.Alias || !r.Alias.IsZero() && k.Type != "CNAME"
		out.TTL = max(out.TTL, r.TTL)
		if !first {
			out.Differ = out.Differ || !slices.Equal(slices.Sorted(slices.Values(values)), slices.Sorted(slices.Values(out.Values)))
			continue
		}
		first, out.Values, raw = false, values, r.Raw
	}
	if first {
		return out, nil, cmp.Or(view.Missing(), errors.New("no server of the zone answers"))
	}
	return out, raw, nil
}

// memory is what is known of zones during one look.
type memory struct {
	dns dns.Resolver

	mu     sync.Mutex
	signed map[dns.Name]bool
	down   map[dns.Name]error // none of their servers answered: they are not asked again
}

// isSigned says whether a validating resolver vouches for a zone.
func (m *memory) isSigned(ctx context.Context, zone dns.Name) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if yes, known := m.signed[zone]; known {
		return yes, nil
	}
	a, err := m.dns.LookupNS(ctx, zone)
	if err != nil {
		return false, fmt.Errorf("whether %s is signed: %w", zone, err)
	}
	m.signed[zone] = a.Security == dns.Secure
	return m.signed[zone], nil
}

func (m *memory) isDown(zone dns.Name) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.down[zone]
}

func (m *memory) setDown(zone dns.Name, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down[zone] = err
}

// oneLine is an error in one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
