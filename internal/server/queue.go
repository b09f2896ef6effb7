package server

import (
	"waxwing/internal/config"
	"waxwing/internal/correspondents"
	"waxwing/internal/datadir"
	"waxwing/internal/delivery"
	"waxwing/internal/dmarcreport"
	"waxwing/internal/guard"
	"waxwing/internal/holds"
	"waxwing/internal/home"
	"waxwing/internal/mailboxes"
	"waxwing/internal/outbox"
	"waxwing/internal/posture"
	"waxwing/internal/queue"
	"waxwing/internal/retry"
	"waxwing/internal/scripts"
	"waxwing/internal/store"
	"waxwing/internal/suppression"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsresult"
	"waxwing/internal/transport"
	"waxwing/internal/trends"
)

// queueNeeds are the rooms that the queue asks.
type queueNeeds struct {
	home       *home.Home
	router     *transport.Router
	boxes      *mailboxes.Store
	holds      *holds.Store
	suppressed *suppression.Store
	seen       *posture.Recorder
	trends     *trends.Recorder
}

// queue makes the queue, with the rooms that it needs and those that learn from it.
func (b *builder) queue(db *store.Store, n queueNeeds) *queue.Queue {
	d := b.cfg.Delivery
	history := d.History
	if history == 0 {
		history = -1 // the queue's zero is its default
	}
	q := &queue.Queue{
		Store:     db,
		Direct:    n.router,
		Local:     n.router.Local,
		Mailboxes: n.boxes,
		IsLocal:   n.home.IsLocal,
		Record:    b.recorder(),
		Attempted: func(job *delivery.Job, res *delivery.Result) {
			b.metrics.Attempt(job, res)
			n.seen.Note(job, res)
			n.trends.Attempted(job, res)
		},

		Ways: n.router.Ways, Holds: n.holds.Match, Suppression: n.suppressed,
		Settled: outbox.Settler(b.Now, tlsreport.Family(), dmarcreport.Family()), Accepted: b.accepted(db),
		Schedule:    schedules(d),
		Sign:        n.home.Sign,
		History:     history,
		Hostname:    b.cfg.Hostname.ASCII(),
		Postmaster:  "postmaster@" + b.cfg.Hostname.ASCII(),
		Owner:       b.owner,
		Concurrency: d.Concurrency, PerDestination: d.ConcurrencyPerDomain,
		Outcomes: datadir.Outcomes(b.cfg),
		Now:      b.Now, Log: b.area(config.LogQueue), Guard: b.guard,
	}
	b.run("queue", guard.Queue, q.Run)
	return q
}

// schedules gives the retries of mail as the operator wants them, and of reports as RFC
// 8460 does.
func schedules(d config.Delivery) func(delivery.Purpose) retry.Schedule {
	mail := retry.Schedule{Delays: d.Retry, Expire: d.Expire, DelayNotice: d.DelayNotice}
	return func(p delivery.Purpose) retry.Schedule {
		if p == delivery.TLSReport || p == delivery.DMARCReport {
			return retry.Reports()
		}
		return mail
	}
}

// accepted runs in the accepting transaction: the message is counted for reports (DMR-1), and the
// account remembers to whom it writes (JNK-1).
func (b *builder) accepted(db *store.Store) func(*store.Tx, *delivery.Envelope) error {
	results := b.dmarcResults(db)
	var lately correspondents.Lately
	return func(tx *store.Tx, env *delivery.Envelope) error {
		if err := results.Save(tx, env.Evaluations); err != nil {
			return err
		}
		return lately.Wrote(tx, env.Account, env.Wrote, b.Now())
	}
}

// recorder runs in the settling transaction: what was decided and done becomes observations, unless
// nothing is reported; and what scripts want kept in mind, is.
func (b *builder) recorder() func(*store.Tx, *delivery.Job, *delivery.Result) error {
	observed := tlsresult.Recorder{Send: reportsTo(b.cfg), Now: b.Now}.Record
	if !b.cfg.TLSRPT.Send {
		observed = func(*store.Tx, *delivery.Job, *delivery.Result) error { return nil }
	}
	return func(tx *store.Tx, job *delivery.Job, res *delivery.Result) error {
		if err := scripts.Record(tx, res); err != nil {
			return err
		}
		return observed(tx, job, res)
	}
}
