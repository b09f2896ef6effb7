package tlsreport

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// Notice is something that the operator is told once: by mail to the postmaster and by
// the webhook, as alerts are.
type Notice struct {
	What    string `json:"-"`     // names it for good: what was told once is not told again
	Event   string `json:"event"` // its kind, for the webhook
	Host    string `json:"host"`
	Subject string `json:"subject"`
	Text    string `json:"text"` // lines end in LF
}

// Tell tells the operator, unless this or another machine has done so. It does nothing
// where there is nobody to tell.
func (s *Service) Tell(ctx context.Context, n Notice) error {
	if s.Postmaster == nil && s.Webhook == "" {
		return nil
	}
	n.Host = s.Hostname.ASCII()
	env, data, err := s.mailToPostmaster(ctx, n.Subject, n.Text)
	if err != nil {
		return fmt.Errorf("compose the notice about %s: %w", n.What, err)
	}
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	var content delivery.Content
	if env != nil {
		if content, err = s.Enqueuer.Prepare(ctx, env, delivery.Bytes(data)); err != nil {
			return fmt.Errorf("store the notice about %s: %w", n.What, err)
		}
	}
	told := false
	err = s.write(ctx, func(tx *store.Tx) error {
		now := s.now()
		k, err := tx.Exec(`INSERT INTO told (what, at) VALUES (?, ?) ON CONFLICT (what) DO NOTHING`, n.What, store.Time(now))
		if told = k == 0; err != nil || told {
			return err
		}
		if env != nil {
			if err := s.Enqueuer.EnqueueTx(tx, env, content); err != nil {
				return err
			}
		}
		return s.hook(tx, body, now)
	})
	if err != nil {
		return fmt.Errorf("queue the notice about %s: %w", n.What, err)
	}
	if env != nil && !told {
		s.Enqueuer.Wake()
	}
	return nil
}

// hook gives the webhook something to tell, if there is one.
func (s *Service) hook(tx *store.Tx, body []byte, now time.Time) error {
	if s.Webhook == "" {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO tls_hooks (id, body, state, due, tries, claim, expires, note) VALUES (?, ?, 'waiting', ?, 0, 0, ?, '')`,
		store.NewID(), string(body), store.Time(now), store.Time(now.Add(24*time.Hour)))
	return err
}
