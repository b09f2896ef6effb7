// Package stspublish keeps the MTA-STS policies of hosted domains, which this
// server serves at their well-known address (RFC 8461 §3.3, STS-11). It refuses a
// policy that would keep mail from a host that the domain's MX records name.
package stspublish

import (
	"context"
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
	if err := s.Fits(ctx, domain, p); err != nil {
		return Published{}, err
	}
	return s.put(ctx, domain, p)
}

// Fits looks the domain's MX records up, and says why a policy does not go with them.
func (s *Service) Fits(ctx context.Context, domain dns.Name, p *mtasts.Policy) error {
	mx, err := s.DNS.LookupMX(ctx, domain)
	if err != nil {
		return fmt.Errorf("whether the policy fits the MX records of %s cannot be seen: %w", domain, err)
	}
	if mx.NXDomain && p.Mode != mtasts.ModeNone {
		return fmt.Errorf("%s does not exist in DNS: publish its MX records first", domain)
	}
	return Check(domain, p, mx.Records)
}

// Prepare keeps a policy for a domain whose MX records are yet to be published, as Set
// does for one whose records can be seen. It takes mode testing alone, which stops
// nobody's mail, whatever the records will be.
func (s *Service) Prepare(ctx context.Context, domain dns.Name, p *mtasts.Policy) (Published, error) {
	if p.Mode != mtasts.ModeTesting {
		return Published{}, fmt.Errorf("a policy of mode %s waits for the MX records of %s: publish them first", p.Mode, domain)
	}
	return s.put(ctx, domain, p)
}

func (s *Service) put(ctx context.Context, domain dns.Name, p *mtasts.Policy) (Published, error) {
	err := s.Store.Write(ctx, func(tx *store.Tx) error { return s.Within(tx).Put(domain, p) })
	if err != nil {
		return Published{}, fmt.Errorf("publish the policy of %s: %w", domain, err)
	}
	return s.Get(ctx, domain)
}

// Remove ends the serving of a domain's policy. The domain should have been at
// mode none for as long as its old max_age (RFC 8461 §8.3); that is the caller's
// to say.
func (s *Service) Remove(ctx context.Context, domain dns.Name) error {
	return s.Store.Write(ctx, func(tx *store.Tx) error { return s.Within(tx).Remove(domain) })
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
		all, err := s.Within(tx).List()
		known := make(map[dns.Name]Published, len(all))
		for _, p := range all {
			known[p.Domain] = p
		}
		return known, err
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
