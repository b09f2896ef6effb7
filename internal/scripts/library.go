package scripts

import (
	"context"
	"sync"

	"waxwing/internal/store"
	"waxwing/sieve"
)

// maxTogether is how many accounts with an active script or a vacation response are remembered together. Where there are
// more, each that is asked for is remembered by itself.
const maxTogether = 50_000

// Library is the scripts of an account that has an active one, and its vacation response. It is shared, and not changed.
type Library struct {
	Active   string // name of the script that runs; "": none does
	Vacation *Vacation
	scripts  map[string]*compiled
}

// compiled is a script that is compiled when it is first needed.
type compiled struct {
	text string
	once sync.Once
	prog *sieve.Program
	err  error
}

// Program is a script of the account; nil without an error: there is none of that name. What was
// stored has been compiled before, by this version or an older one.
func (l *Library) Program(name string) (*sieve.Program, error) {
	c := l.scripts[name]
	if c == nil {
		return nil, nil
	}
	return c.program()
}

func (c *compiled) program() (*sieve.Program, error) {
	c.once.Do(func() { c.prog, c.err = sieve.Compile(c.text) })
	return c.prog, c.err
}

// Library is what an account's mail runs through; nil: it has neither an active script nor a vacation response. For most accounts
// it is asked for in vain, with each message: that costs a look into memory.
func (s *Store) Library(ctx context.Context, account string) (*Library, error) {
	all, err := s.active.Get(ctx, s.DB, Area, func(tx *store.Tx) (map[string]bool, error) {
		names, err := store.Column[string](tx, `SELECT account FROM sieve_scripts WHERE active = 1 UNION SELECT account FROM vacations WHERE enabled = 1 LIMIT ?`, maxTogether+1)
		if err != nil || len(names) > maxTogether {
			return nil, err
		}
		out := make(map[string]bool, len(names))
		for _, n := range names {
			out[n] = true
		}
		return out, nil
	})
	if err != nil || all != nil && !all[account] {
		return nil, err
	}
	return s.libraries.Get(ctx, s.DB, Area, account, func(tx *store.Tx) (*Library, int, error) { return readLibrary(tx, account) })
}

// readLibrary also says what room it takes in memory, in units of 1 KiB.
func readLibrary(tx *store.Tx, account string) (*Library, int, error) {
	l := &Library{scripts: map[string]*compiled{}}
	size := 0
	err := tx.Each(func(r store.Row) error {
		var name, text string
		var active bool
		if err := r.Scan(&name, &text, &active); err != nil {
			return err
		}
		if active {
			l.Active = name
		}
		l.scripts[name] = &compiled{text: text}
		size += len(text)
		return nil
	}, `SELECT name, script, active FROM sieve_scripts WHERE account = ?`, account)
	if err != nil {
		return nil, 1, err
	}
	v, err := readVacation(tx, account)
	if err != nil || l.Active == "" && !v.Enabled {
		return nil, 1, err
	}
	l.Vacation = &v
	return l, 1 + (size+len(v.Plain)+len(v.HTML))/1024, nil
}

// Trial is the scripts of an account with this one as the active one, whether it is stored or not.
func (s *Store) Trial(ctx context.Context, account, text string) (*Library, error) {
	l, err := store.Read(ctx, s.DB, func(tx *store.Tx) (*Library, error) {
		l, _, err := readLibrary(tx, account)
		return l, err
	})
	if err != nil {
		return nil, err
	}
	if l == nil {
		l = &Library{scripts: map[string]*compiled{}}
	}
	l.Active = "\n" // no script has this name
	l.scripts[l.Active] = &compiled{text: text}
	return l, nil
}
