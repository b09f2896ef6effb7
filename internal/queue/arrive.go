package queue

import (
	"context"
	"fmt"
	"slices"

	"waxwing/internal/delivery"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/smtp"
)

// arrive accepts a message and delivers it here in one transaction, where that
// is all there is to do: every recipient in a mailbox of this server, no
// notification to be sent. Half the work of queueing and settling it. Not done without
// an error means that no envelope is stored: the ordinary way is open. With an error
// nobody knows whether the commit was made: the client must come again; or it is a
// *smtp.Reply, and nothing was written.
func (q *Queue) arrive(ctx context.Context, m *message, c delivery.Content, groups [][]spool.Entry) (done bool, err error) {
	if q.Local == nil || m.held() || m.env.NotBefore.After(q.Now()) || m.env.Purpose == delivery.DSN {
		return false, nil
	}
	var all []*settlement
	for _, g := range groups {
		s, reply := q.arrival(ctx, m, c, g)
		if reply != nil && len(groups) == 1 {
			return false, reply
		}
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
		q.Log.Warn("message not delivered on arrival, it is queued instead", "message", delivery.ID(m.env.ID), "error", refused)
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
	if err := all[0].deliver(tx, copies, m.packed); err != nil {
		return err
	}
	for _, s := range all {
		if err := s.arrived(tx); err != nil {
			return err
		}
	}
	return m.conclude(tx)
}

// arrival makes the one attempt at a group of local recipients, up to its
// transaction; nil where it would not settle them all as delivered, quietly. The reply refuses
// the message for all of them.
func (q *Queue) arrival(ctx context.Context, m *message, c delivery.Content, g []spool.Entry) (*settlement, *smtp.Reply) {
	for i := range g {
		if !g[i].Local || g[i].Notify.Wants(delivery.NotifySuccess) {
			return nil, nil
		}
	}
	j := q.newJob(*m.env, g, spool.Lease{})
	j.Lease = nil // nobody else can see it yet
	j.content = c // a mailbox gets the body as it is stored; aliases look at the header
	res := q.attempt(ctx, j)
	if !j.Local || len(res.Copies) == 0 || len(res.Forwards) > 0 {
		return nil, res.RefusedByScript()
	}
	s := &settlement{q: q, job: j, res: &res, rows: j.rows, now: q.Now()}
	undelivered := func(e spool.Entry) bool { return e.State != spool.Delivered }
	if s.prepare(ctx) != nil || s.notice != nil || slices.ContainsFunc(s.next, undelivered) {
		return nil, nil
	}
	return s, nil
}

// insertArrived writes envelope and recipients as settled; the body is held by the
// mailboxes alone.
func (m *message) insertArrived(tx *store.Tx, all []*settlement) error {
	if all[0].q.History < 0 {
		return nil
	}
	if err := spool.InsertEnvelope(tx, m.env, 0, all[0].now); err != nil {
		return err
	}
	for _, s := range all {
		if err := spool.InsertEntries(tx, s.next); err != nil {
			return err
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
