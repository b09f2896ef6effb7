package accounts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/store"
	"waxwing/smtp"
)

// maxRead bounds the members that are read of an alias and of all aliases it leads to.
const maxRead = 4 * account.MaxExpanded

// AddAlias makes an alias; ErrExists where there is one, and those of SetAlias.
func (s *Store) AddAlias(ctx context.Context, a account.Alias) error {
	all, err := s.Aliases(ctx)
	if err != nil {
		return err
	}
	clean, err := reading(ctx, s, func(w Within) (string, error) { return w.clean(a.Address) })
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(b account.Alias) bool { return b.Address == clean }) {
		return fmt.Errorf("alias %s: %w", clean, ErrExists)
	}
	return s.SetAlias(ctx, a)
}

// SetAlias makes an alias or changes one (ACC-1). Errors: ErrNotHosted, ErrExists where the
// address is an account's, ErrLoop, ErrNoSuchAddress for a member that nobody has.
func (s *Store) SetAlias(ctx context.Context, a account.Alias) error {
	return s.change(ctx, func(w Within) error {
		if err := w.SetAlias(&a); err != nil {
			return err
		}
		g, err := readGraph(w.tx, a.Address)
		if err != nil {
			return err
		}
		if missing := g.Expand(a.Address, account.Poster{}).Missing; len(missing) > 0 {
			return fmt.Errorf("member %s: %w", missing[0], ErrNoSuchAddress)
		}
		return nil
	})
}

// RemoveAlias takes an alias away; ErrNoSuchAlias.
func (s *Store) RemoveAlias(ctx context.Context, address string) error {
	return s.change(ctx, func(w Within) error { return w.RemoveAlias(address) })
}

// ChangeAlias changes the alias with that address; ErrNoSuchAlias, and those of SetAlias.
func (s *Store) ChangeAlias(ctx context.Context, address string, fn func(*account.Alias) error) error {
	all, err := s.Aliases(ctx)
	if err != nil {
		return err
	}
	clean, err := reading(ctx, s, func(w Within) (string, error) { return w.clean(address) })
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].Address != clean {
			continue
		}
		if err := fn(&all[i]); err != nil {
			return err
		}
		return s.SetAlias(ctx, all[i])
	}
	return fmt.Errorf("alias %s: %w", address, ErrNoSuchAlias)
}

// Aliases are all aliases, by domain and local part.
func (s *Store) Aliases(ctx context.Context) ([]account.Alias, error) {
	return reading(ctx, s, Within.Aliases)
}

// RefuseAddress has mail for an address refused though its domain has a catchall (ACC-2).
// Errors: ErrNotHosted, ErrExists.
func (s *Store) RefuseAddress(ctx context.Context, address string) error {
	return s.change(ctx, func(w Within) error { return w.RefuseAddress(address) })
}

// Expand is what an alias comes to for a poster.
func (s *Store) Expand(ctx context.Context, alias string, from account.Poster) (account.Expansion, error) {
	g, err := s.graph(ctx, alias)
	if err != nil {
		return account.Expansion{}, err
	}
	if from.Account == "" {
		if from.Account, err = s.accountOf(ctx, from.Address); err != nil {
			return account.Expansion{}, err
		}
	}
	return g.Expand(alias, from), nil
}

// Admit says whether a poster may write to an alias. Whether it is them was not looked at.
func (s *Store) Admit(ctx context.Context, alias string, from account.Poster) (account.Admission, error) {
	g, err := s.graph(ctx, alias)
	if err != nil {
		return account.AdmitNobody, err
	}
	if from.Account == "" {
		if from.Account, err = s.accountOf(ctx, from.Address); err != nil {
			return account.AdmitNobody, err
		}
	}
	return g.Admit(alias, from), nil
}

// accountOf is the account that has an address; "" where none has.
func (s *Store) accountOf(ctx context.Context, address string) (string, error) {
	local, domain, err := parse(address)
	if err != nil {
		return "", nil // no address, nobody's
	}
	t, err := s.Resolve(ctx, local, domain)
	if errors.Is(err, ErrNotHosted) || errors.Is(err, ErrNoSuchAddress) {
		return "", nil
	}
	return t.Account, err
}

func (s *Store) graph(ctx context.Context, alias string) (*account.Graph, error) {
	return s.graphs.Get(ctx, s.DB, Area, alias, func(tx *store.Tx) (*account.Graph, int, error) {
		g, err := readGraph(tx, alias)
		return g, 1 + (len(g.Targets)+len(g.Hosted))/10, err
	})
}

