package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/store"
	"waxwing/smtp"
)

// cached answers from the cache while its generation is the present one, or asks
// and remembers. The generation is then read in the same snapshot as the
// answer, so that no stale answer is ever kept. ask notes what it learns by keep.
func cached[V any](ctx context.Context, s *Store, know func(*cache) (V, bool), ask func(tx *store.Tx, keep func(func(*cache))) (V, error)) (V, error) {
	var v V
	gen, err := s.DB.Generation(ctx, Area)
	if err != nil {
		return v, err
	}
	ok := false
	s.locked(func(c *cache) {
		if c.gen == gen && c.hosted != nil {
			v, ok = know(c)
		}
	})
	if ok {
		return v, nil
	}
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		gen, err := tx.Generation(Area)
		if err != nil {
			return err
		}
		s.locked(func(c *cache) {
			c.at(gen)
			v, ok = know(c)
		})
		if ok {
			return nil
		}
		v, err = ask(tx, func(note func(*cache)) {
			s.locked(func(c *cache) {
				if c.gen == gen {
					note(c)
				}
			})
		})
		return err
	})
	return v, err
}

// locked runs fn on the cache. A panic of it must not keep everybody else out.
func (s *Store) locked(fn func(*cache)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(&s.cache)
}

// IsHosted reports whether mail for the domain is received here.
func (s *Store) IsHosted(ctx context.Context, name dns.Name) (bool, error) {
	know := func(c *cache) (bool, bool) { return c.isHosted(name) }
	return cached(ctx, s, know, func(tx *store.Tx, keep func(func(*cache))) (bool, error) {
		return hosted(tx, name, keep)
	})
}

// hosted asks the tables, for all domains where they are few enough to be
// remembered.
func hosted(tx *store.Tx, name dns.Name, keep func(func(*cache))) (bool, error) {
	var whole, many bool
	keep(func(c *cache) { whole, many = c.whole, c.many })
	if !whole && !many {
		names, err := domainNames(tx, maxCache+1)
		if err != nil {
			return false, err
		}
		keep(func(c *cache) { c.keepDomains(names) })
		if len(names) <= maxCache {
			return slices.Contains(names, name), nil
		}
	}
	is, err := exists(tx, `SELECT count(*) FROM domains WHERE name = ?`, name.ASCII())
	if err == nil && !whole {
		keep(func(c *cache) { c.keepHosted(name, is) })
	}
	return is, err
}

func domainNames(tx *store.Tx, limit int) ([]dns.Name, error) {
	return store.Collect(tx, func(r store.Row) (dns.Name, error) {
		var text string
		if err := r.Scan(&text); err != nil {
			return dns.Name{}, err
		}
		n, err := dns.ParseName(text)
		if err != nil {
			return n, fmt.Errorf("the domain %q of the database: %w", text, err)
		}
		return n, nil
	}, `SELECT name FROM domains LIMIT ?`, limit)
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
	know := func(c *cache) (found, bool) { return c.resolve(q) }
	f, err := cached(ctx, s, know, func(tx *store.Tx, keep func(func(*cache))) (found, error) { return resolve(tx, q, keep) })
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
func resolve(tx *store.Tx, q asked, keep func(func(*cache))) (found, error) {
	var rows book
	if !q.domain.IsZero() {
		is, err := hosted(tx, q.domain, keep)
		if err != nil || !is {
			return found{err: ErrNotHosted}, err
		}
		if rows, err = addresses(tx, q, keep); err != nil {
			return found{}, err
		}
	} else if q.local != postmaster {
		return found{err: ErrNotHosted}, nil
	}
	f := choose(rows, q)
	if needsFirst(rows, q) {
		t, err := first(tx, q)
		if err != nil {
			return found{}, err
		}
		if t.Account != "" {
			f = found{target: t}
		}
	}
	keep(func(c *cache) {
		if c.books[q.domain] == nil || needsFirst(rows, q) { // else the book answers
			c.keepTarget(q, f)
		}
	})
	return f, nil
}

// addresses is the domain's book or, where that is too large, what of it may answer q.
func addresses(tx *store.Tx, q asked, keep func(func(*cache))) (book, error) {
	large := false
	keep(func(c *cache) { b, ok := c.books[q.domain]; large = ok && b == nil })
	if !large {
		all, err := readBook(tx, `SELECT local, account, mailbox FROM addresses WHERE domain = ? AND account IS NOT NULL LIMIT ?`,
			q.domain.ASCII(), maxBook+1)
		if err != nil {
			return nil, err
		}
		keep(func(c *cache) { c.keepBook(q.domain, all) })
		if len(all) <= maxBook {
			return all, nil
		}
	}
	base, _ := detach(q.local)
	return readBook(tx, `SELECT local, account, mailbox FROM addresses
		WHERE domain = ? AND local IN (?, ?, '*') AND account IS NOT NULL`, q.domain.ASCII(), q.local, base)
}

// detach takes the detail off a local part (RFC 5233 §1).
func detach(local string) (base, detail string) {
	base, detail, _ = strings.Cut(local, "+")
	if base == "" {
		return local, ""
	}
	return base, detail
}

// choose is who gets q's mail by the addresses of its domain: the address as it stands,
// else without its detail, else the catchall.
func choose(rows book, q asked) found {
	if t, ok := named(rows, q); ok {
		return found{target: t}
	}
	if t, ok := rows[account.CatchAll]; ok {
		return found{target: addressed(t, account.CatchAll, q.domain)}
	}
	return found{err: ErrNoSuchAddress}
}

// needsFirst reports that q is for a postmaster whom nobody has named: the first
// account is.
func needsFirst(rows book, q asked) bool {
	base, _ := detach(q.local)
	_, ok := named(rows, q)
	return base == postmaster && !ok
}

// named prefers the address as it stands.
func named(rows book, q asked) (account.Target, bool) {
	base, detail := detach(q.local)
	if t, ok := rows[q.local]; ok && q.local != account.CatchAll {
		return addressed(t, q.local, q.domain), true
	}
	t, ok := rows[base]
	if !ok || base == account.CatchAll {
		return t, false
	}
	t.Detail = detail
	return addressed(t, base, q.domain), true
}

// addressed is t with the address that it was found by.
func addressed(t account.Target, local string, domain dns.Name) account.Target {
	t.Address = smtp.Address{Local: local, Domain: domain.ASCII()}.String()
	return t
}

func readBook(tx *store.Tx, q string, args ...any) (book, error) {
	out := book{}
	err := tx.Each(func(r store.Row) error {
		var local string
		var t account.Target
		err := r.Scan(&local, &t.Account, &t.Mailbox)
		out[local] = t
		return err
	}, q, args...)
	return out, err
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
