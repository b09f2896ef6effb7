package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/store"
)

// A claim is written before anything is dialled (QUE-2). "state = 0" and "state
// = 1" name the partial indexes.
const (
	claimSet = `UPDATE recipients SET state = 1, owner = ?, claim = ?, due = ?, attempts = attempts + 1 WHERE id IN (`
	// Of rows whose owner let the lease run out because it crashed or lost its database.
	claimExpired = claimSet + `SELECT id FROM recipients WHERE state = 1 AND due <= ? ORDER BY due, id LIMIT ?`
	// Of rows by their identifiers.
	claimIDs = claimSet + `SELECT id FROM recipients WHERE state = 0 AND id IN `
	// attention are rows that wait for too long without being due.
	attention = `SELECT id, dest, local, due FROM recipients WHERE state = 0 AND attend <= ? ORDER BY attend LIMIT ?`
	// returned are the columns that a claim reads; scanRow knows their order.
	returned   = `) RETURNING ` + rowColumns
	rowColumns = `id, message, address, domain, dest, local, orcpt, notify, attempts, last_attempt,
		delay_told, first_fail, first_fail_at, last_addrs, account, need, via, word, text, reply, host, unanswered`
)

// attendBatch bounds the rows that one claim takes for being looked at.
const attendBatch = 100

// claiming is one claim on its way.
type claiming struct {
	q      *Queue
	tx     *store.Tx
	number int64
	now    time.Time
	end    time.Time
	room   int
	rows   []row
	more   bool // there is more due that found no room
}

// claim leases up to limit due recipients to this machine (and the rest of their
// messages' recipients) and returns them as jobs. What comes first: leases that ran out,
// delays to be told and times that are over, then lanes in turn. more says that
// another claim would find more at once.
func (q *Queue) claim(ctx context.Context, limit int) (jobs []*job, more bool, err error) {
	return q.claimAs(ctx, store.NewID(), limit)
}