// readGraph follows an alias through the tables.
func readGraph(tx *store.Tx, root string) (*account.Graph, error) {
	g := &account.Graph{Aliases: map[string]account.Alias{}, Targets: map[string]account.Target{}, Hosted: map[string]bool{}}
	hosted := map[dns.Name]bool{}
	read := 0
	for next := []string{root}; len(next) > 0 && !g.Cut; next = next[1:] {
		if _, known := g.Aliases[next[0]]; known {
			continue
		}
		a, err := readAlias(tx, next[0])
		if err != nil {
			return g, err
		}
		g.Aliases[next[0]] = a
		read += len(a.Members)
		g.Cut = read > maxRead
		for _, m := range a.Members {
			t, err := lead(tx, g, m, hosted)
			if err != nil {
				return g, err
			}
			if t.Alias != "" {
				next = append(next, t.Alias)
			}
		}
	}
	return g, nil
}

// lead adds to the graph where a member leads.
func lead(tx *store.Tx, g *account.Graph, m string, hosted map[dns.Name]bool) (account.Target, error) {
	local, domain, err := parse(m)
	if err != nil {
		return account.Target{}, nil // it was an address when it was stored
	}
	is, known := hosted[domain]
	if !known {
		if is, err = exists(tx, `SELECT count(*) FROM domains WHERE name = ?`, domain.ASCII()); err != nil {
			return account.Target{}, err
		}
		hosted[domain] = is
	}
	if !is {
		return account.Target{}, nil
	}
	g.Hosted[m] = true
	f, err := ask(tx, asked{local, domain})
	if err == nil && f.err == nil {
		g.Targets[m] = f.target
	}
	return f.target, err
}

func readAlias(tx *store.Tx, address string) (account.Alias, error) {
	local, domain, err := parse(address)
	if err != nil {
		return account.Alias{}, err
	}
	a := account.Alias{Address: address}
	err = tx.Row(`SELECT posting, sender_copy FROM aliases WHERE domain = ? AND local = ?`, domain.ASCII(), local).Scan(&a.Posting, &a.SenderCopy)
	if errors.Is(err, sql.ErrNoRows) {
		return a, nil
	}
	if err == nil {
		err = tx.Each(func(r store.Row) error { return addPerson(r, &a) },
			`SELECT role, address FROM alias_people WHERE domain = ? AND local = ? ORDER BY address`, domain.ASCII(), local)
	}
	return a, err
}

const (
	roleMember = "member"
	rolePoster = "poster"
)

func addPerson(r store.Row, a *account.Alias) error {
	var role, address string
	err := r.Scan(&role, &address)
	if role == roleMember {
		a.Members = append(a.Members, address)
	} else {
		a.Posters = append(a.Posters, address)
	}
	return err
}

// SetAlias makes an alias or changes one, and brings a into the form in which it is stored. Its
// members need not be there yet: another entry of the same transaction may bring them.
func (w Within) SetAlias(a *account.Alias) error {
	local, domain, err := w.split(a.Address)
	if err != nil {
		return err
	}
	a.Address = smtp.Address{Local: local, Domain: domain.ASCII()}.String()
	if err := w.cleanAlias(a); err != nil {
		return err
	}
	is, err := exists(w.tx, `SELECT count(*) FROM aliases WHERE domain = ? AND local = ?`, domain.ASCII(), local)
	if err == nil && !is {
		err = w.addBare(a.Address, local, domain)
	}
	if err != nil {
		return err
	}
	if _, err := w.tx.Exec(`INSERT INTO aliases (domain, local, posting, sender_copy) VALUES (?, ?, ?, ?)
		ON CONFLICT (domain, local) DO UPDATE SET posting = excluded.posting, sender_copy = excluded.sender_copy`,
		domain.ASCII(), local, a.Posting, a.SenderCopy); err != nil {
		return err
	}
	if err := w.setPeople(a, local, domain); err != nil {
		return err
	}
	g, err := readGraph(w.tx, a.Address)
	if err != nil {
		return err
	}
	if loop := g.Loop(a.Address); loop != nil {
		return fmt.Errorf("alias %s: %w: %s", a.Address, ErrLoop, strings.Join(loop, " > "))
	}
	if g.Expand(a.Address, account.Poster{}).TooMany {
		return fmt.Errorf("alias %s comes to more than %d addresses with the aliases among its members", a.Address, account.MaxExpanded)
	}
	return w.tx.Raise(Area)
}

