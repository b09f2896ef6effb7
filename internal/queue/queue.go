// Package queue keeps every accepted message until each of its recipients is
// delivered or has failed, and drives the attempts (QUE-1 to QUE-5, RFC 5321
// §4.5.4).
//
// A message is one envelope row, one body and one row a recipient. Work is
// taken under a lease: a row in state "leased" names its owner, the lease's end
// and a claim number that no other claim has. The claim is durable before
// anything is dialled, and settling changes a row only if the claim number is
// still the same; so several machines can share one PostgreSQL, a crashed
// machine's work is taken over when its leases end, and a recipient is never
// settled twice.
//
// Fresh mail costs one transaction to accept and one to settle: Enqueue writes
// the rows already leased to this machine and hands them, body and all, to the
// runner in memory, as long as the runner has room. All other work is claimed
// from the store in batches.
//
// The rows, and all SQL about them, stand in package spool; who may run now is decided
// by package dispatch, what becomes of a recipient by package bounce.
package queue

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/guard"
	"waxwing/internal/mailboxes"
	"waxwing/internal/outcomes"
	"waxwing/internal/retry"
	"waxwing/internal/route"
	"waxwing/internal/store"
	"waxwing/internal/suppression"
	"waxwing/internal/webhooks"
)

// Transport makes one attempt at a job. It returns one RecipientResult per
// recipient; a recipient without one, or one left Pending, counts as Deferred.
// It may be called for many jobs at the same time. It honours ctx, which ends
// only when the server is told to stop at once.
type Transport interface {
	Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result
}

// Queue is the queue and its runner. Set the fields before the first call and
// leave them alone after it. Enqueue and the listing methods may be called from
// any goroutine, with or without a running Run; Run runs once at a time.
type Queue struct {
	Store  *store.Store
	Direct Transport
	Local  Transport
	// Mailboxes takes the copies that Local finds are due. Nil: there are none here.
	Mailboxes *mailboxes.Store
	// IsLocal says of a domain whose mail ends here. It is asked, at acceptance and
	// at every attempt, for recipients whose Local flag is not set. An error refuses
	// the message at acceptance and defers it at an attempt: it never means "not
	// local". Nil: none is.
	IsLocal func(ctx context.Context, d delivery.RecipientDomain) (bool, error)
	// Record runs in the settling transaction, once per attempt, whatever became
	// of the recipients. Like all such functions it may run again after a conflict.
	Record func(tx *store.Tx, job *delivery.Job, res *delivery.Result) error
	// Accepted runs in the transaction that accepts a message, at its end; nil: nothing does. An
	// error of it undoes the transaction.
	Accepted func(tx *store.Tx, env *delivery.Envelope) error
	// Attempted runs once after an attempt was settled, outside of any transaction:
	// for metrics, which a transaction that is repeated would count twice.
	Attempted func(job *delivery.Job, res *delivery.Result)
	// Settled runs in the settling transaction for each recipient that reached
	// its end: Delivered or Failed. env has no Recipients.
	Settled func(tx *store.Tx, env delivery.Envelope, rr delivery.RecipientResult) error
	// Schedule gives the retries by purpose; nil: retry.Default, and
	// retry.Reports for reports.
	Schedule func(p delivery.Purpose) retry.Schedule
	// Sign returns header fields to put before a DSN (its DKIM signature); nil,
	// an error or none: it goes unsigned.
	Sign func(ctx context.Context, msg []byte) ([]byte, error)

	// Holds says which mail is to be held (QUE-6), at acceptance and at every attempt:
	// it returns why, or "". After an error a message is refused or deferred. Nil: none is.
	Holds func(ctx context.Context, account, sender string, to delivery.RecipientDomain) (string, error)
	// Ways gives the routes of the moment. They choose the way of each job when it is
	// claimed, or when it starts if they have changed by then, and say before that in
	// which lane a recipient waits: a dead relay is one destination that closes, not all
	// the domains whose mail goes there (QUE-3). Nil: mail waits for its recipients' domains.
	Ways func(ctx context.Context) (*route.Ways, error)
	// Suppression is whom accounts send no more mail to (QUE-7). Nil: nobody.
	Suppression *suppression.Store
	// Webhooks are told what becomes of recipients, in the settling transaction (OPS-8). Nil: none are.
	Webhooks *webhooks.Store

	Hostname   string // names this server in DSNs
	Postmaster string // the From of DSNs; "": postmaster at Hostname
	Owner      string // this machine's name in leases, stable over restarts; "": Hostname

	// Outcomes is the path of a file for what attempts came to while the store does not
	// take it. "": there is none, and after a crash at such a time they are made again.
	Outcomes string

	Concurrency    int           // attempts at the same time; 0: 200
	PerDestination int           // of them for one domain; 0: 20
	Lease          time.Duration // 0: 20 min, more than the longest wait for a reply
	Grace          time.Duration // how long Run lets attempts go on when told to stop; 0: 20 s
	History        time.Duration // how long settled messages are kept (QUE-8); 0: 7 days, negative: not at all

	Now   func() time.Time // nil: time.Now
	Rand  func() float64   // in [0,1), for jitter; nil: math/rand/v2
	Log   *slog.Logger     // nil: discard
	Guard *guard.Guard     // contains panics

	once  sync.Once
	board *dispatch.Board[*job]
	alarm *dispatch.Alarm
	// attempts is the context of all attempts of a run, which abort ends.
	attempts context.Context
	abort    context.CancelFunc
	// lastAccount is whose lanes were asked for last; the runner's own.
	lastAccount string
	routed      atomic.Int64                         // the generation of the routes that all lanes follow
	moved       chan struct{}                        // the routes have changed
	claims      counted[int64]                       // of leases on their way to the board or off it; put in before they are written
	settling    counted[leasedRow]                   // recipients whose outcome the last run has left
	pause       func(context.Context, time.Duration) // between two tries to settle; tests shorten it
	outcomes    *outcomes.File                       // while Run runs; nil: there is no file
	outage      atomic.Bool                          // the store did not answer: leases that are in use may have ended
}