// claimAs is claim under a number that is given.
func (q *Queue) claimAs(ctx context.Context, number int64, limit int) (jobs []*job, more bool, err error) {
	c := &claiming{q: q, number: number, now: q.Now()}
	c.end = c.now.Add(q.Lease)
	var expired int
	var envs map[int64]delivery.Envelope
	err = q.Store.Write(ctx, func(tx *store.Tx) (err error) {
		c.tx, c.rows, c.room, c.more = tx, nil, limit, false
		if expired, err = c.take(claimExpired, store.Time(c.now), int64(c.room)); err != nil {
			return err
		}
		if err := c.attend(); err != nil {
			return err
		}
		if err := c.lanes(); err != nil {
			return err
		}
		envs, err = envelopes(tx, c.rows)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("claim due messages: %w", err)
	}
	if expired > 0 {
		q.Log.Warn("took over recipients whose lease had run out", "recipients", expired)
	}
	jobs, gone := strays(q.ways(ctx), q.jobs(c.rows, envs, c.number, c.end))
	q.giveBack(context.WithoutCancel(ctx), gone, c.now)
	return jobs, c.more || len(gone) > 0, nil
}

// take claims rows by a statement.
func (c *claiming) take(stmt string, args ...any) (int, error) {
	rows, err := scanRows(c.tx, stmt+c.tx.Lock()+returned, append([]any{c.q.Owner, c.number, store.Time(c.end)}, args...)...)
	c.rows = append(c.rows, rows...)
	c.room -= len(rows)
	c.more = c.more || c.room <= 0
	return len(rows), err
}

// takeIDs claims rows that wait, by their identifiers.
func (c *claiming) takeIDs(ids []int64) error {
	return eachIn(ids, func(list string, args []any) error {
		_, err := c.take(claimIDs+list, args...)
		return err
	})
}

// attend claims rows whose sender has to hear of a delay, or whose time is over,
// and which are not going to be tried now.
func (c *claiming) attend() error {
	if c.room <= 0 {
		return nil
	}
	type found struct {
		id  int64
		to  dispatch.Contact
		due time.Time
	}
	all, err := store.Collect(c.tx, func(r store.Row) (f found, err error) {
		var due int64
		err = r.Scan(&f.id, &f.to.Name, &f.to.Local, &due)
		f.due = store.FromTime(due)
		return f, err
	}, attention+c.tx.Lock(), store.Time(c.now), int64(min(c.room, attendBatch)))
	if err != nil || len(all) == 0 {
		return err
	}
	contacts, ids := make([]dispatch.Contact, len(all)), make([]int64, len(all))
	for i, f := range all {
		contacts[i], ids[i] = f.to, f.id
	}
	closed, err := closings(c.tx, contacts)
	if err != nil {
		return err
	}
	due := map[int64]time.Time{} // of those that are only looked at
	for _, f := range all {
		if f.due.After(c.now) || !dispatch.ClosedUntil(closed, f.to, c.now).IsZero() {
			due[f.id] = f.due
		}
	}
	from := len(c.rows)
	if err := c.takeIDs(ids); err != nil {
		return err
	}
	for i := range c.rows[from:] {
		r := &c.rows[from+i]
		r.dueWas = due[r.ID]
	}
	c.more = c.more || len(all) == attendBatch
	return nil
}

func scanRows(tx *store.Tx, query string, args ...any) ([]row, error) {
	rs, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	var out []row
	for rs.Next() {
		var r row
		var last, failAt, notify, unanswered int64
		var need *int64
		var addrs string
		err := rs.Scan(&r.ID, &r.message, &r.Address, &r.domain, &r.dest, &r.local, &r.ORcpt, &notify, &r.Attempts, &last,
			&r.delayTold, &r.firstFail, &failAt, &addrs, &r.account, &need, &r.via,
			&r.last.word, &r.last.text, &r.last.reply, &r.last.host, &unanswered)
		if err != nil {
			return nil, err
		}
		r.Attempts-- // this one is counted in the row
		r.Local, r.Notify = r.local, delivery.Notify(notify)
		r.LastAttempt, r.firstFailAt, r.unanswered = store.FromTime(last), store.FromTime(failAt), store.FromTime(unanswered)
		r.FirstFail = firstFailText(r.firstFail, r.firstFailAt)
		r.LastAddrs = parseAddrs(addrs)
		if need != nil {
			n := delivery.TLSNeed(*need)
			r.need = &n
		}
		out = append(out, r)
	}
	return out, rs.Err()
}

// firstFailText is a first policy failure with its date, as bounces tell it (POL-6).
func firstFailText(text string, at time.Time) string {
	if text == "" {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04 UTC") + ": " + text
}

func parseAddrs(s string) []netip.Addr {
	var out []netip.Addr
	for f := range strings.FieldsSeq(s) {
		if a, err := netip.ParseAddr(f); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// envelopes reads the messages of rows.
func envelopes(tx *store.Tx, rows []row) (map[int64]delivery.Envelope, error) {
	out := make(map[int64]delivery.Envelope, len(rows))
	var want []int64
	for _, r := range rows {
		if _, ok := out[r.message]; !ok {
			out[r.message] = delivery.Envelope{}
			want = append(want, r.message)
		}
	}
	return out, eachIn(want, func(list string, args []any) error {
		return tx.Each(func(r store.Row) error {
			e, err := scanEnvelope(r.Scan)
			out[e.ID] = e
			return err
		}, `SELECT `+envelopeColumns+` FROM messages WHERE id IN `+list, args...)
	})
}

const envelopeColumns = `id, sender, need, purpose, ref, account, eight_bit, smtputf8, env_id, ret, size, accepted, peer, transport, not_before, hold, patience`

func scanEnvelope(scan func(...any) error, more ...any) (delivery.Envelope, error) {
	var e delivery.Envelope
	var need, purpose, ret, accepted, notBefore int64
	var patience string
	err := scan(append([]any{&e.ID, &e.Sender, &need, &purpose, &e.Ref, &e.Account, &e.EightBit, &e.SMTPUTF8, &e.EnvID, &ret,
		&e.Size, &accepted, &e.Peer, &e.Transport, &notBefore, &e.Hold, &patience}, more...)...)
	e.Need, e.Purpose, e.Ret = delivery.TLSNeed(need), delivery.Purpose(purpose), delivery.Ret(ret)
	e.Accepted, e.NotBefore = store.FromTime(accepted), store.FromTime(notBefore)
	if err == nil && patience != "" {
		err = json.Unmarshal([]byte(patience), &e.Patience)
	}
	return e, err
}

// jobKey is what recipients must share to travel together (QUE-1).
type jobKey struct {
	message int64
	dest    dispatch.Contact
	domain  string
	need    delivery.TLSNeed
	via     string
	attend  bool
	// released mail is not to be held for the sake of what is with it.
	released bool
}

// jobs groups claimed rows into jobs.
func (q *Queue) jobs(rows []row, envs map[int64]delivery.Envelope, number int64, end time.Time) []*job {
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.ID, b.ID) })
	groups := map[jobKey][]row{}
	var order []jobKey
	for _, r := range rows {
		e := envs[r.message]
		k := jobKey{r.message, r.lane().To, r.domain, e.Need, e.Transport, !r.dueWas.IsZero(), r.Attempts > 0 || r.last.word == wordReleased}
		if r.need != nil {
			k.need = *r.need
		}
		if r.via != nil {
			k.via = *r.via
		}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], r)
	}
	out := make([]*job, len(order))
	for i, k := range order {
		env := envs[k.message]
		env.Need, env.Transport = k.need, k.via
		out[i] = q.newJob(env, groups[k], number, end)
		out[i].released = k.released
		if k.attend {
			out[i].attend, out[i].To = true, dispatch.Contact{Local: true} // no destination is bothered
		}
	}
	return out
}