func (w Within) setPeople(a *account.Alias, local string, domain dns.Name) error {
	if _, err := w.tx.Exec(`DELETE FROM alias_people WHERE domain = ? AND local = ?`, domain.ASCII(), local); err != nil {
		return err
	}
	for role, people := range map[string][]string{roleMember: a.Members, rolePoster: a.Posters} {
		for _, p := range people {
			if _, err := w.tx.Exec(`INSERT INTO alias_people (domain, local, role, address) VALUES (?, ?, ?, ?)`, domain.ASCII(), local, role, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// cleanAlias brings members and posters into the form in which they are stored, each once.
func (w Within) cleanAlias(a *account.Alias) error {
	var err error
	if a.Posting, err = account.ParsePosting(string(a.Posting)); err != nil {
		return err
	}
	for i, m := range a.Members {
		if a.Members[i], err = w.clean(m); err != nil {
			return fmt.Errorf("member: %w", err)
		}
		if strings.HasPrefix(a.Members[i], account.CatchAll+"@") {
			return fmt.Errorf("member %s: a catchall is no member", m)
		}
	}
	for i, p := range a.Posters {
		if domain, is := strings.CutPrefix(p, "@"); is {
			n, err := dns.ParseName(domain)
			if err != nil {
				return fmt.Errorf("who may post: %q: %w", p, err)
			}
			a.Posters[i] = "@" + n.ASCII()
		} else if a.Posters[i], err = w.clean(p); err != nil {
			return fmt.Errorf("who may post: %w", err)
		}
	}
	for _, list := range []*[]string{&a.Members, &a.Posters} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return a.Check()
}

// clean is an address in the form in which it is stored: those of others keep their case.
func (w Within) clean(address string) (string, error) {
	local, domain, err := parse(address)
	if err != nil {
		return "", err
	}
	is, err := exists(w.tx, `SELECT count(*) FROM domains WHERE name = ?`, domain.ASCII())
	if err == nil && is {
		local, domain, err = w.split(address)
	}
	return smtp.Address{Local: local, Domain: domain.ASCII()}.String(), err
}

// addBare makes an address without an account; ErrNotHosted, ErrExists.
func (w Within) addBare(address, local string, domain dns.Name) error {
	hosted, err := exists(w.tx, `SELECT count(*) FROM domains WHERE name = ?`, domain.ASCII())
	switch {
	case err != nil:
		return err
	case !hosted:
		return fmt.Errorf("domain %s: %w; add it first", domain.Unicode(), ErrNotHosted)
	}
	return w.set(ErrExists, "address "+address, `INSERT INTO addresses (domain, local, account, mailbox, created)
		VALUES (?, ?, NULL, '', ?) ON CONFLICT DO NOTHING`, domain.ASCII(), local, w.s.now())
}

// RefuseAddress has mail for an address refused; ErrNotHosted, ErrExists. A domain's
// postmaster is never refused (RFC 5321 §4.5.1).
func (w Within) RefuseAddress(address string) error {
	local, domain, err := w.split(address)
	switch {
	case err != nil:
		return err
	case local == account.Postmaster:
		return errors.New("mail to the postmaster cannot be refused (RFC 5321, section 4.5.1)")
	case local == account.CatchAll:
		return errors.New("without a catchall, all that is not named is refused: remove it")
	}
	return w.addBare(address, local, domain)
}

// RemoveAlias takes an alias away; ErrNoSuchAlias.
func (w Within) RemoveAlias(address string) error {
	local, domain, err := w.split(address)
	if err != nil {
		return err
	}
	return w.set(ErrNoSuchAlias, "alias "+address, `DELETE FROM addresses WHERE domain = ? AND local = ?
		AND EXISTS (SELECT 1 FROM aliases l WHERE l.domain = addresses.domain AND l.local = addresses.local)`, domain.ASCII(), local)
}

// Aliases are all aliases, by domain and local part.
func (w Within) Aliases() (out []account.Alias, err error) {
	at := map[string]int{}
	err = w.tx.Each(func(r store.Row) error {
		var a account.Alias
		var local, domain string
		var created int64
		err := r.Scan(&local, &domain, &a.Posting, &a.SenderCopy, &created)
		a.Address, a.Created = smtp.Address{Local: local, Domain: domain}.String(), store.FromTime(created)
		at[a.Address] = len(out)
		out = append(out, a)
		return err
	}, `SELECT l.local, l.domain, l.posting, l.sender_copy, a.created FROM aliases l JOIN addresses a ON a.domain = l.domain AND a.local = l.local
		ORDER BY l.domain, l.local`)
	if err != nil {
		return nil, err
	}
	return out, w.tx.Each(func(r store.Row) error {
		var local, domain, role, address string
		if err := r.Scan(&local, &domain, &role, &address); err != nil {
			return err
		}
		i, known := at[smtp.Address{Local: local, Domain: domain}.String()]
		switch {
		case !known:
		case role == roleMember:
			out[i].Members = append(out[i].Members, address)
		default:
			out[i].Posters = append(out[i].Posters, address)
		}
		return nil
	}, `SELECT local, domain, role, address FROM alias_people ORDER BY domain, local, address`)
}
