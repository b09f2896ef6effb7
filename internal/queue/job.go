package queue

import (
	"cmp"
	"slices"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
)

// job is a leased delivery.Job with its rows and, if it came straight from
// Enqueue, its content.
type job struct {
	delivery.Job
	dispatch.Ticket
	rows    []Entry
	content delivery.Content // nil: read from the store
	lease   *lease

	noAttempt bool // claimed only to send a delay notice or to expire; nothing is dialled
	operator  bool // an operator ends it: no attempt
	noNotice  bool // dropped by an operator: no notification
	released  bool // no hold rule holds it now

	// What the attempt found beside its result.
	holdRule    string            // that stopped it
	crowded     bool              // nobody was dialled: its turn comes later
	paceChanged []dispatch.Change // who has closed or opened again in this attempt
}

// tried reports that there was an attempt, to be counted as one.
func (j *job) tried() bool { return !j.noAttempt && !j.crowded && j.holdRule == "" && !j.operator }

func (j *job) attrs() []any { return []any{"message", LogID(j.ID), "domain", j.rows[0].domain} }

// jobKey is what recipients must share to travel together (QUE-1).
type jobKey struct {
	message   int64
	contact   dispatch.Contact
	domain    string
	need      delivery.TLSNeed
	via       string
	noAttempt bool
	// released mail is not to be held for the sake of what is with it.
	released bool
}

// jobs groups claimed rows into jobs.
func (q *Queue) jobs(rows []Entry, envs map[int64]delivery.Envelope, number int64, end time.Time) []*job {
	slices.SortFunc(rows, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	groups := map[jobKey][]Entry{}
	var order []jobKey
	for i := range rows {
		r := &rows[i]
		env := envs[r.message]
		r.override(&env)
		k := jobKey{r.message, r.lane().To, r.domain, env.Need, env.Transport, !r.dueBefore.IsZero(), r.Attempts > 0 || r.Word == wordReleased}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], *r)
	}
	out := make([]*job, len(order))
	for i, k := range order {
		env := envs[k.message]
		env.Need, env.Transport = k.need, k.via
		out[i] = q.newJob(env, groups[k], number, end)
		out[i].released = k.released
		if k.noAttempt {
			out[i].noAttempt, out[i].To = true, dispatch.Contact{Local: true} // no contact is bothered
		}
	}
	return out
}

// override puts into an envelope what an operator has set for this recipient.
func (e *Entry) override(env *delivery.Envelope) {
	if e.needOverride != nil {
		env.Need = *e.needOverride
	}
	if e.viaOverride != nil {
		env.Transport = *e.viaOverride
	}
}

// newJob makes a job of leased rows of one message and contact.
func (q *Queue) newJob(env delivery.Envelope, rows []Entry, number int64, end time.Time) *job {
	env.Recipients = make([]delivery.Recipient, len(rows))
	j := &job{rows: rows, Ticket: dispatch.Ticket{To: rows[0].lane().To, Account: env.Account}}
	j.lease = &lease{q: q, ids: make([]int64, len(rows)), number: number, end: end}
	for i := range rows {
		env.Recipients[i], j.lease.ids[i] = rows[i].Recipient, rows[i].ID
	}
	j.Job = delivery.Job{Envelope: env, Domain: rows[0].Domain, Local: rows[0].Local, Lease: j.lease}
	return j
}

// all gives every recipient of a job the same outcome.
func (j *job) all(o delivery.Outcome, word delivery.Reason, text string) []delivery.RecipientResult {
	out := make([]delivery.RecipientResult, len(j.rows))
	for i := range j.rows {
		out[i] = delivery.RecipientResult{ID: j.rows[i].ID, Outcome: o, Word: word, Text: text}
	}
	return out
}
