package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// The claims: of rows that are due, and of those whose owner let the lease run
// out because it crashed or lost its database. "state < 2" names the partial
// index. A claim is written before anything is dialled (QUE-2).
const (
	claimSet = `UPDATE recipients SET state = 1, owner = ?, claim = ?, due = ?, attempts = attempts + 1
		WHERE id IN (SELECT id FROM recipients WHERE state < 2 AND state = `
	claimOrder   = ` AND due <= ? ORDER BY due, id LIMIT ?`
	claimWaiting = claimSet + `0` + claimOrder
	claimExpired = claimSet + `1` + claimOrder
	// returned are the columns that a claim reads; scanRow knows their order.
	returned = `) RETURNING id, message, address, domain, local, orcpt, notify, attempts, last_attempt,
		delay_told, first_fail, first_fail_at, last_addrs`
)

// claim leases up to limit due recipients to this machine and returns them as
// jobs, the longest accepted first. n is how many recipients there were.
func (q *Queue) claim(ctx context.Context, limit int) (jobs []*job, n int, err error) {
	number, now := store.NewID(), q.Now()
	end := now.Add(q.Lease)
	var taken []row
	var expired int
	var envs map[int64]delivery.Envelope
	err = q.Store.Write(ctx, func(tx *store.Tx) error {
		taken = nil
		for _, stmt := range []string{claimExpired, claimWaiting} {
			expired = len(taken) // after the loop: how many came of claimExpired
			rows, err := scanRows(tx, stmt+tx.Lock()+returned, q.Owner, number, store.Time(end), store.Time(now), int64(limit-len(taken)))
			if err != nil {
				return err
			}
			taken = append(taken, rows...)
		}
		envs, err = envelopes(tx, taken)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("claim due messages: %w", err)
	}
	if expired > 0 {
		q.Log.Warn("took over recipients whose lease had run out", "recipients", expired)
	}
	return q.jobs(taken, envs, number, end), len(taken), nil
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
		var last, failAt, notify int64
		var addrs string
		err := rs.Scan(&r.ID, &r.message, &r.Address, &r.domain, &r.local, &r.ORcpt, &notify, &r.Attempts, &last,
			&r.delayTold, &r.firstFail, &failAt, &addrs)
		if err != nil {
			return nil, err
		}
		r.Attempts-- // this one is counted in the row
		r.Local, r.Notify = r.local, delivery.Notify(notify)
		r.LastAttempt, r.firstFailAt = store.FromTime(last), store.FromTime(failAt)
		r.FirstFail = firstFailText(r.firstFail, r.firstFailAt)
		r.LastAddrs = parseAddrs(addrs)
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

// listSizes are the lengths of "?" lists that are used, so that few statements
// have to be prepared.
var listSizes = [...]int{1, 4, 16, 64, 256}

// inList returns "(?, ?, …)" and its arguments for the first of ids, and the
// ids left over. The list is filled up with the last one.
func inList(ids []int64) (list string, args []any, rest []int64) {
	n := len(ids)
	size := listSizes[len(listSizes)-1]
	for _, s := range listSizes {
		if n <= s {
			size = s
			break
		}
	}
	n = min(n, size)
	for i := range size {
		args = append(args, ids[min(i, n-1)])
	}
	return "(?" + strings.Repeat(", ?", size-1) + ")", args, ids[n:]
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
	for len(want) > 0 {
		list, args, rest := inList(want)
		want = rest
		if err := scanEnvelopes(tx, out, `SELECT `+envelopeColumns+` FROM messages WHERE id IN `+list, args...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

const envelopeColumns = `id, sender, need, purpose, ref, account, eight_bit, smtputf8, env_id, ret, size, accepted, peer, transport`

func scanEnvelopes(tx *store.Tx, out map[int64]delivery.Envelope, query string, args ...any) error {
	rs, err := tx.Query(query, args...)
	if err != nil {
		return err
	}
	defer rs.Close()
	for rs.Next() {
		e, err := scanEnvelope(rs.Scan)
		if err != nil {
			return err
		}
		out[e.ID] = e
	}
	return rs.Err()
}

func scanEnvelope(scan func(...any) error, more ...any) (delivery.Envelope, error) {
	var e delivery.Envelope
	var need, purpose, ret, accepted int64
	err := scan(append([]any{&e.ID, &e.Sender, &need, &purpose, &e.Ref, &e.Account, &e.EightBit, &e.SMTPUTF8, &e.EnvID, &ret,
		&e.Size, &accepted, &e.Peer, &e.Transport}, more...)...)
	e.Need, e.Purpose, e.Ret = delivery.TLSNeed(need), delivery.Purpose(purpose), delivery.Ret(ret)
	e.Accepted = store.FromTime(accepted)
	return e, err
}

// jobs groups claimed rows: one job per message, domain and locality (QUE-1).
func (q *Queue) jobs(rows []row, envs map[int64]delivery.Envelope, number int64, end time.Time) []*job {
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.ID, b.ID) })
	type key struct {
		message int64
		dest    destKey
	}
	groups := map[key][]row{}
	var order []key
	for _, r := range rows {
		k := key{r.message, destKey{r.domain, r.local}}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], r)
	}
	out := make([]*job, len(order))
	for i, k := range order {
		out[i] = q.newJob(envs[k.message], groups[k], number, end)
	}
	return out
}

// newJob makes a job of leased rows of one message and destination.
func (q *Queue) newJob(env delivery.Envelope, rows []row, number int64, end time.Time) *job {
	j := &job{rows: rows, to: destKey{rows[0].domain, rows[0].local}}
	env.Recipients = make([]delivery.Recipient, len(rows))
	j.Job = delivery.Job{Envelope: env, Local: rows[0].local, Claim: number}
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
// time left.
func (q *Queue) renew(ctx context.Context) {
	for _, j := range q.board.leased() {
		if err := j.lease.Extend(ctx, q.Lease/2); err != nil {
			q.Log.Warn("lease not renewed", "message", LogID(j.ID), "error", err)
		}
	}
}

// releaseOwn takes back what this machine had leased before it was restarted.
// Nobody else may run under the same Owner.
func (q *Queue) releaseOwn(ctx context.Context) error {
	var n int64
	err := q.Store.Write(ctx, func(tx *store.Tx) (err error) {
		n, err = tx.Exec(`UPDATE recipients SET state = 0, owner = '', claim = 0, due = ?
			WHERE state < 2 AND state = 1 AND owner = ?`, store.Time(q.Now()), q.Owner)
		return err
	})
	if err != nil {
		return fmt.Errorf("release the leases of the last run: %w", err)
	}
	if n > 0 {
		q.Log.Info("released leases of the last run", "recipients", n)
	}
	return nil
}

// giveBack returns jobs that were not started: they are due again after job.back
// and the attempt does not count. If that fails, their leases run out.
func (q *Queue) giveBack(ctx context.Context, jobs []*job, now time.Time) {
	if len(jobs) == 0 {
		return
	}
	err := q.Store.Write(ctx, func(tx *store.Tx) error {
		for _, j := range jobs {
			if err := unclaim(tx, j, now.Add(j.back)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		q.Log.Error("leases not given back, they will run out", "jobs", len(jobs), "error", err)
	}
}

func unclaim(tx *store.Tx, j *job, due time.Time) error {
	for _, id := range j.lease.ids {
		_, err := tx.Exec(`UPDATE recipients SET state = 0, owner = '', claim = 0, attempts = attempts - 1, due = ?
			WHERE id = ? AND claim = ? AND state = 1`, store.Time(due), id, j.lease.number)
		if err != nil {
			return err
		}
	}
	return nil
}
