// Package routes keeps transports and routes in the store (TRA-1, TRA-4). What
// is read often, the whole of both, is cached until the generation row (area
// "routes") says that another process or machine has changed it.
package routes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/store"
)

// Area is the generation that every change here raises.
const Area = "routes"

// What a change can come to.
var (
	ErrExists  = errors.New("it exists already")
	ErrUnknown = errors.New("there is none")
	ErrInUse   = errors.New("it is still in use")
	ErrBuiltIn = errors.New("it is built in and cannot be changed")
)

// Store is safe for concurrent use once its fields are set.
type Store struct {
	DB  *store.Store
	Now func() time.Time // nil: time.Now

	table store.Cached[*Table]
}

// Table is all transports and routes at one moment. It is not changed once made.
type Table struct {
	route.Ways // the rules in the order in which they are asked
	// Broken are transports, by name, and routes that cannot be read, with the reason.
	Broken map[string]error
}

// Table is the present state. It costs one small read unless something changed.
func (s *Store) Table(ctx context.Context) (*Table, error) {
	t, err := s.table.Get(ctx, s.DB, Area, read)
	if err != nil {
		return nil, fmt.Errorf("read the routes: %w", err)
	}
	return t, nil
}

// read reads all in one snapshot, the generation with it.
func read(tx *store.Tx) (t *Table, err error) {
	t = &Table{Ways: route.Ways{Transports: map[string]route.Transport{}}, Broken: map[string]error{}}
	if t.Generation, err = tx.Generation(Area); err != nil {
		return nil, err
	}
	if err := t.readTransports(tx); err != nil {
		return nil, err
	}
	if err := t.readRules(tx); err != nil {
		return nil, err
	}
	slices.SortFunc(t.Rules, func(a, b route.Rule) int {
		switch {
		case route.Before(&a, &b):
			return -1
		case route.Before(&b, &a):
			return 1
		}
		return 0
	})
	return t, nil
}

func (t *Table) readTransports(tx *store.Tx) error {
	return tx.Each(func(r store.Row) error {
		var name, kind, settings, secrets string
		if err := r.Scan(&name, &kind, &settings, &secrets); err != nil {
			return err
		}
		tr, err := decode(name, kind, settings, secrets)
		if err != nil {
			t.Broken[name] = err
			return nil
		}
		t.Transports[name] = tr
		return nil
	}, `SELECT name, kind, settings, secrets FROM transports`)
}

// secrets are what stands apart from the settings.
type secrets struct {
	Password      string `json:"password,omitempty"`
	ProxyPassword string `json:"proxy_password,omitempty"`
}

func encode(t route.Transport) (settings, hidden string, err error) {
	b, err := json.Marshal(t)
	if err != nil {
		return "", "", err
	}
	s := secrets{string(t.Password), string(t.ProxyPassword)}
	if s == (secrets{}) {
		return string(b), "", nil
	}
	h, err := json.Marshal(s)
	return string(b), string(h), err
}

// decode reads a row, strictly: a setting that this version does not know must not be
// ignored, for it may be the one that keeps mail safe.
func decode(name, kind, settings, hidden string) (route.Transport, error) {
	t := route.Transport{Name: name, Kind: route.Kind(kind)}
	if settings != "" {
		if err := strict(settings, &t); err != nil {
			return t, fmt.Errorf("transport %s: its settings cannot be read: %w", name, err)
		}
	}
	if hidden != "" {
		var s secrets
		if strict(hidden, &s) != nil { // an error could quote it
			return t, fmt.Errorf("transport %s: its secrets cannot be read", name)
		}
		t.Password, t.ProxyPassword = route.Secret(s.Password), route.Secret(s.ProxyPassword)
	}
	if t.Name != name || string(t.Kind) != kind {
		return t, fmt.Errorf("transport %s: its settings are those of another", name)
	}
	if err := t.Check(); err != nil {
		return t, fmt.Errorf("transport %s: %w", name, err)
	}
	return t, nil
}

func strict(text string, v any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func (t *Table) readRules(tx *store.Tx) error {
	return tx.Each(func(row store.Row) error {
		var r route.Row
		if err := row.Scan(&r.ID, &r.Scope, &r.Owner, &r.Position, &r.Recipient, &r.Sender, &r.MinAttempts, &r.Need, &r.Transport); err != nil {
			return err
		}
		rule, bad := r.Read()
		if bad != nil {
			t.Bad = append(t.Bad, *bad)
			t.Broken["route "+delivery.ID(r.ID).String()] = bad.Err
			return nil
		}
		t.Rules = append(t.Rules, rule)
		return nil
	}, `SELECT id, scope, owner, position, recipient, sender, min_attempts, need, transport FROM routes`)
}

// change runs fn in a transaction that raises the area.
func (s *Store) change(ctx context.Context, fn func(tx *store.Tx) error) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error { return s.Within(tx).change(fn) })
}

