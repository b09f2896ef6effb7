// Package stspublish keeps the MTA-STS policies of hosted domains, which this
// server serves at their well-known address (RFC 8461 §3.3, STS-11). It refuses a
// policy that would keep mail from a host that the domain's MX records name.
package stspublish

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/store"
	"waxwing/mtasts"
)

// Area is the generation that every change raises.
const Area = "sts-published"

// ErrNone says that no policy of a domain is published here.
var ErrNone = errors.New("no MTA-STS policy of this domain is published here")

// Published is one domain's policy with its record.
type Published struct {
	Domain  dns.Name
	Policy  *mtasts.Policy
	Text    string // as served
	ID      string
	Changed time.Time
}

// Record is the TXT record to publish at _mta-sts.DOMAIN (RFC 8461 §3.1).
func (p Published) Record() string { return "v=STSv1; id=" + p.ID }

// Service keeps the policies. Methods are safe for concurrent use; what another
// process changes is seen within store.Lag.
type Service struct {
	Store *store.Store
	DNS   dns.Resolver     // to see what the domain's MX records name
	Now   func() time.Time // nil: time.Now

	known store.Cached[map[dns.Name]Published]
}

// Unsafe is a policy that would keep mail from hosts that MX records name.
type Unsafe struct {
	Domain dns.Name
	Hosts  []dns.Name // named by MX, not listed
	NoMX   bool       // the domain has no MX records, and is its own host
}

func (u *Unsafe) Error() string {
	if u.NoMX {
		return fmt.Sprintf("%s has no MX records, so that senders deliver to the host of that name (RFC 5321 §5.1), which the policy does not list: publish MX records first, or list %s itself",
			u.Domain, u.Domain)
	}
	names := make([]string, len(u.Hosts))
	for i, h := range u.Hosts {
		names[i] = h.ASCII()
	}
	return fmt.Sprintf("the MX records of %s name %s, which the policy does not list: senders would not deliver there; list them, or take them out of DNS first",
		u.Domain, strings.Join(names, ", "))
}

// Check compares a policy with what the domain's MX answer names (pure). A
// policy of mode none restricts nobody.
func Check(domain dns.Name, p *mtasts.Policy, mx []dns.MX) error {
	if p.Mode == mtasts.ModeNone {
		return nil
	}
	if len(p.MX) == 0 {
		return fmt.Errorf("a policy of mode %s lists at least one mx", p.Mode)
	}
	u := &Unsafe{Domain: domain}
	for _, r := range mx {
		if !r.Null && !r.Host.IsZero() && !p.Matches(r.Host) {
			u.Hosts = append(u.Hosts, r.Host)
		}
	}
	if len(mx) == 0 && !p.Matches(domain) { // RFC 5321 §5.1: the domain is its own host
		u.Hosts, u.NoMX = append(u.Hosts, domain), true
	}
	if len(u.Hosts) > 0 {
		return u
	}
	return nil
}

// nextID is the id after old: the date in 14 digits, or, where that would not be
// greater than old (two changes in one second, a clock set back), old with its
// last letter advanced.
func nextID(old string, now time.Time) string {
	id := now.UTC().Format("20060102150405")
	last := len(old) - 1
	switch {
	case id > old:
		return id
	case old[last] >= 'a' && old[last] < 'z':
		return old[:last] + string(old[last]+1)
	}
	return old + "a"
}

// Set publishes a policy. It looks the domain's MX records up and refuses what
// Check refuses; a lookup that fails refuses too, since nobody knows. A policy
// with the text that is published already changes nothing.
func (s *Service) Set(ctx context.Context, domain dns.Name, p *mtasts.Policy) (Published, error) {
	mx, err := s.DNS.LookupMX(ctx, domain)
	if err != nil {
		return Published{}, fmt.Errorf("whether the policy fits the MX records of %s cannot be seen: %w", domain, err)
	}
	if mx.NXDomain && p.Mode != mtasts.ModeNone {
		return Published{}, fmt.Errorf("%s does not exist in DNS: publish its MX records first", domain)
	}
	if err := Check(domain, p, mx.Records); err != nil {
		return Published{}, err
	}
	text := p.Text()
	if _, perr := mtasts.ParsePolicy([]byte(text)); perr != nil {
		return Published{}, perr
	}
	now := time.Now()
	if s.Now != nil {
		now = s.Now()
	}
	err = s.Store.Write(ctx, func(tx *store.Tx) error {
		var oldText, oldID string
		err := tx.Row(`SELECT policy, id FROM sts_published WHERE domain = ?`+tx.Wait(), domain.ASCII()).Scan(&oldText, &oldID)
		if err == nil && oldText == text || err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		_, err = tx.Exec(`INSERT INTO sts_published (domain, policy, id, changed) VALUES (?, ?, ?, ?)
			ON CONFLICT (domain) DO UPDATE SET policy = excluded.policy, id = excluded.id, changed = excluded.changed`,
			domain.ASCII(), text, nextID(oldID, now), store.Time(now))
		if err != nil {
			return err
		}
		return tx.Raise(Area)
	})
	if err != nil {
		return Published{}, fmt.Errorf("publish the policy of %s: %w", domain, err)
	}
	return s.Get(ctx, domain)
}

// Remove ends the serving of a domain's policy. The domain should have been at
// mode none for as long as its old max_age (RFC 8461 §8.3); that is the caller's
// to say.
func (s *Service) Remove(ctx context.Context, domain dns.Name) error {
	var n int64
	err := s.Store.Write(ctx, func(tx *store.Tx) (err error) {
		if n, err = tx.Exec(`DELETE FROM sts_published WHERE domain = ?`, domain.ASCII()); err != nil || n == 0 {
			return err
		}
		return tx.Raise(Area)
	})
	if err == nil && n == 0 {
		err = ErrNone
	}
	return err
}

// Get is a domain's policy; ErrNone.
func (s *Service) Get(ctx context.Context, domain dns.Name) (Published, error) {
	all, err := s.table(ctx)
	if err != nil {
		return Published{}, err
	}
	p, ok := all[domain]
	if !ok {
		return Published{}, ErrNone
	}
	return p, nil
}

// List is all policies, in no order.
func (s *Service) List(ctx context.Context) ([]Published, error) {
	all, err := s.table(ctx)
	out := make([]Published, 0, len(all))
	for _, p := range all {
		out = append(out, p)
	}
	return out, err
}

// table is all policies of the present generation.
func (s *Service) table(ctx context.Context) (map[dns.Name]Published, error) {
	known, err := s.known.Get(ctx, s.Store, Area, func(tx *store.Tx) (map[dns.Name]Published, error) {
		known := map[dns.Name]Published{}
		return known, tx.Each(func(r store.Row) error {
			p, err := scan(r)
			known[p.Domain] = p
			return err
		}, `SELECT domain, policy, id, changed FROM sts_published`)
	})
	if err != nil {
		return nil, fmt.Errorf("read the published MTA-STS policies: %w", err)
	}
	return known, nil
}

func scan(row store.Row) (Published, error) {
	var p Published
	var domain string
	var changed int64
	if err := row.Scan(&domain, &p.Text, &p.ID, &changed); err != nil {
		return p, err
	}
	var err error
	if p.Domain, err = dns.ParseLax(domain); err != nil {
		return p, fmt.Errorf("stored domain %q: %w", domain, err)
	}
	policy, perr := mtasts.ParsePolicy([]byte(p.Text))
	if perr != nil {
		return p, fmt.Errorf("stored policy of %s: %w", domain, perr)
	}
	p.Policy, p.Changed = policy, store.FromTime(changed)
	return p, nil
}
