package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/guard"
	"waxwing/internal/reason"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/smtp"
)

const (
	claimBatch = 200
	// longestSleep bounds what a change of the clock, or a row that another
	// machine put in, can make the runner miss.
	longestSleep  = time.Minute
	shortestSleep = 10 * time.Millisecond
	// errorPause is between tries while the database does not answer.
	errorPause = 5 * time.Second
	sweepEvery = 10 * time.Minute
)

// Run delivers until ctx ends; then it starts nothing more, gives back what it
// has not started, lets attempts go on for Grace, and returns when the last one
// is settled. An error means that it could not begin.
func (q *Queue) Run(ctx context.Context) error {
	q.setup()
	kept := q.openOutcomes()
	if err := q.reclaim(ctx); err != nil {
		return err
	}
	q.attempts, q.abort = context.WithCancel(context.Background())
	q.board.Open()
	var helpers sync.WaitGroup
	help := func(run func(context.Context)) {
		q.Guard.In(&helpers, guard.Queue, func() { q.keep(ctx, run) })
	}
	help(func(ctx context.Context) { q.every(ctx, q.Lease/4, func(ctx context.Context) { q.renew(ctx) }) })
	help(func(ctx context.Context) { q.every(ctx, sweepEvery, q.sweep) })
	help(q.rerouter)
	help(q.reclaimer)
	for _, k := range kept {
		q.Guard.In(&helpers, guard.Queue, func() { q.settleKept(ctx, k) })
	}
	q.keep(ctx, q.passes)
	q.stop(ctx)
	helpers.Wait()
	return q.outcomes.Close()
}

// keep runs a loop until ctx ends, whatever panics in it.
func (q *Queue) keep(ctx context.Context, run func(context.Context)) {
	_ = q.Guard.Keep(ctx, guard.Queue, func(ctx context.Context) error { run(ctx); return nil }) // run has no error
}

