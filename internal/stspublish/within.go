package stspublish

import (
	"database/sql"
	"errors"
	"time"

	"waxwing/dns"
	"waxwing/internal/store"
	"waxwing/mtasts"
)

// Within is the service in a transaction of the caller's, so that several changes are made
// together or not at all.
type Within struct {
	s  *Service
	tx *store.Tx
}

// Within looks and changes in tx.
func (s *Service) Within(tx *store.Tx) Within { return Within{s, tx} }

// Put publishes a policy, whatever the MX records are: see Service.Fits. One with the text
// that is published already changes nothing.
func (w Within) Put(domain dns.Name, p *mtasts.Policy) error {
	text := p.Text()
	if _, perr := mtasts.ParsePolicy([]byte(text)); perr != nil {
		return perr
	}
	now := time.Now()
	if w.s.Now != nil {
		now = w.s.Now()
	}
	var oldText, oldID string
	err := w.tx.Row(`SELECT policy, id FROM sts_published WHERE domain = ?`+w.tx.Wait(), domain.ASCII()).Scan(&oldText, &oldID)
	if err == nil && oldText == text || err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = w.tx.Exec(`INSERT INTO sts_published (domain, policy, id, changed) VALUES (?, ?, ?, ?)
		ON CONFLICT (domain) DO UPDATE SET policy = excluded.policy, id = excluded.id, changed = excluded.changed`,
		domain.ASCII(), text, nextID(oldID, now), store.Time(now))
	if err != nil {
		return err
	}
	return w.tx.Raise(Area)
}

// Remove ends the serving of a domain's policy; ErrNone.
func (w Within) Remove(domain dns.Name) error {
	n, err := w.tx.Exec(`DELETE FROM sts_published WHERE domain = ?`, domain.ASCII())
	switch {
	case err != nil:
		return err
	case n == 0:
		return ErrNone
	}
	return w.tx.Raise(Area)
}

// List is all policies, by domain.
func (w Within) List() ([]Published, error) {
	return store.Collect(w.tx, scan, `SELECT domain, policy, id, changed FROM sts_published ORDER BY domain`)
}
