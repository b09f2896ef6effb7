package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"

	"waxwing/internal/guard"
)

// Limits of one group: members that wait for its commit wait no longer than this, however many come.
const (
	groupMembers = 256
	groupTime    = 20 * time.Millisecond
)

// A group of members that are all in no hurry is begun when it has so many, or the first
// of them has waited so long.
const (
	soonMembers = 64
	soonTime    = 10 * time.Millisecond
)

// longHold is how long a member may keep the transaction before the log says so.
const longHold = 2 * time.Second

// carefulGroups is for how many groups each member has a savepoint, once one has failed and others with it.
const carefulGroups = 64

// writer is SQLite's one writing connection. Its goroutine opens a
// transaction, lends it to one waiting member after the other, commits, and tells
// all. A member runs fn on its own goroutine. Where one fails, the others run again:
// a savepoint each costs a copy of every page that is changed, and is for bad times.
type writer struct {
	s     *session
	check checkpointer
	log   *slog.Logger
	guard *guard.Guard
	queue chan *member
	ended chan struct{}
	now   func() time.Time
	// around is Options.Commit.
	around func(commit func() error) error
	broken *broken
	files  *files // nil: not watched

	under   []*member // those of the transaction under way; the writing goroutine's
	careful int       // groups that are still to have savepoints; the same
	undone  bool      // SQLite has undone the transaction, whatever its members were told; of who has it

	mu     sync.RWMutex
	closed bool
}

// member is one Write. state makes sure that it is either lent the
// transaction or given up, never both.
type member struct {
	ctx   context.Context
	when  urgency
	state atomic.Int32
	turn  chan *Tx   // the transaction is lent
	ran   chan error // fn has ended and the transaction is back
	done  chan error // the group is committed, or lost
}

const (
	waiting int32 = iota
	taken
	gone
)

func newWriter(s *session, e *sqliteEngine, o Options) *writer {
	w := &writer{s: s, broken: &e.broken, files: e.files, check: checkpointer{log: o.Log, files: e.files}, log: o.Log, guard: o.Guard, queue: make(chan *member, groupMembers), ended: make(chan struct{}), now: time.Now, around: o.Commit}
	s.raw.(sqlite.HookRegisterer).RegisterRollbackHook(func() { w.undone = true })
	w.guard.Go(guard.Store, w.run)
	return w
}

// stop refuses new members, serves those that wait, and ends the goroutine; it
// reports false if that has been done before.
func (w *writer) stop() bool {
	w.mu.Lock()
	was := w.closed
	if !was {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.ended
	return !was
}

// lost is told to members whose work was good and went down with the
// transaction, which was undone as a whole for another member's failure.
type lost struct{ cause error }

func (l lost) Error() string { return "transaction lost: " + l.cause.Error() }
func (l lost) Unwrap() error { return l.cause }

// lostTries bounds how often a member goes down with others.
const lostTries = 5

func (w *writer) write(ctx context.Context, u urgency, fn func(*Tx) error) error {
	for try := 1; ; try++ {
		err := w.once(ctx, u, fn)
		var l lost
		if !errors.As(err, &l) || try == lostTries {
			return err
		}
	}
}

// once lets fn be member of one group.
func (w *writer) once(ctx context.Context, u urgency, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m := &member{ctx: ctx, when: u, turn: make(chan *Tx, 1), ran: make(chan error, 1), done: make(chan error, 1)}
	if err := w.enter(m); err != nil {
		return err
	}
	for ended := ctx.Done(); ; {
		select {
		case tx := <-m.turn:
			w.runMember(m, tx, fn)
			return <-m.done
		case err := <-m.done: // the group could not begin
			return err
		case <-ended:
			if m.state.CompareAndSwap(waiting, gone) {
				return ctx.Err()
			}
			ended = nil // it is being lent the transaction
		}
	}
}

// enter puts m in the queue.
func (w *writer) enter(m *member) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return ErrClosed
	}
	select {
	case w.queue <- m:
		return nil
	case <-m.ctx.Done():
		return m.ctx.Err()
	}
}

// runMember runs fn and gives the transaction back, also when fn panics or
// ends the goroutine (t.FailNow does).
func (w *writer) runMember(m *member, tx *Tx, fn func(*Tx) error) {
	err := errors.New("store: the writing goroutine ended in the middle of its transaction")
	defer func() { m.ran <- tx.finish(err) }()
	err = contained(w.guard, func() error { return fn(tx) })
}

// contained makes a panic of a transaction its error.
func contained(g *guard.Guard, fn func() error) error {
	err := g.Try(guard.Store, fn)
	if guard.Contained(err) {
		err = fmt.Errorf("store: in the transaction: %w", err)
	}
	return err
}

func (w *writer) run() {
	defer close(w.ended)
	for m := range w.queue {
		err := contained(w.guard, func() error { w.commit(w.gather(m)); return nil })
		if err != nil {
			w.abandon(err)
		}
		w.under = nil
	}
}

