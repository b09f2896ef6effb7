package scripts

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/store"
	"waxwing/sieve"
)

// MaxGlobals is how many scripts the operator may have.
const MaxGlobals = 100

// ErrTooManyGlobals says that there are MaxGlobals already.
var ErrTooManyGlobals = fmt.Errorf("there may be up to %d global scripts", MaxGlobals)

// Global is a script of the operator's, which those of all accounts may include.
type Global struct {
	Name    string    `json:"script"`
	Size    int       `json:"size"` // octets
	Changed time.Time `json:"changed"`
}

// Globals lists the operator's scripts by name.
func (s *Store) Globals(ctx context.Context) ([]Global, error) {
	return store.List(ctx, s.DB, func(r store.Row) (g Global, err error) {
		var changed int64
		err = r.Scan(&g.Name, &g.Size, &changed)
		g.Changed = store.FromTime(changed)
		return g, err
	}, `SELECT name, octet_length(script), changed FROM sieve_globals ORDER BY name`)
}

// GetGlobal is the text of one; ErrNoSuchScript.
func (s *Store) GetGlobal(ctx context.Context, name string) (string, error) {
	return store.Read(ctx, s.DB, func(tx *store.Tx) (text string, err error) {
		err = tx.Row(`SELECT script FROM sieve_globals WHERE name = ?`, name).Scan(&text)
		return text, missing(err, name)
	})
}

// PutGlobal stores a script that is right, in place of the one of that name.
func (s *Store) PutGlobal(ctx context.Context, name, text string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error { return s.Within(tx).PutGlobal(name, text) })
}

// DeleteGlobal removes one; ErrNoSuchScript. A script that includes it fails from then on, unless it says :optional.
func (s *Store) DeleteGlobal(ctx context.Context, name string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error { return s.Within(tx).DeleteGlobal(name) })
}

// Global is one, compiled; nil without an error: there is none of that name, or it does not compile any more.
func (s *Store) Global(ctx context.Context, name string) (*sieve.Program, error) {
	all, err := s.globals.Get(ctx, s.DB, Area, func(tx *store.Tx) (map[string]*compiled, error) {
		stored, err := s.Within(tx).Globals()
		out := make(map[string]*compiled, len(stored))
		for _, c := range stored {
			out[c.Name] = &compiled{text: c.Text}
		}
		return out, err
	})
	if err != nil || all[name] == nil {
		return nil, err
	}
	prog, _ := all[name].program()
	return prog, nil
}

// Stored is a script with its text. Account is "" for one of the operator's.
type Stored struct {
	Account, Name, Text string
	Active              bool
}

// Within is the scripts in a transaction of the caller.
type Within struct {
	s  *Store
	tx *store.Tx
}

// Within works in a transaction.
func (s *Store) Within(tx *store.Tx) Within { return Within{s, tx} }

// All are the scripts of all accounts, by account and name.
func (w Within) All() ([]Stored, error) {
	return store.Collect(w.tx, func(r store.Row) (c Stored, err error) {
		err = r.Scan(&c.Account, &c.Name, &c.Text, &c.Active)
		return c, err
	}, `SELECT account, name, script, active FROM sieve_scripts ORDER BY account, name`)
}

// Set stores a script that is right, in place of the one of that name, and makes it the active one or not.
func (w Within) Set(c Stored) error {
	if err := check(c.Name, c.Text); err != nil {
		return err
	}
	if err := lock(w.tx, c.Account); err != nil {
		return err
	}
	if err := room(w.tx, c.Account, c.Name); err != nil {
		return err
	}
	if c.Active {
		if _, err := w.tx.Exec(`UPDATE sieve_scripts SET active = 0 WHERE account = ? AND active = 1`, c.Account); err != nil {
			return err
		}
	}
	active := 0
	if c.Active {
		active = 1
	}
	_, err := w.tx.Exec(`INSERT INTO sieve_scripts (account, name, script, active, changed, id) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (account, name) DO UPDATE SET script = excluded.script, active = excluded.active, changed = excluded.changed`, c.Account, c.Name, c.Text, active, store.Time(w.s.now()), store.NewID())
	if err != nil {
		return err
	}
	return w.tx.Raise(Area)
}

// Delete removes a script, active or not.
func (w Within) Delete(account, name string) error {
	if _, err := w.tx.Exec(`DELETE FROM sieve_scripts WHERE account = ? AND name = ?`, account, name); err != nil {
		return err
	}
	return w.tx.Raise(Area)
}

// Globals are the operator's scripts, by name.
func (w Within) Globals() ([]Stored, error) {
	return store.Collect(w.tx, func(r store.Row) (c Stored, err error) {
		err = r.Scan(&c.Name, &c.Text)
		return c, err
	}, `SELECT name, script FROM sieve_globals ORDER BY name`)
}

// PutGlobal is Store.PutGlobal.
func (w Within) PutGlobal(name, text string) error {
	if err := check(name, text); err != nil {
		return err
	}
	var others int
	err := w.tx.Row(`SELECT count(*) FROM sieve_globals WHERE name <> ?`, name).Scan(&others)
	if err == nil && others >= MaxGlobals {
		err = ErrTooManyGlobals
	}
	if err != nil {
		return err
	}
	_, err = w.tx.Exec(`INSERT INTO sieve_globals (name, script, changed) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET script = excluded.script, changed = excluded.changed`, name, text, store.Time(w.s.now()))
	if err != nil {
		return err
	}
	return w.tx.Raise(Area)
}

// DeleteGlobal is Store.DeleteGlobal.
func (w Within) DeleteGlobal(name string) error {
	n, err := w.tx.Exec(`DELETE FROM sieve_globals WHERE name = ?`, name)
	if err == nil && n == 0 {
		err = missing(sql.ErrNoRows, name)
	}
	if err != nil {
		return err
	}
	return w.tx.Raise(Area)
}

// check says what is wrong with a name or a script.
func check(name, text string) error { return errors.Join(CheckName(name), Check(text)) }
