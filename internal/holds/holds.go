// Package holds keeps the hold rules (QUE-6): mail that matches all the given
// fields of one rule is kept in the queue until somebody releases it.
package holds

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// Area is the generation that a change of the rules raises.
const Area = "holds"

// Rule is one rule. Empty fields match everything; a rule needs at least one.
type Rule struct {
	ID              delivery.ID `json:"id"`
	Account         string      `json:"account,omitempty"`
	SenderDomain    string      `json:"sender_domain,omitempty"`    // A-labels
	RecipientDomain string      `json:"recipient_domain,omitempty"` // A-labels, or an address literal
	Note            string      `json:"note,omitempty"`
	Created         time.Time   `json:"created"`
}

// String is the rule in words.
func (r *Rule) String() string {
	var parts []string
	for _, p := range []struct{ what, value string }{
		{"of the account ", r.Account}, {"from senders at ", r.SenderDomain}, {"to ", r.RecipientDomain},
	} {
		if p.value != "" {
			parts = append(parts, p.what+p.value)
		}
	}
	s := "mail " + strings.Join(parts, " ") + " is held"
	if r.Note != "" {
		s += ": " + r.Note
	}
	return s
}

// Match returns the first rule that matches, nil for none. It is pure.
func Match(rules []Rule, account, sender string, to delivery.RecipientDomain) *Rule {
	domain := strings.ToLower(sender[strings.LastIndexByte(sender, '@')+1:])
	if n, err := dns.ParseName(domain); err == nil {
		domain = n.ASCII()
	}
	for i := range rules {
		r := &rules[i]
		if (r.Account == "" || r.Account == account) && (r.SenderDomain == "" || r.SenderDomain == domain) &&
			(r.RecipientDomain == "" || r.RecipientDomain == to.String()) {
			return r
		}
	}
	return nil
}

// Store is the rules. Its methods may be called at the same time.
type Store struct {
	DB  *store.Store
	Now func() time.Time // nil: time.Now

	rules store.Cached[[]Rule]
}

// Match says why a message is to be held for a recipient's domain; "" if it is not.
func (s *Store) Match(ctx context.Context, account, sender string, to delivery.RecipientDomain) (string, error) {
	rules, err := s.current(ctx)
	if err != nil {
		return "", err
	}
	if r := Match(rules, account, sender, to); r != nil {
		return r.String(), nil
	}
	return "", nil
}

// current is the rules of the present generation.
func (s *Store) current(ctx context.Context) ([]Rule, error) {
	rules, err := s.rules.Get(ctx, s.DB, Area, read)
	if err != nil {
		return nil, fmt.Errorf("hold rules: %w", err)
	}
	return rules, nil
}

// List returns all rules in the order in which they are asked.
func (s *Store) List(ctx context.Context) ([]Rule, error) { return s.current(ctx) }

// Add makes a rule and returns it with its ID. Mail that waits already is not
// touched but for what was never tried: queue.Hold holds it.
func (s *Store) Add(ctx context.Context, r Rule) (Rule, error) {
	if err := r.complete(); err != nil {
		return r, err
	}
	r.ID, r.Created = delivery.ID(store.NewID()), time.Now()
	if s.Now != nil {
		r.Created = s.Now()
	}
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO hold_rules (id, account, sender_domain, recipient_domain, note, created) VALUES (?, ?, ?, ?, ?, ?)`,
			int64(r.ID), r.Account, r.SenderDomain, r.RecipientDomain, r.Note, store.Time(r.Created))
		if err != nil {
			return err
		}
		return tx.Raise(Area)
	})
	return r, err
}

func (r *Rule) complete() error {
	if r.Account == "" && r.SenderDomain == "" && r.RecipientDomain == "" {
		return errors.New("a hold rule needs an account, a sender's domain or a recipient's domain: without any it would hold all mail")
	}
	if r.SenderDomain != "" {
		n, err := dns.ParseName(r.SenderDomain)
		if err != nil {
			return fmt.Errorf("sender's domain: %w", err)
		}
		r.SenderDomain = n.ASCII()
	}
	if r.RecipientDomain != "" {
		d, err := delivery.ParseRecipientDomain(r.RecipientDomain)
		if err != nil {
			return fmt.Errorf("recipient's domain: %w", err)
		}
		r.RecipientDomain = d.String()
	}
	return nil
}

// ErrNotFound is returned where there is nothing to remove.
var ErrNotFound = errors.New("no such hold rule")

// Remove ends a rule. What it held stays held until it is released.
func (s *Store) Remove(ctx context.Context, id delivery.ID) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM hold_rules WHERE id = ?`, int64(id))
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		return tx.Raise(Area)
	})
}

func read(tx *store.Tx) ([]Rule, error) {
	return store.Collect(tx, func(row store.Row) (Rule, error) {
		var r Rule
		var created int64
		err := row.Scan(&r.ID, &r.Account, &r.SenderDomain, &r.RecipientDomain, &r.Note, &created)
		r.Created = store.FromTime(created)
		return r, err
	}, `SELECT id, account, sender_domain, recipient_domain, note, created FROM hold_rules ORDER BY id`)
}
