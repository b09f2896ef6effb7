package tlsreport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/guard"
	"waxwing/internal/panics"
	"waxwing/internal/store"
)

// claimed is a piece of work that this machine has claimed.
type claimed interface {
	area() guard.Area
	key() string
	fail(tx *store.Tx, now time.Time) error // settles it as failed
}

// noteInternal is the note of what was settled as failed for its panics.
const noteInternal = "given up: an internal error of this server, which is in its log"

func (u *unit) area() guard.Area { return guard.ReportUnit }
func (u *unit) key() string      { return fmt.Sprintf("%s %d %s", u.date(), u.kind, u.name) }
func (u *unit) fail(tx *store.Tx, _ time.Time) error {
	return u.settle(tx, unitFailed, "", noteInternal)
}

func (p *post) area() guard.Area { return guard.ReportPost }
func (p *post) key() string      { return fmt.Sprint(p.id) }

func (p *post) fail(tx *store.Tx, now time.Time) error {
	if err := p.ours(tx, now); err != nil {
		return err
	}
	_, err := end(tx, p.id, "failed", noteInternal, now)
	return err
}

func (h *hook) area() guard.Area { return guard.Hook }
func (h *hook) key() string      { return fmt.Sprint(h.id) }
func (h *hook) fail(tx *store.Tx, now time.Time) error {
	return h.settle(tx, answer{state: "failed", note: noteInternal}, now)
}

// contain does a piece of work. After a panic it is done again when the claim runs
// out, and with panics.Most of them it is settled as failed (OPS-9): the others go on.
func (s *Service) contain(ctx context.Context, c claimed, work func() error) error {
	err := s.Guard.Try(c.area(), work, "unit", c.key())
	if !guard.Contained(err) {
		return err
	}
	n, err := panics.Count(ctx, s.Store, c.area(), c.key(), s.now())
	if n < panics.Most || err != nil {
		return err
	}
	err = s.write(ctx, func(tx *store.Tx) error { return c.fail(tx, s.now()) })
	if err != nil && !errors.Is(err, errLost) {
		return fmt.Errorf("settle %s %s as failed: %w", c.area(), c.key(), err)
	}
	if c.area() == guard.ReportUnit {
		s.count("out", unitFailed)
	}
	s.log().Error("given up after panics", "area", string(c.area()), "unit", c.key(), "panics", n)
	return nil
}
