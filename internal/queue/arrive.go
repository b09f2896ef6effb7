package queue

import (
	"context"
	"fmt"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// arrive accepts a message and delivers it here in one transaction, where that
// is all there is to do: every recipient in a mailbox of this server, no
// notification to be sent. Half the work of queueing and settling it. Not done without
// an error means that no envelope is stored: the ordinary way is open. With an error
// nobody knows whether the commit was made: the client must come again.
func (q *Queue) arrive(ctx context.Context, m *message, groups [][]delivery.Recipient) (done bool, err error) {
	if q.Local == nil || len(m.held) > 0 || m.env.NotBefore.After(q.Now()) || m.env.Purpose == delivery.DSN {
		return false, nil
	}
	var all []*settlement
	for _, g := range groups {
		s := q.arrival(ctx, m, g)
		if s == nil {
			return false, nil
		}
		all = append(all, s)
	}
	var refused error // by what runs before the commit: the transaction is undone for certain
	err = q.Store.Write(ctx, func(tx *store.Tx) error {
		refused = m.writeArrived(tx, all)
		return refused
	})
	switch {
	case refused != nil:
		q.Log.Warn("message not delivered on arrival, it is queued instead", "message", LogID(m.env.ID), "error", refused)
		return false, nil
	case err != nil:
		return false, fmt.Errorf("deliver the message on arrival: %w", err)
	}
	for _, s := range all {
		s.settled(ctx)
	}
	return true, nil
}

func (m *message) writeArrived(tx *store.Tx, all []*settlement) error {
	if err := m.insertArrived(tx, all); err != nil {
		return err
	}
	var copies []delivery.Copy
	for _, s := range all {
		copies = append(copies, s.copies()...)
	}
	if err := all[0].deliver(tx, copies, m.inline); err != nil {
		return err
	}
	for _, s := range all {
		if err := s.arrived(tx); err != nil {
			return err
		}
	}
	return nil
}

// arrival makes the one attempt at a group of local recipients, up to its
// transaction; nil where it would not settle them all as delivered, quietly.
func (q *Queue) arrival(ctx context.Context, m *message, g []delivery.Recipient) *settlement {
	rows := make([]row, len(g))
	for i, r := range g {
		if !r.Local || r.Notify.Wants(delivery.NotifySuccess) {
			return nil
		}
		rows[i] = row{Recipient: r, message: m.env.ID, domain: r.Domain.String(), dest: r.Domain.String(), local: true}
	}
	j := q.newJob(*m.env, rows, 0, q.Now())
	j.Lease = nil                        // nobody else can see it yet
	j.content = delivery.Bytes(m.inline) // a mailbox gets the body as it is stored: nobody reads this
	res := q.attempt(ctx, j)
	if !j.Local || len(res.Copies) == 0 {
		return nil
	}
	s := &settlement{q: q, job: j, res: &res, rows: j.rows}
	s.c = circumstances{schedule: q.schedule(j.Purpose), now: q.Now()}
	if s.prepare(ctx) != nil {
		return nil
	}
	for _, v := range s.verdicts {
		if v.state != Delivered {
			return nil
		}
	}
	if s.notice != nil {
		return nil
	}
	return s
}

// insertArrived writes envelope and recipients as settled; the body is held by the
// mailboxes alone.
func (m *message) insertArrived(tx *store.Tx, all []*settlement) error {
	if all[0].q.History < 0 {
		return nil
	}
	if err := m.insertEnvelope(tx, 0, all[0].c.now); err != nil {
		return err
	}
	for _, s := range all {
		for i := range s.verdicts {
			v := &s.verdicts[i]
			_, err := tx.Exec(`INSERT INTO recipients (id, message, address, domain, local, orcpt, notify, state, due, owner, claim, attempts,
				last_attempt, delay_told, first_fail, first_fail_at, last_addrs, word, text, reply, host, tls, account)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, 1, ?, 0, '', 0, '', ?, '', '', '', '', ?)`,
				v.ID, m.env.ID, v.Address, v.domain, v.Local, v.ORcpt, int64(v.Notify), int64(v.state), store.Time(v.due),
				store.Time(v.LastAttempt), string(v.result.Word), m.env.Account)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// arrived is the part of write that is left where the rows are new.
func (s *settlement) arrived(tx *store.Tx) error {
	if err := s.history(tx); err != nil {
		return err
	}
	return s.contain(func() error { return s.hooks(tx) })
}
