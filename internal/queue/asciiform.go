package queue

import (
	"context"
	"fmt"

	"waxwing/internal/delivery"
	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// content is what a job carries: a notification in both its forms, if it has two.
func (q *Queue) content(ctx context.Context, j *job) (delivery.Content, error) {
	c := j.content
	if c == nil {
		var err error
		if c, err = q.body(ctx, j.ID, j.Size); err != nil {
			return nil, err
		}
	}
	if j.Local || j.Purpose != delivery.DSN || !j.SMTPUTF8 && !j.EightBit {
		return c, nil
	}
	data, err := store.Read(ctx, q.Store, func(tx *store.Tx) ([]byte, error) { return spool.Form(tx, j.ID) })
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the second form of notification %s: %w", delivery.ID(j.ID), err)
	case data == nil:
		return c, nil
	}
	return delivery.TwoForms{Content: c, ASCII: delivery.Bytes(data)}, nil
}