// passes looks for work, again and again until ctx ends.
func (q *Queue) passes(ctx context.Context) {
	for ctx.Err() == nil {
		timer := time.NewTimer(q.pass(ctx))
		select {
		case <-ctx.Done():
		case <-q.alarm.C:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// every calls fn now and then until ctx ends.
func (q *Queue) every(ctx context.Context, d time.Duration, fn func(context.Context)) {
	t := time.NewTicker(max(d, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			fn(ctx)
		}
	}
}

// stop is the graceful end of Run.
func (q *Queue) stop(ctx context.Context) {
	q.giveBack(context.WithoutCancel(ctx), q.board.Close(), q.Now())
	ended := make(chan struct{})
	q.Guard.Go(guard.Queue, func() { q.board.Wait(); close(ended) })
	t := time.NewTimer(q.Grace)
	defer t.Stop()
	renewal := time.NewTicker(max(q.Lease/4, time.Millisecond))
	defer renewal.Stop()
	for {
		select {
		case <-ended:
			return
		case <-renewal.C:
			q.renew(context.WithoutCancel(ctx))
		case <-t.C:
			q.abort()
		}
	}
}

// pass claims what is due and finds room, and says how long to sleep. While outcomes wait
// for the store it claims nothing, and after such a time the leases of what is here are
// renewed first: they may have ended, and what they hold be due for anybody.
func (q *Queue) pass(ctx context.Context) time.Duration {
	if q.board.State().Unsettled > 0 {
		return errorPause // or until goOn
	}
	if q.outage.Swap(false) && !q.renew(ctx) {
		q.outage.Store(true)
		return errorPause
	}
	q.lookAtRoutes(ctx)
	for ctx.Err() == nil {
		room := min(q.board.State().Room, claimBatch)
		if room <= 0 {
			q.board.Starve()
			if q.board.State().Room <= 0 { // else it changed in between, and nobody would wake us
				return longestSleep
			}
			continue
		}
		number := store.NewID()
		known := q.claims.put(number)
		jobs, more, err := q.claim(ctx, number, room)
		if err != nil {
			known()
			q.outage.Store(true)
			if ctx.Err() == nil {
				q.Log.Error("cannot claim work, will try again", "error", err, "pause", errorPause)
			}
			return errorPause
		}
		q.giveBack(context.WithoutCancel(ctx), q.board.Add(jobs, false), q.Now())
		known()
		q.start()
		if !more {
			return q.sleep(ctx)
		}
		if len(jobs) == 0 { // other machines have it
			return shortestSleep
		}
	}
	return 0
}

// sleep is the time until the next row is due.
func (q *Queue) sleep(ctx context.Context) time.Duration {
	q.alarm.Unset()
	at, err := store.Read(ctx, q.Store, spool.NextDue)
	if err != nil {
		if ctx.Err() == nil {
			q.Log.Error("cannot see when work is due, will look again", "error", err)
		}
		return errorPause
	}
	if at.IsZero() {
		return longestSleep
	}
	q.alarm.Set(at)
	// A row that is due already was put in after the claim, or is locked by
	// another machine: look again, but do not spin.
	return min(max(at.Sub(q.Now()), shortestSleep), longestSleep)
}

// start starts whatever may start.
func (q *Queue) start() {
	for j := q.board.Next(); j != nil; j = q.board.Next() {
		q.Guard.Go(guard.Queue, func() { q.work(j) })
	}
}

// work does a job, and then others on the same goroutine: its stack has grown, which a
// new one would pay for again.
func (q *Queue) work(j *job) {
	for j != nil {
		q.contained(j)
		if q.board.Done(j) {
			q.Wake()
		}
		if j = q.board.Next(); j != nil {
			q.start() // the job that ended may have stood in the way of more than one
		}
	}
}

// perform makes one attempt and settles it.
func (q *Queue) perform(j *job) {
	ctx := q.attempts
	if !j.noAttempt && q.astray(ctx, j) {
		return
	}
	started := q.Now()
	var res delivery.Result
	if !j.noAttempt {
		res = q.attempt(ctx, j)
	}
	if res.Started.IsZero() {
		res.Started = started
	}
	if res.Ended.IsZero() {
		res.Ended = q.Now()
	}
	if ctx.Err() == nil && !j.noAttempt && j.holdRule == "" {
		j.crowded = dispatch.CrowdedOut(&res)
		j.paceChanged = q.board.Learn(j.To, &res, res.Ended, q.jitter())
	}
	// What happened is written down even if the server was told to stop meanwhile.
	q.settle(context.WithoutCancel(ctx), j, &res, ctx.Err() != nil)
}

// try asks what may stand in the way of an attempt, and makes it.
func (q *Queue) try(ctx context.Context, j *job) delivery.Result {
	if j.Domain == (delivery.RecipientDomain{}) {
		return delivery.Result{Recipients: j.all(delivery.Failed, reason.BadDomain, fmt.Sprintf("the domain %q cannot be read", j.rows[0].DomainText))}
	}
	if err := q.askLocal(ctx, j); err != nil {
		q.Log.Error("cannot tell whether a domain is hosted here", "message", delivery.ID(j.ID), "domain", j.rows[0].DomainText, "error", err)
		return delivery.Result{Recipients: j.all(delivery.Deferred, reason.StoreError, "this server could not look up whether it hosts the domain")}
	}
	why, err := "", error(nil)
	if !j.released {
		why, err = q.holds(ctx, &j.Envelope, j.Domain)
	}
	if err != nil {
		q.Log.Error("cannot tell whether a message is to be held", "message", delivery.ID(j.ID), "error", err)
		return delivery.Result{Recipients: j.all(delivery.Deferred, reason.StoreError, "this server could not read its hold rules")}
	}
	if j.holdRule = why; why != "" {
		return delivery.Result{}
	}
	return q.carry(ctx, j)
}

// carry hands a job to its transport, without the recipients that its account
// sends no mail to (QUE-7).
func (q *Queue) carry(ctx context.Context, j *job) delivery.Result {
	job, refused, err := q.unsuppressed(ctx, j)
	if err != nil {
		q.Log.Error("cannot read the suppressions", "message", delivery.ID(j.ID), "account", j.Account, "error", err)
		return delivery.Result{Recipients: j.all(delivery.Deferred, reason.StoreError, "this server could not read its list of suppressed recipients")}
	}
	if len(job.Recipients) == 0 {
		return delivery.Result{Recipients: refused, Transport: "suppressed"}
	}
	transport, name := q.Direct, "direct"
	if j.Local {
		transport, name = q.Local, "local"
	}
	if transport == nil {
		return delivery.Result{Recipients: j.all(delivery.Deferred, reason.NoTransport, "this server has no transport named "+name)}
	}
	c, err := q.content(ctx, j)
	if err != nil {
		q.Log.Error("cannot read a queued message", "message", delivery.ID(j.ID), "error", err)
		return delivery.Result{Recipients: j.all(delivery.Deferred, reason.StoreError, "the queued message could not be read")}
	}
	res := transport.Deliver(ctx, job, c)
	res.Recipients = append(res.Recipients, refused...)
	return res
}

// suppressed is the status of a recipient whom nobody asked: a bad address, as
// far as this server knows (RFC 3463 §3.2, X.1.0).
var suppressed = smtp.Enhanced{Class: 5, Subject: 1}

// unsuppressed returns the job without the recipients that its account sends no
// mail to, and their results.
func (q *Queue) unsuppressed(ctx context.Context, j *job) (*delivery.Job, []delivery.RecipientResult, error) {
	if q.Suppression == nil || j.Account == "" || j.Local || j.Purpose != delivery.Mail {
		return &j.Job, nil, nil
	}
	addresses := make([]string, len(j.Recipients))
	for i, r := range j.Recipients {
		addresses[i] = r.Address
	}
	why, err := q.Suppression.Suppressed(ctx, j.Account, addresses)
	if err != nil || len(why) == 0 {
		return &j.Job, nil, err
	}
	less := j.Job
	less.Recipients = nil
	var refused []delivery.RecipientResult
	for _, r := range j.Recipients {
		if text, ok := why[r.Address]; ok {
			refused = append(refused, delivery.RecipientResult{ID: r.ID, Outcome: delivery.Failed, Word: reason.Suppressed, Enhanced: suppressed, Text: text})
			continue
		}
		less.Recipients = append(less.Recipients, r)
	}
	return &less, refused, nil
}

// askLocal finds out if a domain is hosted since its mail was accepted. With an
// error nobody knows, and the mail must not leave.
func (q *Queue) askLocal(ctx context.Context, j *job) error {
	if j.Local || q.IsLocal == nil {
		return nil
	}
	local, err := q.IsLocal(ctx, j.Domain)
	if err != nil || !local {
		return err
	}
	j.Local = true
	for i := range j.rows {
		j.rows[i].Here()
	}
	return nil
}

func (q *Queue) jitter() float64 {
	if q.Rand != nil {
		return q.Rand()
	}
	return rand.Float64()
}
