package accounts

import (
	"cmp"
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

// maxDomains are as many as are remembered together. Where there are more, each that is
// asked for is remembered by itself.
const maxDomains = 10_000

// maxBook is how many addresses of one domain are remembered together. Where it has more,
// each that is asked for is remembered by itself. Books of 10 addresses have the same room
// as one answer (store.Keyed).
const maxBook = 10_000

// memory is what the tables say in one generation: the hosted domains and, of a domain
// that was asked for, all addresses. So a name that is not here, which anybody may try at
// any rate, costs the database nothing either.
type memory struct {
	domains store.Cached[map[dns.Name]bool] // nil: they are too many
	hosted  store.Keyed[dns.Name, bool]     // then
	books   store.Keyed[dns.Name, book]
	answers store.Keyed[asked, found] // where there is no book, or it does not say

	transports store.Keyed[dns.Name, string] // of domains
}

// book is what is known of a domain: its rules and, by local part, its addresses.
type book struct {
	rules     account.LocalRules
	transport string           // of the domain
	rows      map[string]entry // nil: they are too many
}

// entry is one address. It has an account or is an alias; else its mail is refused (ACC-2).
type entry struct {
	account.Target
	alias bool
}

// asked is the question of a Resolve.
type asked struct {
	local  string // as it was given
	domain dns.Name
}

// found is the answer: a target or one of the package's errors.
type found struct {
	target account.Target
	err    error
}

// IsHosted reports whether mail for the domain is received here.
func (s *Store) IsHosted(ctx context.Context, name dns.Name) (bool, error) {
	all, err := s.memory.domains.Get(ctx, s.DB, Area, func(tx *store.Tx) (map[dns.Name]bool, error) {
		names, err := domainNames(tx, maxDomains+1)
		if err != nil || len(names) > maxDomains {
			return nil, err
		}
		out := make(map[dns.Name]bool, len(names))
		for _, n := range names {
			out[n] = true
		}
		return out, nil
	})
	if err != nil || all != nil {
		return all[name], err
	}
	return s.memory.hosted.Get(ctx, s.DB, Area, name, func(tx *store.Tx) (bool, int, error) {
		is, err := exists(tx, `SELECT count(*) FROM domains WHERE name = ?`, name.ASCII())
		return is, 1, err
	})
}

// Keeps reports whether a domain is hosted, and whether another program keeps its
// mailboxes (INB-14), but for accounts of which something else is said.
func (s *Store) Keeps(ctx context.Context, name dns.Name) (hosted, elsewhere bool, err error) {
	if hosted, err = s.IsHosted(ctx, name); err != nil || !hosted {
		return false, false, err
	}
	way, err := s.memory.transports.Get(ctx, s.DB, Area, name, func(tx *store.Tx) (way string, size int, err error) {
		err = tx.Row(`SELECT transport FROM domains WHERE name = ?`, name.ASCII()).Scan(&way)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil // it has just gone
		}
		return way, 1, err
	})
	return hosted, way != "", err
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

// Resolve finds who gets mail for an address, local without quoting: an account, an alias, or
// the sender of whom a message was passed on with an address of ours. In this
// order: the address as it stands; without what follows its separator; postmaster (RFC
// 5321 §4.5.1), who is never refused: the account that first had an address
// in the domain, else in any; the domain's catchall. The zero domain stands for
// the bare "postmaster". Errors: ErrNotHosted, ErrNoSuchAddress.
func (s *Store) Resolve(ctx context.Context, local string, domain dns.Name) (account.Target, error) {
	q := asked{local, domain}
	if len(q.local) > smtp.MaxPath || !utf8.ValidString(local) || strings.ContainsRune(local, 0) { // PostgreSQL takes no such text
		return account.Target{}, ErrNoSuchAddress
	}
	if t, ok, err := s.returned(ctx, q); ok || err != nil {
		return t, err
	}
	f, err := s.resolve(ctx, q)
	if err != nil {
		return account.Target{}, err
	}
	return f.target, f.err
}

// resolve answers from memory, or else from the tables.
func (s *Store) resolve(ctx context.Context, q asked) (found, error) {
	if q.domain.IsZero() {
		if !strings.EqualFold(q.local, account.Postmaster) {
			return found{err: ErrNotHosted}, nil
		}
		return s.ask(ctx, q)
	}
	is, err := s.IsHosted(ctx, q.domain)
	if err != nil || !is {
		return found{err: ErrNotHosted}, err
	}
	b, err := s.memory.books.Get(ctx, s.DB, Area, q.domain, func(tx *store.Tx) (book, int, error) {
		b, err := readBook(tx, q.domain, ` LIMIT ?`, maxBook+1)
		if len(b.rows) > maxBook {
			b.rows = nil
		}
		return b, 1 + len(b.rows)/10, err
	})
	if err != nil {
		return found{}, err
	}
	if b.rows != nil && !b.needsFirst(q) {
		return b.choose(q), nil
	}
	return s.ask(ctx, q)
}

// MaySendAs reports whether the account has the address, also with a detail or by
// catchall.
func (s *Store) MaySendAs(ctx context.Context, name, address string) (bool, error) {
	local, domain, err := parse(address)
	if err != nil {
		return false, nil // no address, nobody's
	}
	t, err := s.Resolve(ctx, local, domain)
	if errors.Is(err, ErrNotHosted) || errors.Is(err, ErrNoSuchAddress) {
		return false, nil
	}
	return err == nil && t.Account == name, err
}

// ask finds out what the book of the domain does not say. It reads anew what of the book
// it needs: all of an answer is of one generation.
func (s *Store) ask(ctx context.Context, q asked) (found, error) {
	return s.memory.answers.Get(ctx, s.DB, Area, q, func(tx *store.Tx) (found, int, error) {
		f, err := ask(tx, q)
		return f, 1, err
	})
}

func ask(tx *store.Tx, q asked) (found, error) {
	rules, err := rulesOf(tx, q.domain)
	if err != nil {
		return found{}, err
	}
	local := rules.Normalize(q.local)
	wanted := []any{account.CatchAll, local}
	for _, split := range rules.Splits(local) {
		wanted = append(wanted, split.Base)
	}
	b, err := readBook(tx, q.domain, ` AND a.local IN (?`+strings.Repeat(", ?", len(wanted)-1)+`)`, wanted...)
	if err != nil {
		return found{}, err
	}
	f := b.choose(q)
	if b.needsFirst(q) {
		t, err := first(tx, q.domain)
		if err != nil {
			return found{}, err
		}
		t.Transport = b.way(t.Transport)
		if t.Account != "" {
			f = found{target: t}
		}
	}
	return f, nil
}

// choose is who gets q's mail by the addresses of its domain: the address as it stands,
// else without its detail, else the catchall.
func (b *book) choose(q asked) found {
	f, ok := b.named(q)
	if ok {
		return f
	}
	if e, ok := b.rows[account.CatchAll]; ok {
		return b.found(e, account.CatchAll, q.domain)
	}
	return found{err: ErrNoSuchAddress}
}

// needsFirst reports that q is for a postmaster whom nobody has named: the first
// account is.
func (b *book) needsFirst(q asked) bool {
	local := b.rules.Normalize(q.local)
	is := local == account.Postmaster || slices.ContainsFunc(b.rules.Splits(local), func(s account.Split) bool { return s.Base == account.Postmaster })
	if !is {
		return false
	}
	_, ok := b.named(q)
	return !ok
}

// named prefers the address as it stands, then the longest base.
func (b *book) named(q asked) (found, bool) {
	local := b.rules.Normalize(q.local)
	if e, ok := b.rows[local]; ok && local != account.CatchAll {
		return b.found(e, local, q.domain), true
	}
	for _, split := range b.rules.Splits(local) {
		e, ok := b.rows[split.Base]
		if !ok || split.Base == account.CatchAll {
			continue
		}
		f := b.found(e, split.Base, q.domain)
		f.target.Detail = split.Detail
		return f, true
	}
	return found{}, false
}

// found is the answer where an address is this entry.
func (b *book) found(e entry, local string, domain dns.Name) found {
	t := e.Target
	t.Transport = b.way(t.Transport)
	t.Address = smtp.Address{Local: local, Domain: domain.ASCII()}.String()
	switch {
	case e.alias:
		t.Alias = t.Address
	case t.Account == "":
		return found{err: ErrNoSuchAddress}
	}
	return found{target: t}
}

// way is the transport of an account's mail, which may say nothing itself.
func (b *book) way(own string) string {
	if own = cmp.Or(own, b.transport); own == account.Here {
		return ""
	}
	return own
}

// readBook reads the rules of a domain and its addresses, or those that a condition chooses.
func readBook(tx *store.Tx, domain dns.Name, condition string, args ...any) (b book, err error) {
	if b.rules, err = rulesOf(tx, domain); err != nil {
		return b, err
	}
	if err = tx.Row(`SELECT transport FROM domains WHERE name = ?`, domain.ASCII()).Scan(&b.transport); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return b, err
	}
	b.rows = map[string]entry{}
	err = tx.Each(func(r store.Row) error {
		var local string
		var e entry
		err := r.Scan(&local, &e.Account, &e.Mailbox, &e.alias, &e.Transport, &e.Refused)
		b.rows[local] = e
		return err
	}, `SELECT a.local, COALESCE(a.account, ''), a.mailbox, CASE WHEN l.local IS NULL THEN 0 ELSE 1 END, COALESCE(c.transport, ''), CASE WHEN c.disabled = 1 AND c.disabled_mail = 'refuse' THEN 1 ELSE 0 END
		FROM addresses a LEFT JOIN aliases l ON l.domain = a.domain AND l.local = a.local LEFT JOIN accounts c ON c.name = a.account WHERE a.domain = ?`+condition,
		append([]any{domain.ASCII()}, args...)...)
	return b, err
}

// rulesOf are the rules of a domain; the usual ones where it is not hosted.
func rulesOf(tx *store.Tx, domain dns.Name) (account.LocalRules, error) {
	var r account.LocalRules
	err := tx.Row(`SELECT separators, case_sensitive FROM domains WHERE name = ?`, domain.ASCII()).Scan(&r.Separators, &r.CaseSensitive)
	if errors.Is(err, sql.ErrNoRows) {
		return account.DefaultRules, nil
	}
	return r, err
}

// first is the postmaster where nobody was named one; no account where there is nobody
// at all.
func first(tx *store.Tx, domain dns.Name) (account.Target, error) {
	t := account.Target{Mailbox: account.Inbox, Address: smtp.Address{Local: account.Postmaster, Domain: domain.ASCII()}.String()}
	err := tx.Row(`SELECT a.account, c.transport FROM addresses a JOIN accounts c ON c.name = a.account
		ORDER BY CASE WHEN a.domain = ? THEN 0 ELSE 1 END, a.created, a.account LIMIT 1`, domain.ASCII()).Scan(&t.Account, &t.Transport)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return t, err
}