// AddTransport stores a new transport; ErrExists, or what Check finds.
func (s *Store) AddTransport(ctx context.Context, t route.Transport) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error { return s.Within(tx).AddTransport(t) })
}

// SetTransport changes one that exists, its secrets too; ErrUnknown, ErrBuiltIn.
func (s *Store) SetTransport(ctx context.Context, t route.Transport) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error { return s.Within(tx).SetTransport(t) })
}

func builtIn(name string) bool { return name == route.DirectName || name == route.LocalName }

// RemoveTransport forgets a transport. ErrInUse while a route or waiting mail names
// it, ErrBuiltIn, ErrUnknown.
func (s *Store) RemoveTransport(ctx context.Context, name string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error { return s.Within(tx).RemoveTransport(name) })
}

// Transports lists all transports by name.
func (s *Store) Transports(ctx context.Context) ([]route.Transport, error) {
	t, err := s.Table(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]route.Transport, 0, len(t.Transports))
	for _, tr := range t.Transports {
		out = append(out, tr)
	}
	slices.SortFunc(out, func(a, b route.Transport) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// KeepsMailboxes says why a transport leads to no program that keeps mailboxes (INB-14); nil: it does.
func (s *Store) KeepsMailboxes(ctx context.Context, name string) error {
	all, err := s.Transports(ctx)
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.Name == name && t.Kind == route.LMTP {
			return nil
		}
	}
	return fmt.Errorf("there is no transport of kind lmtp with the name %s; \"waxwing transport add %s --kind lmtp --host /run/dovecot/lmtp\" makes one", name, name)
}

// AddRule stores a route behind those of its scope and owner, or before them,
// and returns it with its ID. ErrUnknown: there is no such transport, or account.
func (s *Store) AddRule(ctx context.Context, r route.Rule, first bool) (route.Rule, error) {
	if err := r.Check(); err != nil {
		return r, err
	}
	r.ID = store.NewID()
	err := s.change(ctx, func(tx *store.Tx) (err error) {
		if err := known(tx, r); err != nil {
			return err
		}
		if r.Position, err = position(tx, r, first); err != nil {
			return err
		}
		return insertRule(tx, r)
	})
	return r, err
}

func insertRule(tx *store.Tx, r route.Rule) error {
	need := int64(-1)
	if r.Need != nil {
		need = int64(*r.Need)
	}
	_, err := tx.Exec(`INSERT INTO routes (id, scope, owner, position, recipient, sender, min_attempts, need, transport)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, int64(r.Scope), r.Owner, r.Position, r.Recipient.String(), r.Sender.String(), int64(r.MinAttempts), need, r.Transport)
	if store.IsForeignKey(err) { // removed since known looked
		return fmt.Errorf("transport %s: %w", r.Transport, ErrUnknown)
	}
	return err
}

// known refuses a route to nowhere, or of nobody: a slip of the pen would let
// mail go another way than the operator believes.
func known(tx *store.Tx, r route.Rule) error {
	var n int64
	if err := tx.Row(`SELECT count(*) FROM transports WHERE name = ?`, r.Transport).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("transport %s: %w", r.Transport, ErrUnknown)
	}
	query := map[route.Scope]string{
		route.OfAccount: `SELECT count(*) FROM accounts WHERE name = ?`,
		route.OfDomain:  `SELECT count(*) FROM domains WHERE name = ?`,
	}[r.Scope]
	if query == "" {
		return nil
	}
	if err := tx.Row(query, r.Owner).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%s %s: %w", r.Scope, r.Owner, ErrUnknown)
	}
	return nil
}

func position(tx *store.Tx, r route.Rule, first bool) (int64, error) {
	query, step := `SELECT max(position) FROM routes WHERE scope = ? AND owner = ?`, int64(1)
	if first {
		query, step = `SELECT min(position) FROM routes WHERE scope = ? AND owner = ?`, -1
	}
	var at *int64
	if err := tx.Row(query, int64(r.Scope), r.Owner).Scan(&at); err != nil {
		return 0, err
	}
	if at == nil {
		return 0, nil
	}
	return *at + step, nil
}

// RemoveRule forgets a route; ErrUnknown.
func (s *Store) RemoveRule(ctx context.Context, id int64) error {
	return s.change(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM routes WHERE id = ?`, id)
		if err == nil && n == 0 {
			err = fmt.Errorf("route %s: %w", delivery.ID(id), ErrUnknown)
		}
		return err
	})
}

func (s *Store) now() int64 {
	if s.Now != nil {
		return store.Time(s.Now())
	}
	return store.Time(time.Now())
}
