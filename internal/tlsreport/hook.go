package tlsreport

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/store"
)

// hook is one alert on its way to the webhook.
type hook struct {
	id, claim int64
	tries     int
	expires   time.Time
	body      string
}

// nextHook hands one due alert to the webhook. It returns false when none is due.
func (s *Service) nextHook(ctx context.Context) (bool, error) {
	if s.Webhook == "" {
		return false, nil
	}
	h, err := s.claimHook(ctx)
	if h == nil || err != nil {
		return false, err
	}
	return true, s.contain(ctx, h, func() error {
		a := s.post(ctx, s.hookClient(), s.Webhook, "application/json", []byte(h.body))
		if ctx.Err() != nil {
			return nil
		}
		return s.hooked(ctx, h, a)
	})
}

// hooked settles a try.
func (s *Service) hooked(ctx context.Context, h *hook, a answer) error {
	now := s.now()
	if a.state == "waiting" && a.next(h.tries, now).After(h.expires) {
		a.state = "failed"
	}
	err := s.write(ctx, func(tx *store.Tx) error { return h.settle(tx, a, now) })
	if err != nil {
		return fmt.Errorf("settle the alert to the webhook: %w", err)
	}
	s.log().Info("alert posted", "state", a.state, "try", h.tries, "result", a.note)
	return nil
}

// settle notes the result of a try, if the alert is still ours.
func (h *hook) settle(tx *store.Tx, a answer, now time.Time) error {
	_, err := tx.Exec(`UPDATE tls_hooks SET state = ?, due = ?, note = ? WHERE id = ? AND claim = ?`,
		a.state, store.Time(a.next(h.tries, now)), clip(a.note), h.id, h.claim)
	return err
}

func (s *Service) claimHook(ctx context.Context) (*hook, error) {
	var got *hook
	now := s.now()
	err := s.write(ctx, func(tx *store.Tx) error {
		got = nil
		var h hook
		var expires int64
		err := tx.Row(`SELECT id, claim, tries, expires, body FROM tls_hooks WHERE state = 'waiting' AND due <= ? ORDER BY due, id LIMIT 1`+tx.Lock(),
			store.Time(now)).Scan(&h.id, &h.claim, &h.tries, &expires, &h.body)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE tls_hooks SET claim = claim + 1, tries = tries + 1, due = ? WHERE id = ? AND claim = ?`, store.Time(now.Add(lease)), h.id, h.claim)
		if err != nil || n != 1 {
			return err
		}
		h.claim++
		h.tries++
		h.expires = store.FromTime(expires)
		got = &h
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim an alert: %w", err)
	}
	return got, nil
}
