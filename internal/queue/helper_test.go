package queue

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/guard"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/smtp"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// script is a transport that answers by address: the local part before a "."
// is the outcome ("ok", "later", "never", "policy", "silent", "panic").
type script struct {
	mu      sync.Mutex
	jobs    []delivery.Job
	bodies  []string
	during  func(ctx context.Context, job *delivery.Job) // called in every attempt
	outcome func(r delivery.Recipient) delivery.Outcome  // nil: by address
}

func (s *script) Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	r, err := c.Open()
	if err != nil {
		panic(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		body = []byte("error: " + err.Error())
	}
	s.mu.Lock()
	s.jobs = append(s.jobs, *job)
	s.bodies = append(s.bodies, string(body))
	s.mu.Unlock()
	if s.during != nil {
		s.during(ctx, job)
	}
	res := delivery.Result{Transport: "script"}
	for _, rcpt := range job.Recipients {
		if rr, ok := s.answer(rcpt); ok {
			res.Recipients = append(res.Recipients, rr)
		}
	}
	return res
}

func (s *script) answer(r delivery.Recipient) (delivery.RecipientResult, bool) {
	rr := delivery.RecipientResult{ID: r.ID}
	if s.outcome != nil {
		rr.Outcome = s.outcome(r)
		return rr, true
	}
	word, _, _ := strings.Cut(r.Address, ".")
	switch word {
	case "ok":
		rr.Outcome, rr.Reply = delivery.Delivered, smtp.NewReply(250, smtp.Enhanced{Class: 2}, "taken")
	case "later":
		rr.Outcome, rr.Reply = delivery.Deferred, smtp.NewReply(451, smtp.Enhanced{Class: 4, Subject: 7, Detail: 1}, "greylisted")
	case "never":
		rr.Outcome, rr.Reply = delivery.Failed, smtp.NewReply(550, smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}, "no such user")
	case "policy":
		rr.Outcome, rr.Word, rr.Text, rr.PolicyFailure = delivery.Deferred, "dane-no-match", "no TLSA record matches", true
	case "panic":
		panic("scripted")
	case "silent":
		return rr, false
	}
	return rr, true
}

func (s *script) seen() []delivery.Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]delivery.Job(nil), s.jobs...)
}

// world is a queue on a store with a clock and a script.
type world struct {
	*Queue
	t     testing.TB
	clock *clock
	tr    *script
	log   *bytes.Buffer

	panicked []guard.Area // of a world that only steps
}

type syncWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *syncWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

func newWorld(t testing.TB, s *store.Store, owner string) *world {
	c, tr, buf := &clock{t: noon}, &script{}, &bytes.Buffer{}
	q := &Queue{
		Store: s, Direct: tr, Local: tr, Hostname: "mx.waxwing.test", Owner: owner, Now: c.now,
		Rand: func() float64 { return 0.5 },
		Log:  slog.New(slog.NewTextHandler(&syncWriter{w: buf}, nil)),
	}
	w := &world{Queue: q, t: t, clock: c, tr: tr, log: buf}
	var panicked sync.Mutex // attempts run beside each other
	q.Guard = &guard.Guard{Log: q.Log, Count: func(a guard.Area) {
		panicked.Lock()
		defer panicked.Unlock()
		w.panicked = append(w.panicked, a)
	}}
	q.setup()
	q.attempts = context.Background() // until Run sets it
	return w
}

// resize gives the world an empty board.
func (w *world) resize(b dispatch.Bounds) {
	w.board = dispatch.New[*job](b, w.clock.now)
}

// mail is an envelope from alice to the given addresses.
func mail(t testing.TB, to ...string) *delivery.Envelope {
	t.Helper()
	env := &delivery.Envelope{Sender: "alice@sender.test"}
	for _, a := range to {
		d, err := delivery.ParseRecipientDomain(a[strings.LastIndex(a, "@")+1:])
		if err != nil {
			t.Fatal(err)
		}
		env.Recipients = append(env.Recipients, delivery.Recipient{Address: a, Domain: d})
	}
	return env
}

const text = "From: alice@sender.test\r\nSubject: hello\r\n\r\nbody\r\n"

// put enqueues without a runner, so that the rows wait.
func (w *world) put(to ...string) *delivery.Envelope {
	w.t.Helper()
	env := mail(w.t, to...)
	w.enqueue(env)
	return env
}

func (w *world) enqueue(env *delivery.Envelope) {
	w.t.Helper()
	if env.Accepted.IsZero() {
		env.Accepted = w.clock.now()
	}
	if err := w.Enqueue(context.Background(), env, delivery.Bytes(text)); err != nil {
		w.t.Fatal(err)
	}
}

// step makes one attempt at everything that is due, one job after the other.
func (w *world) step() int {
	w.t.Helper()
	jobs, _, err := w.claim(context.Background(), 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, j := range jobs {
		w.contained(j)
	}
	return len(jobs)
}

// claim is claim under a new number.
func (w *world) claim(ctx context.Context, limit int) ([]*job, bool, error) {
	return w.Queue.claim(ctx, store.NewID(), limit)
}

func (w *world) List(ctx context.Context, f spool.Filter) ([]spool.Item, error) {
	return spool.List(ctx, w.Store, f)
}

func (w *world) Show(ctx context.Context, id int64) (spool.Shown, error) {
	return spool.Show(ctx, w.Store, id)
}

func (w *world) Count(ctx context.Context) (map[spool.State]int, error) {
	return spool.Count(ctx, w.Store)
}

func (w *world) Closed(ctx context.Context, limit int) ([]spool.Closed, error) {
	return spool.ListClosed(ctx, w.Store, limit)
}

// item is the only recipient with the address.
func (w *world) item(address string) spool.Item {
	w.t.Helper()
	items, err := w.List(context.Background(), spool.Filter{Address: address, States: []spool.State{spool.Waiting, spool.Leased, spool.Held, spool.Delivered, spool.Failed}})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(items) != 1 {
		w.t.Fatalf("%d recipients with the address %s: %+v", len(items), address, items)
	}
	return items[0]
}

func (w *world) rows(table string) (n int) {
	w.t.Helper()
	err := w.Store.Read(context.Background(), func(tx *store.Tx) error {
		return tx.Row(`SELECT count(*) FROM ` + table).Scan(&n)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// run runs the queue until the test ends or the returned function is called.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Error(err)
			}
		})
	}
	w.t.Cleanup(stop)
	for !w.board.State().Open {
		time.Sleep(time.Millisecond)
	}
	return stop
}

func eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !fn(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out: %s", what)
		}
	}
}
