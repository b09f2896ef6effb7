package queue

import (
	"cmp"
	"slices"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/reason"
	"waxwing/internal/spool"
)

// job is a leased delivery.Job with its rows and, if it came straight from
// Enqueue, its content.
type job struct {
	delivery.Job
	dispatch.Ticket
	rows    []spool.Entry
	content delivery.Content // nil: read from the store
	lease   *lease

	early map[int64]time.Time // when recipients are due that were claimed only to be looked at

	noAttempt bool // claimed only to send a delay notice or to expire; nothing is dialled
	operator  bool // an operator ends it: no attempt
	noNotice  bool // dropped by an operator: no notification
	released  bool // no hold rule holds it now

	routed int64 // the generation of the routes that chose its Way

	// What the attempt found beside its result.
	unrouted    bool              // the routes could not be read: nothing was tried
	holdRule    string            // that stopped it
	crowded     bool              // no host had a place for it: nothing was tried
	paceChanged []dispatch.Change // who has closed or opened again in this attempt
}

// tried reports that there was an attempt, to be counted as one.
func (j *job) tried() bool { return !j.noAttempt && !j.putOff() && j.holdRule == "" && !j.operator }

// putOff reports that nothing was tried, and that its turn comes a little later.
func (j *job) putOff() bool { return j.crowded || j.unrouted }

func (j *job) attrs() []any {
	return []any{"message", delivery.ID(j.ID), "domain", j.rows[0].DomainText}
}

// jobKey is what recipients must share to travel together (QUE-1).
type jobKey struct {
	message   int64
	contact   delivery.Contact
	domain    string
	need      delivery.TLSNeed
	via       string
	noAttempt bool
	// released mail is not to be held for the sake of what is with it.
	released bool
}

// jobs groups claimed rows into jobs.
func (q *Queue) jobs(rows []spool.Entry, envs map[int64]delivery.Envelope, lease spool.Lease, early map[int64]time.Time) []*job {
	slices.SortFunc(rows, func(a, b spool.Entry) int { return cmp.Compare(a.ID, b.ID) })
	groups := map[jobKey][]spool.Entry{}
	var order []jobKey
	for i := range rows {
		r := &rows[i]
		env := envs[r.Message]
		r.Override(&env)
		k := jobKey{r.Message, r.Contact, r.DomainText, env.Need, env.Transport, !early[r.ID].IsZero(), r.Attempts > 0 || r.Word == reason.Released}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], *r)
	}
	out := make([]*job, len(order))
	for i, k := range order {
		env := envs[k.message]
		env.Need, env.Transport = k.need, k.via
		out[i] = q.newJob(env, groups[k], lease)
		out[i].released = k.released
		if k.noAttempt {
			out[i].noAttempt, out[i].early, out[i].To = true, early, delivery.Contact{Local: true} // no contact is bothered
		}
	}
	return out
}

// newJob makes a job of leased rows of one message and contact.
func (q *Queue) newJob(env delivery.Envelope, rows []spool.Entry, l spool.Lease) *job {
	env.Recipients = make([]delivery.Recipient, len(rows))
	j := &job{rows: rows, Ticket: dispatch.Ticket{To: rows[0].Contact, Account: env.Account}}
	j.lease = &lease{q: q, ids: make([]int64, len(rows)), number: l.Number, end: l.End}
	for i := range rows {
		env.Recipients[i], j.lease.ids[i] = rows[i].Recipient, rows[i].ID
	}
	j.Job = delivery.Job{Envelope: env, Domain: rows[0].Domain, Local: rows[0].Local, Lease: j.lease}
	return j
}

// all gives every recipient of a job the same outcome.
func (j *job) all(o delivery.Outcome, word reason.Word, text string) []delivery.RecipientResult {
	out := make([]delivery.RecipientResult, len(j.rows))
	for i := range j.rows {
		out[i] = delivery.RecipientResult{ID: j.rows[i].ID, Outcome: o, Word: word, Text: text}
	}
	return out
}
