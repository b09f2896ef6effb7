package spool

import (
	"math"
	"slices"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/store"
)

// ActionBatch is how many recipients one transaction changes.
const ActionBatch = 256

// change runs a statement that ends in "id IN " for recipients, at most ActionBatch. It
// returns how many it has changed.
func change(tx *store.Tx, ids []int64, stmt string, args ...any) (int, error) {
	list, more := inList(ids)
	n, err := tx.Exec(stmt+list, slices.Concat(args, more)...)
	return int(n), err
}

// Hold holds those of some recipients that wait.
func Hold(tx *store.Tx, ids []int64, word reason.Word, why string) (int, error) {
	return change(tx, ids, `UPDATE recipients SET state = 2, word = ?, text = ? WHERE state = 0 AND id IN `, string(word), Clip(why))
}

// Unhold lets held ones wait.
func Unhold(tx *store.Tx, ids []int64, word reason.Word) (int, error) {
	return change(tx, ids, `UPDATE recipients SET state = 0, word = ?, text = '' WHERE state = 2 AND id IN `, string(word))
}

// SetDue says when those that wait are due.
func SetDue(tx *store.Tx, ids []int64, at time.Time) (int, error) {
	return change(tx, ids, `UPDATE recipients SET due = ? WHERE state = 0 AND id IN `, store.Time(at))
}

// SetNeed changes what transport security waiting and held ones ask for.
func SetNeed(tx *store.Tx, ids []int64, need delivery.TLSNeed) (int, error) {
	return change(tx, ids, `UPDATE recipients SET need = ? WHERE state IN (0, 2) AND id IN `, int64(need))
}

// SetTransport changes the transport of waiting and held ones; "": the routes choose.
func SetTransport(tx *store.Tx, ids []int64, name string) (int, error) {
	return change(tx, ids, `UPDATE recipients SET via = ? WHERE state IN (0, 2) AND id IN `, name)
}

// Move puts waiting and held ones into the lane of another contact.
func Move(tx *store.Tx, ids []int64, to delivery.Contact) (int, error) {
	return change(tx, ids, `UPDATE recipients SET dest = ? WHERE state IN (0, 2) AND id IN `, to.String())
}

// Placed reads those of some recipients, at most ActionBatch, that wait or are held and
// leave this server, with as much of their messages as routes ask for.
func Placed(tx *store.Tx, ids []int64) ([]Item, error) {
	list, args := inList(ids)
	return store.Collect(tx, func(r store.Row) (it Item, err error) {
		err = r.Scan(&it.Entry.ID, &it.DomainText, contactInto{&it.Contact}, &it.Attempts, &it.Envelope.Need, &it.Envelope.Transport,
			&it.Envelope.Purpose, &it.Envelope.Sender, &it.Envelope.Account)
		it.parse()
		it.Entry.Account = it.Envelope.Account
		return it, err
	}, `SELECT r.id, r.domain, r.dest, r.attempts, COALESCE(r.need, m.need), COALESCE(r.via, m.transport), m.purpose, m.sender, r.account
		FROM recipients r JOIN messages m ON m.id = r.message WHERE r.state IN (0, 2) AND r.local = 0 AND r.id IN `+list, args...)
}

// Routed is the generation of the routes by which all that waits was put into its lanes.
func Routed(tx *store.Tx) (generation int64, err error) {
	err = tx.Row(`SELECT COALESCE(max(generation), 0) FROM queue_routed`).Scan(&generation)
	return generation, err
}

// SetRouted notes it.
func SetRouted(tx *store.Tx, generation int64) error {
	_, err := tx.Exec(`INSERT INTO queue_routed (one, generation) VALUES (1, ?)
		ON CONFLICT (one) DO UPDATE SET generation = excluded.generation`, generation)
	return err
}

const (
	lanesAfter = `SELECT ` + laneColumns + ` FROM lanes WHERE (dest, local, account) > (?, ?, ?) ORDER BY dest, local, account LIMIT ?`
	rowsAfter  = `SELECT id, due FROM recipients WHERE state = 0 AND dest = ? AND local = ? AND account = ? AND (due, id) > (?, ?) ORDER BY due, id LIMIT ?`
)

// LanesAfter reads some lanes behind one, in the order of the table.
func LanesAfter(tx *store.Tx, last delivery.Lane) ([]delivery.Lane, error) {
	local := int64(0)
	if last.To.Local {
		local = 1
	}
	return store.Collect(tx, scanLane, lanesAfter, last.To.String(), local, last.Account, int64(dueLanes))
}

// Place is where a row stands in its lane.
type Place struct{ due, id int64 }

// Start is before all rows of a lane.
func Start() Place { return Place{due: math.MinInt64} }

// WaitingAfter reads the rows that wait in a lane behind a place, at most ActionBatch, and
// the place of the last.
func WaitingAfter(tx *store.Tx, l delivery.Lane, p Place) (ids []int64, last Place, err error) {
	last = p
	err = tx.Each(func(r store.Row) error {
		err := r.Scan(&last.id, &last.due)
		ids = append(ids, last.id)
		return err
	}, rowsAfter, l.To.String(), l.To.Local, l.Account, p.due, p.id, int64(ActionBatch))
	return ids, last, err
}