// newJob makes a job of leased rows of one message and destination.
func (q *Queue) newJob(env delivery.Envelope, rows []row, number int64, end time.Time) *job {
	j := &job{rows: rows, Ticket: dispatch.Ticket{To: rows[0].lane().To, Account: env.Account}}
	env.Recipients = make([]delivery.Recipient, len(rows))
	j.Job = delivery.Job{Envelope: env, Local: rows[0].local}
	j.lease = &lease{q: q, ids: make([]int64, len(rows)), number: number, end: end}
	for i := range rows {
		// A domain that does not parse gives a zero one: perform fails it.
		if rows[i].Domain == (delivery.RecipientDomain{}) {
			rows[i].Domain, _ = delivery.ParseRecipientDomain(rows[i].domain)
		}
		env.Recipients[i] = rows[i].Recipient
		j.lease.ids[i] = rows[i].ID
	}
	j.Domain = rows[0].Domain
	j.Lease = j.lease
	return j
}

// errLeaseLost says that another owner may be at work on the job.
var errLeaseLost = errors.New("the lease is lost: another machine may be delivering this message")

// lease is a job's hold on its rows.
type lease struct {
	q      *Queue
	ids    []int64
	number int64

	mu  sync.Mutex
	end time.Time // as stored
}

// Extend implements delivery.Lease. It writes only if the lease ends too soon.
func (l *lease) Extend(ctx context.Context, d time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.q.Now()
	if !l.end.Before(now.Add(d)) {
		return nil
	}
	end := now.Add(max(d, l.q.Lease))
	err := l.q.Store.Write(ctx, func(tx *store.Tx) error {
		for _, id := range l.ids {
			n, err := tx.Exec(`UPDATE recipients SET due = ? WHERE id = ? AND claim = ? AND state = 1`, store.Time(end), id, l.number)
			if err != nil {
				return err
			}
			if n == 0 {
				return errLeaseLost
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("extend the lease: %w", err)
	}
	l.end = end
	return nil
}

// renew extends the leases of all jobs in memory that have less than half their
// time left. It reports whether the store answered.
func (q *Queue) renew(ctx context.Context) bool {
	answered := true
	for _, j := range q.board.Jobs() {
		if err := j.lease.Extend(ctx, q.Lease/2); err != nil {
			q.Log.Warn("lease not renewed", "message", LogID(j.ID), "error", err)
			answered = answered && errors.Is(err, errLeaseLost)
		}
	}
	return answered
}

// giveBack returns jobs that were not started: they are due again and the attempt
// does not count. If that fails, reclaim releases them.
func (q *Queue) giveBack(ctx context.Context, jobs []*job, now time.Time) {
	if len(jobs) == 0 {
		return
	}
	for _, j := range jobs {
		defer q.claims.hold(j.lease.number)()
	}
	err := q.Store.Write(ctx, func(tx *store.Tx) error {
		due := map[dispatch.Lane]time.Time{}
		for _, j := range jobs {
			if err := unclaim(tx, j, now, due); err != nil {
				return err
			}
		}
		return lowerLanes(tx, due)
	})
	if err != nil {
		q.Log.Error("leases not given back, will try again", "jobs", len(jobs), "error", err)
	}
}

func unclaim(tx *store.Tx, j *job, now time.Time, due map[dispatch.Lane]time.Time) error {
	for _, r := range j.rows {
		at := now
		if j.attend {
			at = r.dueWas
		}
		_, err := tx.Exec(`UPDATE recipients SET state = 0, owner = '', claim = 0, attempts = attempts - 1, due = ?, dest = ?
			WHERE id = ? AND claim = ? AND state = 1`, store.Time(at), r.dest, r.ID, j.lease.number)
		if err != nil {
			return err
		}
		earlier(due, r.lane(), at)
	}
	return nil
}

// lane is that in which a row waits.
func (r *row) lane() dispatch.Lane {
	return dispatch.Lane{To: dispatch.Contact{Name: r.dest, Local: r.local}, Account: r.account}
}
