package routes

import (
	"fmt"

	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/store"
)

// Within is the store in a transaction of the caller's, so that several changes are made
// together or not at all. Its methods are those of Store.
type Within struct {
	s  *Store
	tx *store.Tx
}

// Within looks and changes in tx.
func (s *Store) Within(tx *store.Tx) Within { return Within{s, tx} }

// change runs fn and raises the area.
func (w Within) change(fn func(tx *store.Tx) error) error {
	if err := fn(w.tx); err != nil {
		return err
	}
	return w.tx.Raise(Area)
}

// Table is the state that the transaction sees.
func (w Within) Table() (*Table, error) { return read(w.tx) }

// AddTransport stores a new transport; ErrExists, or what Check finds.
func (w Within) AddTransport(t route.Transport) error {
	return w.put(t, `INSERT INTO transports (kind, settings, secrets, created, name) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, ErrExists)
}

// SetTransport changes one that exists, its secrets too; ErrUnknown, ErrBuiltIn.
func (w Within) SetTransport(t route.Transport) error {
	if builtIn(t.Name) {
		return fmt.Errorf("transport %s: %w", t.Name, ErrBuiltIn)
	}
	return w.put(t, `UPDATE transports SET kind = ?, settings = ?, secrets = ?, created = ? WHERE name = ?`, ErrUnknown)
}

func (w Within) put(t route.Transport, query string, none error) error {
	if err := t.Check(); err != nil {
		return fmt.Errorf("transport %s: %w", t.Name, err)
	}
	settings, hidden, err := encode(t)
	if err != nil {
		return err
	}
	return w.change(func(tx *store.Tx) error {
		n, err := tx.Exec(query, string(t.Kind), settings, hidden, w.s.now(), t.Name)
		if err == nil && n == 0 {
			err = fmt.Errorf("transport %s: %w", t.Name, none)
		}
		return err
	})
}

// RemoveTransport forgets a transport. ErrInUse while a route or waiting mail names
// it, ErrBuiltIn, ErrUnknown.
func (w Within) RemoveTransport(name string) error {
	if builtIn(name) {
		return fmt.Errorf("transport %s: %w", name, ErrBuiltIn)
	}
	return w.change(func(tx *store.Tx) error {
		var waiting int64
		// Via is of single recipients: those that wait, are tried now, or are held.
		err := tx.Row(`SELECT (SELECT count(*) FROM messages WHERE finished = 0 AND transport = ?) +
			(SELECT count(*) FROM recipients WHERE state IN (0, 1, 2) AND via = ?)`, name, name).Scan(&waiting)
		if err != nil {
			return err
		}
		if waiting > 0 {
			return fmt.Errorf("transport %s: %w, by mail that waits", name, ErrInUse)
		}
		n, err := tx.Exec(`DELETE FROM transports WHERE name = ?`, name)
		switch {
		case store.IsForeignKey(err):
			return fmt.Errorf("transport %s: %w, by a route", name, ErrInUse)
		case err == nil && n == 0:
			return fmt.Errorf("transport %s: %w", name, ErrUnknown)
		}
		return err
	})
}

// SetRules makes rules all routes that there are, in their order. A route that says what
// one of before said keeps its ID; the IDs and positions of rules are not looked at.
// ErrUnknown: there is no such transport, account or domain.
func (w Within) SetRules(rules []route.Rule) error {
	now, err := w.Table()
	if err != nil {
		return err
	}
	for _, b := range now.Bad {
		return fmt.Errorf("route %s: %w; \"waxwing route remove\" takes it away", delivery.ID(b.Rule.ID), b.Err)
	}
	ids := map[string][]int64{} // of those of before, by what they say
	for i := range now.Rules {
		ids[now.Rules[i].String()] = append(ids[now.Rules[i].String()], now.Rules[i].ID)
	}
	return w.change(func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM routes`); err != nil {
			return err
		}
		for i, r := range rules {
			if err := r.Check(); err != nil {
				return err
			}
			if err := known(tx, r); err != nil {
				return err
			}
			r.Position, r.ID = int64(i), store.NewID()
			if old := ids[r.String()]; len(old) > 0 {
				r.ID, ids[r.String()] = old[0], old[1:]
			}
			if err := insertRule(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}
