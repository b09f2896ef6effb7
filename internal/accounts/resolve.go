package accounts

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"unicode/utf8"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/store"
	"waxwing/smtp"
)

// maxCache bounds each map of the cache: a sender that tries names may fill it, no
// more.
const maxCache = 10000

// cache remembers lookups of one generation, those that found nothing too.
type cache struct {
	gen     int64
	hosted  map[dns.Name]bool
	targets map[asked]found
}

// asked is the question of a Resolve.
type asked struct {
	local  string // normalised
	domain dns.Name
}

// found is the answer: a target or one of the package's errors.
type found struct {
	target account.Target
	err    error
}

// at empties the cache if it is of another generation.
func (c *cache) at(gen int64) {
	if c.gen != gen || c.hosted == nil {
		*c = cache{gen: gen, hosted: map[dns.Name]bool{}, targets: map[asked]found{}}
	}
}

// cached answers from the cache while its generation is the present one, or asks
// and remembers. The generation is then read in the same snapshot as the
// answer, so that no stale answer is ever kept.
func cached[K comparable, V any](ctx context.Context, s *Store, of func(*cache) map[K]V, key K, ask func(*store.Tx) (V, error)) (V, error) {
	gen, err := s.DB.Generation(ctx, Area)
	if err != nil {
		var none V
		return none, err
	}
	s.mu.Lock()
	v, ok := of(&s.cache)[key]
	ok = ok && s.cache.gen == gen
	s.mu.Unlock()
	if ok {
		return v, nil
	}
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		gen, err := tx.Generation(Area)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.cache.at(gen)
		got, ok := of(&s.cache)[key]
		s.mu.Unlock()
		if ok {
			v = got
			return nil
		}
		if v, err = ask(tx); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.cache.gen != gen {
			return nil
		}
		m := of(&s.cache)
		if len(m) >= maxCache {
			clear(m)
		}
		m[key] = v
		return nil
	})
	return v, err
}

// IsHosted reports whether mail for the domain is received here.
func (s *Store) IsHosted(ctx context.Context, name dns.Name) (bool, error) {
	hosted := func(c *cache) map[dns.Name]bool { return c.hosted }
	return cached(ctx, s, hosted, name, func(tx *store.Tx) (bool, error) {
		return exists(tx, `SELECT count(*) FROM domains WHERE name = ?`, name.ASCII())
	})
}

// Resolve finds who gets mail for an address, local without quoting. In this
// order: the address as it stands; without what follows its "+"; postmaster (RFC
// 5321 §4.5.1), who is never refused: the account that first had an address
// in the domain, else in any; the domain's catchall. The zero domain stands for
// the bare "postmaster". Errors: ErrNotHosted, ErrNoSuchAddress.
func (s *Store) Resolve(ctx context.Context, local string, domain dns.Name) (account.Target, error) {
	q := asked{account.NormalizeLocal(local), domain}
	if len(q.local) > smtp.MaxPath || !utf8.ValidString(local) || strings.ContainsRune(local, 0) { // PostgreSQL takes no such text
		return account.Target{}, ErrNoSuchAddress
	}
	targets := func(c *cache) map[asked]found { return c.targets }
	f, err := cached(ctx, s, targets, q, func(tx *store.Tx) (found, error) { return resolve(tx, q) })
	if err != nil {
		return account.Target{}, err
	}
	return f.target, f.err
}

// MaySendAs reports whether the account has the address, also by "+" or
// catchall.
func (s *Store) MaySendAs(ctx context.Context, name, address string) (bool, error) {
	local, domain, err := split(address)
	if err != nil {
		return false, nil // no address, nobody's
	}
	t, err := s.Resolve(ctx, local, domain)
	if errors.Is(err, ErrNotHosted) || errors.Is(err, ErrNoSuchAddress) {
		return false, nil
	}
	return err == nil && t.Account == name, err
}

const postmaster = "postmaster"

// resolve asks the tables; what it found nothing for is a found with an error.
func resolve(tx *store.Tx, q asked) (found, error) {
	if !q.domain.IsZero() {
		hosted, err := exists(tx, `SELECT count(*) FROM domains WHERE name = ?`, q.domain.ASCII())
		if err != nil {
			return found{}, err
		}
		if !hosted {
			return found{err: ErrNotHosted}, nil
		}
	} else if q.local != postmaster {
		return found{err: ErrNotHosted}, nil
	}
	base, detail := detach(q.local)
	rows, err := candidates(tx, q, base)
	if err != nil {
		return found{}, err
	}
	if t, ok := choose(rows, q, base, detail); ok {
		return found{target: t}, nil
	}
	if base == postmaster {
		t, err := first(tx, q)
		if err != nil || t.Account != "" {
			return found{target: t}, err
		}
	}
	if t, ok := rows[account.CatchAll]; ok {
		return found{target: t}, nil
	}
	return found{err: ErrNoSuchAddress}, nil
}

// detach takes the detail off a local part (RFC 5233 §1).
func detach(local string) (base, detail string) {
	base, detail, _ = strings.Cut(local, "+")
	if base == "" {
		return local, ""
	}
	return base, detail
}

// choose prefers the address as it stands.
func choose(rows map[string]account.Target, q asked, base, detail string) (account.Target, bool) {
	if t, ok := rows[q.local]; ok && q.local != account.CatchAll {
		return t, true
	}
	t, ok := rows[base]
	if !ok || base == account.CatchAll {
		return t, false
	}
	t.Detail = detail
	return t, true
}

// candidates are the rows that may answer q, by local part.
func candidates(tx *store.Tx, q asked, base string) (map[string]account.Target, error) {
	rows, err := tx.Query(`SELECT local, account, mailbox FROM addresses
		WHERE domain = ? AND local IN (?, ?, '*') AND account IS NOT NULL`, q.domain.ASCII(), q.local, base)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]account.Target{}
	for rows.Next() {
		var local string
		var t account.Target
		if err := rows.Scan(&local, &t.Account, &t.Mailbox); err != nil {
			return nil, err
		}
		t.Address = smtp.Address{Local: local, Domain: q.domain.ASCII()}.String()
		out[local] = t
	}
	return out, rows.Err()
}

// first is the postmaster where nobody was named one; no account where there is nobody
// at all.
func first(tx *store.Tx, q asked) (account.Target, error) {
	t := account.Target{Mailbox: account.Inbox, Address: smtp.Address{Local: postmaster, Domain: q.domain.ASCII()}.String()}
	err := tx.Row(`SELECT account FROM addresses WHERE account IS NOT NULL
		ORDER BY CASE WHEN domain = ? THEN 0 ELSE 1 END, created, account LIMIT 1`, q.domain.ASCII()).Scan(&t.Account)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return t, err
}
