// Package reparse finds out anew how stored mail is built and to which thread it belongs
// (MBX-2): after a fault in package structure was mended, which had been kept with the mail.
// It goes through the mails in small steps, while the server runs, and may be begun again at any time.
package reparse

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/message"
	"waxwing/structure"
)

// step is how many mails are looked at before what has changed of them is written.
const step = 100

// Done is how far it has come.
type Done struct {
	Mails   int64 `json:"mails"`   // that were read
	Changed int64 `json:"changed"` // of these, what is kept of their envelope or parts was another
	Threads int64 `json:"threads"` // of these, those that belong to another thread now
	Failed  int64 `json:"failed"`  // could not be read
}

// Run is one going through. It belongs to one goroutine.
type Run struct {
	Boxes    *mailboxes.Store
	Account  string             // whose mail; "": everybody's
	Progress func(Done)         // after each step; nil: nobody looks
	Failed   func(int64, error) // told of each mail that could not be read

	done  Done
	moved map[thread]int64   // to which thread another has gone
	ids   map[named]struct{} // Message-IDs that mails have got
}

// thread is one of an account, and named a Message-ID there.
type (
	thread struct {
		account string
		id      int64
	}
	named struct{ account, id string }
)

// mail is what is kept of one.
type mail struct {
	id, thread         int64
	account, messageID string
	structure          []byte

	answers   []string // to which mails it answers; only where its thread is looked for
	rethread  bool
	different bool // from what is kept
}

// Do goes through all. What it has written when it ends with an error stays.
func (r *Run) Do(ctx context.Context) (Done, error) {
	r.moved, r.ids = map[thread]int64{}, map[named]struct{}{}
	for after := int64(0); ; {
		some, err := r.page(ctx, after)
		if err != nil || len(some) == 0 {
			return r.done, err
		}
		if err := r.step(ctx, some); err != nil {
			return r.done, err
		}
		after = some[len(some)-1].id
		if r.Progress != nil {
			r.Progress(r.done)
		}
	}
}

// page are the next mails, in the order in which they came.
func (r *Run) page(ctx context.Context, after int64) ([]mail, error) {
	q, args := `SELECT id, account, thread, message_id, structure FROM mails WHERE id > ?`, []any{after}
	if r.Account != "" {
		q, args = q+` AND account = ?`, append(args, r.Account)
	}
	all, err := store.List(ctx, r.Boxes.DB, func(row store.Row) (m mail, err error) {
		return m, row.Scan(&m.id, &m.account, &m.thread, &m.messageID, &m.structure)
	}, q+` ORDER BY id LIMIT ?`, append(args, int64(step))...)
	if err != nil {
		return nil, fmt.Errorf("look for mail: %w", err)
	}
	return all, nil
}

func (r *Run) step(ctx context.Context, some []mail) error {
	var all []mail
	write := false
	for _, m := range some {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch err := r.read(ctx, &m); {
		case errors.Is(err, mailboxes.ErrNoSuchMessage): // it has gone meanwhile
		case err != nil:
			r.done.Failed++
			r.Failed(m.id, err)
		default:
			r.done.Mails++
			_, follows := r.moved[thread{m.account, m.thread}]
			write = write || m.different || m.rethread || follows
			all = append(all, m)
		}
	}
	if !write {
		return nil
	}
	return r.write(ctx, all)
}

// read parses a mail, and says what is to be written of it.
func (r *Run) read(ctx context.Context, m *mail) error {
	c, _, err := r.Boxes.Content(ctx, m.id)
	if err != nil {
		return err
	}
	body, err := c.Open()
	if err != nil {
		return err
	}
	defer body.Close()
	built, err := structure.Parse(body)
	if err != nil {
		return err
	}
	r.compare(m, built)
	return nil
}

// compare finds out what is different from what is kept. A thread is looked for anew only where a
// fault can have led to another one: clients know mails by their threads.
func (r *Run) compare(m *mail, built *structure.Message) {
	now, _ := built.AppendBinary(nil) // which never fails
	old, err := structure.Decode(m.structure)
	if err != nil {
		m.different = true
	} else {
		before, _ := old.AppendBinary(nil)
		m.different = !bytes.Equal(before, now)
		m.rethread = !slices.Equal(old.Answers(), built.Answers())
	}
	if id := message.CleanMessageID(built.Envelope.MessageID); id != m.messageID {
		m.messageID, m.different = id, true
		r.ids[named{m.account, id}] = struct{}{}
	}
	m.structure, m.answers = now, built.Answers()
	m.rethread = m.rethread || m.thread == m.id && slices.ContainsFunc(m.answers, func(id string) bool {
		_, is := r.ids[named{m.account, id}]
		return is
	})
}

// write keeps what was found out of mails, in one transaction. Those that have gone stay so.
func (r *Run) write(ctx context.Context, all []mail) error {
	var done Done
	var moved map[thread]int64
	err := r.Boxes.DB.Write(ctx, func(tx *store.Tx) error {
		done, moved = Done{}, map[thread]int64{}
		for _, m := range all {
			to, err := r.threadOf(tx, m, moved)
			if err != nil {
				return err
			}
			if !m.different && to == m.thread {
				continue
			}
			n, err := tx.Exec(`UPDATE mails SET structure = ?, message_id = ?, thread = ? WHERE id = ?`, store.Blob(m.structure), m.messageID, to, m.id)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			if to != m.thread {
				done.Threads++
				if m.thread == m.id {
					moved[thread{m.account, m.thread}] = to // those that had joined it go along
				}
			}
			if !m.different {
				continue
			}
			done.Changed++
			if _, err := tx.Exec(`INSERT INTO mails_unindexed (account, mail) VALUES (?, ?) ON CONFLICT DO NOTHING`, m.account, m.id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep how mail is built: %w", err)
	}
	r.done.Changed, r.done.Threads = r.done.Changed+done.Changed, r.done.Threads+done.Threads
	for from, to := range moved {
		r.moved[from] = to
	}
	return nil
}

// maxReferences is of how many messages a thread is looked for, as at delivery.
const maxReferences = 20

// threadOf is that of the newest mail that a mail answers to; else the one that it has, or where
// that has gone.
func (r *Run) threadOf(tx *store.Tx, m mail, moved map[thread]int64) (int64, error) {
	kept := m.thread
	for _, all := range []map[thread]int64{r.moved, moved} {
		if to, gone := all[thread{m.account, kept}]; gone {
			kept = to
		}
	}
	if !m.rethread {
		return kept, nil
	}
	for i := len(m.answers) - 1; i >= max(0, len(m.answers)-maxReferences); i-- {
		var t int64
		err := tx.Row(`SELECT thread FROM mails WHERE message_id = ? AND message_id <> '' AND account = ? AND id < ? ORDER BY id DESC LIMIT 1`, m.answers[i], m.account, m.id).Scan(&t)
		if !errors.Is(err, sql.ErrNoRows) {
			return t, err
		}
	}
	return m.id, nil
}
