package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// insertForm keeps a notification's form in US-ASCII beside its body (QUE-12);
// nil: there is none.
func insertForm(tx *store.Tx, id int64, ascii []byte) error {
	if ascii == nil {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO ascii_forms (message, data) VALUES (?, ?)`, id, ascii)
	return err
}

// deleteForm removes it with the body.
func deleteForm(tx *store.Tx, id int64) error {
	_, err := tx.Exec(`DELETE FROM ascii_forms WHERE message = ?`, id)
	return err
}

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
	var data []byte
	err := q.Store.Read(ctx, func(tx *store.Tx) error {
		data = nil
		return tx.Row(`SELECT data FROM ascii_forms WHERE message = ?`, j.ID).Scan(&data)
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return c, nil
	case err != nil:
		return nil, fmt.Errorf("read the second form of notification %s: %w", LogID(j.ID), err)
	}
	return delivery.TwoForms{Content: c, ASCII: delivery.Bytes(data)}, nil
}