const (
	defaultConcurrency    = 200
	defaultPerDestination = 20
	defaultLease          = 20 * time.Minute
	defaultGrace          = 20 * time.Second
	defaultHistory        = 7 * 24 * time.Hour
)

// setup fills the defaults once.
func (q *Queue) setup() {
	q.once.Do(func() {
		q.Concurrency = cmp.Or(q.Concurrency, defaultConcurrency)
		q.PerDestination = cmp.Or(q.PerDestination, defaultPerDestination)
		q.Lease = cmp.Or(q.Lease, defaultLease)
		q.Grace = cmp.Or(q.Grace, defaultGrace)
		q.History = cmp.Or(q.History, defaultHistory)
		if q.pause == nil {
			q.pause = wait
		}
		q.Owner = cmp.Or(q.Owner, q.Hostname, "localhost")
		q.Postmaster = cmp.Or(q.Postmaster, "postmaster@"+cmp.Or(q.Hostname, "localhost"))
		if q.Now == nil {
			q.Now = time.Now
		}
		if q.Log == nil {
			q.Log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))
		}
		q.alarm = dispatch.NewAlarm()
		q.moved = make(chan struct{}, 1)
		q.board = dispatch.New[*job](dispatch.Bounds{Concurrency: q.Concurrency, PerContact: q.PerDestination}, func() time.Time { return q.Now() })
	})
}

// Wake makes the runner look for due work now. It never blocks.
func (q *Queue) Wake() {
	q.setup()
	q.alarm.Wake()
}

// schedule is that of a message (QUE-4).
func (q *Queue) schedule(p delivery.Purpose) retry.Schedule {
	if q.Schedule != nil {
		return q.Schedule(p)
	}
	if p == delivery.TLSReport || p == delivery.DMARCReport {
		return retry.Reports()
	}
	return retry.Default()
}