// abandon tells all members that are under way that a panic of the engine has ended
// their transaction: nobody may wait for ever.
func (w *writer) abandon(err error) {
	w.s.do("ROLLBACK") // fails where there is none
	for _, m := range w.under {
		m.state.CompareAndSwap(waiting, taken)
		select {
		case m.done <- err:
		default: // it was told
		}
	}
}

// gather is first and, where it is in no hurry, those that come while it waits.
func (w *writer) gather(first *member) []*member {
	ms := []*member{first}
	defer func() { w.under = append(w.under, ms...) }()
	if first.when != soon {
		return ms
	}
	over := time.NewTimer(soonTime)
	defer over.Stop()
	for len(ms) < soonMembers {
		select {
		case m, ok := <-w.queue:
			if !ok { // the end: run sees it too
				return ms
			}
			if ms = append(ms, m); m.when != soon {
				return ms
			}
		case <-over.C:
			return ms
		}
	}
	return ms
}

// commit commits ms and those that wait behind them in one transaction.
func (w *writer) commit(ms []*member) {
	if err := w.begin(); err != nil {
		for _, m := range ms {
			w.refuse(m, fmt.Errorf("begin to write: %w", err))
		}
		return
	}
	w.careful, w.undone = max(w.careful-1, 0), false
	var in []*member // those whose work is in the transaction
	begun := w.now()
	for n := 1; len(ms) > 0; n++ {
		err := w.lend(ms[0], &in)
		ms = ms[1:]
		if err != nil { // the transaction is lost, and with it all members
			w.s.do("ROLLBACK") // fails where SQLite has done it
			w.tell(in, lost{engineError(err)})
			for _, m := range ms {
				w.refuse(m, lost{engineError(err)})
			}
			return
		}
		if len(ms) == 0 && n < groupMembers && w.now().Sub(begun) < groupTime {
			ms = w.next()
		}
	}
	if len(in) == 0 {
		w.s.do("ROLLBACK")
		return
	}
	err := w.around(func() error { return w.s.do("COMMIT") })
	if err != nil {
		w.log.Error("commit failed", slog.Any("error", err), slog.Int("members", len(in)))
		w.s.do("ROLLBACK") // fails where SQLite has done it
		err = fmt.Errorf("commit: %w", w.broken.note(engineError(err)))
	} else {
		// What was committed into a file that is gone is not durable.
		err = w.look((*files).check)
	}
	w.tell(in, err)
	if err == nil {
		w.check.committed(w.s)
	}
}

func (w *writer) begin() error {
	// First, since a WAL that was cut off grows again with what is written.
	if err := w.look((*files).checkWAL); err != nil {
		return err
	}
	return w.broken.note(engineError(w.s.do("BEGIN IMMEDIATE")))
}

// look makes sure that the files are what was opened.
func (w *writer) look(check func(*files) error) error {
	if err := w.broken.get(); err != nil || w.files == nil {
		return err
	}
	if err := check(w.files); err != nil {
		return w.broken.set(err)
	}
	return nil
}

// next is a member that waits now, if there is one.
func (w *writer) next() []*member {
	select {
	case m, ok := <-w.queue:
		if ok {
			w.under = append(w.under, m)
			return []*member{m}
		}
	default:
	}
	return nil
}

// lend lets m work in the transaction. A member that fails is told at once, and undone: alone, where there is a savepoint
// to go back to. The error is one of the transaction as a whole.
func (w *writer) lend(m *member, in *[]*member) error {
	if !m.state.CompareAndSwap(waiting, taken) {
		return nil
	}
	saved := w.careful > 0
	if saved {
		if err := w.s.do("SAVEPOINT member"); err != nil {
			m.done <- engineError(err)
			return err
		}
	}
	slow := time.AfterFunc(longHold, w.guard.Func(guard.Store, func() {
		w.log.Warn("a transaction keeps all other writers waiting; does it wait for the network, or call Write again?")
	}))
	// An interrupted statement would undo the transaction of all members (sqlite3_interrupt).
	m.turn <- &Tx{ctx: m.ctx, statements: context.Background(), run: w.s}
	err := <-m.ran
	slow.Stop()
	if err == nil && saved {
		err = w.s.do("RELEASE member")
	} else if err == nil && w.undone {
		err = errors.New("store: the transaction was undone")
	}
	if err == nil {
		*in = append(*in, m)
		return nil
	}
	m.done <- w.broken.note(engineError(err))
	switch {
	case saved:
	case err == errNothingWritten:
		return nil
	default:
		w.careful = carefulGroups * min(len(*in), 1)
		return err
	}
	// SQLite undoes the whole transaction itself after some errors (disk full,
	// I/O): then there is no savepoint to go back to.
	if lost := w.s.do("ROLLBACK TO member"); lost != nil {
		return err
	}
	return w.s.do("RELEASE member")
}

// refuse tells a member that was never begun.
func (w *writer) refuse(m *member, err error) {
	if m.state.CompareAndSwap(waiting, taken) {
		m.done <- err
	}
}

func (w *writer) tell(members []*member, err error) {
	for _, m := range members {
		m.done <- err
	}
}
