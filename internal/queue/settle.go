package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	"waxwing/internal/body"
	"waxwing/internal/bounce"
	"waxwing/internal/delivery"
	"waxwing/internal/dispatch"
	"waxwing/internal/guard"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/outcomes"
	"waxwing/internal/reason"
	"waxwing/internal/spool"
	"waxwing/internal/store"
)

// settlement is one attempt on its way into the store. Outcome, history,
// observations and notifications are one transaction (QUE-2).
type settlement struct {
	q          *Queue
	job        *job
	res        *delivery.Result
	rows       []spool.Entry // those whose lease holds
	now        time.Time
	jitter     float64
	stopped    bool // the server stopped, and cut the attempt short
	hookErrors int  // at hookTries they are left out: the outcome is worth more than the record of it
	waits      bool // for the store
	kept       bool // it stands in the file of outcomes
	done       bool // and need not
	refused    int  // how often the store took other things, and not this

	prepared bool             // what follows is made
	outcomes []bounce.Outcome // of rows, and how those then stand:
	next     []spool.Entry
	detail   string
	notice   *delivery.Envelope // a DSN to be queued, or nil
	body     delivery.Content   // of notice, as Prepare made it
	ascii    []byte             // its form in US-ASCII; nil: body is that, or there is none
	forwards []forwarded        // messages to be queued for others
	last     bool               // no recipient is left: the queue has dropped the body
	gone     bool               // which was not there any more: the database has lost it
	told     bool               // webhooks have events to post
}

// The ways in which a settlement fails that another try, with something
// left out, can mend.
type (
	lostError    struct{ ids []int64 } // other owners have these
	hookError    struct{ err error }
	mailboxError struct{ err error } // a mailbox cannot take its copy
)

func (e *lostError) Error() string    { return spool.ErrLeaseLost.Error() }
func (e *hookError) Error() string    { return e.err.Error() }
func (e *mailboxError) Error() string { return e.err.Error() }
func (e *hookError) Unwrap() error    { return e.err }
func (e *mailboxError) Unwrap() error { return e.err }

const (
	settleTries = 10
	hookTries   = 3
	settlePause = 100 * time.Millisecond // doubled each time
	longestWait = 5 * time.Second        // between two tries
)

// settle writes down what an attempt came to. While the store as a whole takes nothing,
// it goes on trying, the outcome stands in the file of outcomes, and no other attempt
// begins. Where the store takes other things and not this, the message is held after some
// tries: it is not sent again and again for want of a note that it was. It returns how
// many recipients were settled.
func (q *Queue) settle(ctx context.Context, j *job, res *delivery.Result, stopped bool) int {
	return q.settlement(j, res, stopped).run(ctx)
}

func (q *Queue) settlement(j *job, res *delivery.Result, stopped bool) *settlement {
	return &settlement{q: q, job: j, res: res, rows: j.rows, now: q.Now(), jitter: q.jitter(), stopped: stopped}
}

func (s *settlement) run(ctx context.Context) int {
	defer s.over()
	for try := range s.q.tries(ctx) {
		err := s.try(ctx)
		if err == nil {
			s.done = true
			s.settled(ctx)
			return len(s.rows)
		}
		var hook *hookError // mend knows how often to try those
		if guard.Contained(err) && !errors.As(err, &hook) {
			s.done = true // a panic would come again
			s.q.giveUp(ctx, s.job)
			return 0
		}
		if s.end(ctx, err, try) {
			return 0
		}
	}
	return 0
}

// try writes the outcome, without what stands in the way.
func (s *settlement) try(ctx context.Context) error {
	for {
		err := s.prepare(ctx)
		if err == nil {
			err = s.q.Store.WriteSoon(ctx, s.write)
		}
		if err == nil || !s.mend(err) {
			return err
		}
		s.prepared = false
	}
}

// tries counts the tries of what the store has to take, with a pause after each that
// grows, until ctx ends.
func (q *Queue) tries(ctx context.Context) iter.Seq[int] {
	return func(yield func(int) bool) {
		pause := settlePause
		for n := 1; yield(n) && ctx.Err() == nil; n++ {
			q.pause(ctx, pause)
			pause = min(2*pause, longestWait)
		}
	}
}

// wait returns after a time, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// end acts on a try that failed, and says whether it was the last.
func (s *settlement) end(ctx context.Context, err error, try int) bool {
	log := s.q.Log.With(append(s.job.attrs(), "error", err)...)
	f := failedTry{tried: s.job.tried(), gone: errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrReplaced), tries: try}
	f.away = f.gone || s.q.away(ctx, err)
	f.ends = f.gone || !s.q.board.State().Open
	if !f.away {
		s.refused++
	} else if f.tried {
		s.await(log)
	}
	f.refused, f.kept = s.refused, s.kept
	switch f.ending() {
	case endKept:
		log.Warn("outcome kept: it is stored when the server starts again")
	case endLost:
		log.Error("outcome not stored: the message will be tried again")
	case endHeld:
		log.Error("outcome not stored")
		s.done = s.q.park(ctx, s.job, "what became of it cannot be written down, and it may have been delivered")
	case tryAgain:
		if try == 1 && !s.waits {
			log.Error("outcome not stored, will try again")
		}
		return false
	}
	return true
}

// failedTry is a try to settle that failed.
type failedTry struct {
	tried   bool // the attempt may have delivered the message
	gone    bool // the store is closed for good
	away    bool // the store takes nothing now
	ends    bool // the server is being stopped
	kept    bool // the outcome stands in the file of outcomes
	tries   int
	refused int // of them while the store took other things
}

type ending uint8

const (
	tryAgain ending = iota
	endKept         // the outcome is settled when the server starts again
	endLost         // the message is tried again
	endHeld         // the message is held
)

// ending says what becomes of the outcome. What is known to have happened waits for as
// long as the store is away; and where the store takes other things and not this, the
// message is not sent again for want of a note that it was.
func (f failedTry) ending() ending {
	switch {
	case !f.tried:
		if f.gone || f.tries >= settleTries {
			return endLost
		}
	case !f.away:
		if f.refused >= settleTries {
			return endHeld
		}
	case f.ends && f.kept:
		return endKept
	case f.gone, f.ends && f.tries >= settleTries:
		return endLost
	}
	return tryAgain
}

// await keeps the outcome in the file, once, and lets no other attempt begin.
func (s *settlement) await(log *slog.Logger) {
	if s.waits {
		return
	}
	s.waits = true
	if !s.kept {
		ids := make([]int64, len(s.rows))
		for i := range s.rows {
			ids[i] = s.rows[i].ID
		}
		err := s.q.outcomes.Keep(outcomes.Outcome{Message: s.job.ID, Claim: s.job.lease.number, Recipients: ids, Result: *s.res, Stopped: s.stopped})
		if s.kept = err == nil; !s.kept {
			log.Error("outcome kept in memory only: if this process ends before the store takes it, the message will be tried again", "file", s.q.Outcomes, "error", err)
		}
	}
	s.q.outage.Store(true)
	if s.q.board.Await(1) {
		log.Error("the store does not take what attempts came to: no other begins until it does")
	}
}

// over ends what await began.
func (s *settlement) over() {
	if s.kept && s.done {
		s.q.outcomes.Settled()
	}
	if s.waits && s.q.board.Await(-1) {
		s.q.goOn()
	}
}

// goOn begins attempts again when no outcome waits any more.
func (q *Queue) goOn() {
	q.Log.Info("the store takes outcomes again: attempts go on")
	q.start()
	q.Wake()
}

// away reports that an error is not about what was written: the store can take nothing now.
func (q *Queue) away(ctx context.Context, err error) bool {
	for _, e := range []error{store.ErrFull, store.ErrIO, store.ErrBusy, store.ErrUnknown} {
		if errors.Is(err, e) {
			return true
		}
	}
	return q.Store.Check(ctx) != nil
}

// mend leaves out what stood in the way; false if that was the store itself.
func (s *settlement) mend(err error) bool {
	var lost *lostError
	var hook *hookError
	var refused *mailboxError
	var done *delivery.DoneError
	log := s.q.Log.With(append(s.job.attrs(), "error", err)...)
	switch {
	case errors.As(err, &lost):
		log.Warn("lease lost: these recipients are settled by another owner", "recipients", len(lost.ids))
		s.rows = slices.DeleteFunc(slices.Clone(s.rows), func(r spool.Entry) bool { return slices.Contains(lost.ids, r.ID) })
	case errors.As(err, &refused):
		log.Error("delivery could not be completed")
		stays := s.res.ByOthers()
		s.res.Copies, s.res.Forwards = nil, nil
		for i, rr := range s.res.Recipients {
			if rr.Outcome == delivery.Delivered && !stays(rr.ID) {
				s.res.Recipients[i] = delivery.RecipientResult{ID: rr.ID, Outcome: delivery.Deferred,
					Word: reason.MailboxError, Text: "the mailbox could not be written"}
			}
		}
	case errors.As(err, &done):
		s.res.Without(done)
	case errors.As(err, &hook) && s.hookErrors < hookTries:
		if s.hookErrors++; s.hookErrors < hookTries {
			return false // it may have been the store
		}
		log.Error("the attempt could not be recorded; its outcome is settled without")
	default:
		return false
	}
	return true
}

// prepare decides and composes all that needs no transaction, once for all tries of
// one decision. An error is the store's.
func (s *settlement) prepare(ctx context.Context) error {
	if s.prepared {
		return nil
	}
	a := s.decide()
	s.place(ctx)
	if s.q.History > 0 {
		s.detail = spool.DetailOf(s.res, s.outcomes, s.next)
	}
	if err := s.compose(ctx, &a); err != nil {
		return err
	}
	if err := s.forward(ctx); err != nil {
		return err
	}
	s.prepared = true
	return nil
}

func (s *settlement) write(tx *store.Tx) error {
	s.last, s.gone, s.told = false, false, false
	var lost []int64
	final, due := 0, spool.Due{}
	for i := range s.next {
		e := &s.next[i]
		mine, err := e.Settle(tx)
		if err != nil {
			return err
		}
		if !mine {
			lost = append(lost, e.ID)
		}
		switch e.State {
		case spool.Delivered, spool.Failed:
			final++
		case spool.Waiting:
			due.At(e.Lane(), e.Due)
		}
	}
	if len(lost) > 0 {
		return &lostError{lost}
	}
	if err := s.deliver(tx, s.copies(), body.Packed{}); err != nil {
		return err
	}
	if err := s.history(tx); err != nil {
		return err
	}
	if final > 0 {
		if err := s.finish(tx, final); err != nil {
			return err
		}
	}
	if err := s.contain(func() error { return s.hooks(tx) }); err != nil {
		return &hookError{err}
	}
	if s.notice != nil {
		if err := s.q.insert(tx, s.notice, s.body, nil); err != nil {
			return err
		}
		if err := spool.InsertForm(tx, s.notice.ID, s.ascii); err != nil {
			return err
		}
	}
	if err := s.writeForwards(tx); err != nil {
		return err
	}
	if err := due.Write(tx); err != nil {
		return err
	}
	for _, p := range s.job.paceChanged {
		if err := spool.SavePace(tx, p.To, p.Pace, p.Why, s.now); err != nil {
			return err
		}
	}
	return nil
}

// contain makes a panic of what others plugged in an error like any other of theirs.
func (s *settlement) contain(fn func() error) error {
	return s.q.Guard.Try(guard.Settle, fn, s.job.attrs()...)
}

// copies are what mailboxes get: those of recipients that are being settled as delivered.
func (s *settlement) copies() []delivery.Copy {
	var out []delivery.Copy
	for _, c := range s.res.Copies {
		if slices.ContainsFunc(s.next, func(e spool.Entry) bool { return e.ID == c.Recipient && e.State == spool.Delivered }) {
			out = append(out, c)
		}
	}
	return out
}

// deliver writes copies of the message into mailboxes; data is its body where that is
// stored only now, and none where it is stored already.
func (s *settlement) deliver(tx *store.Tx, copies []delivery.Copy, data body.Packed) error {
	if len(copies) == 0 {
		return nil
	}
	if s.q.Mailboxes == nil {
		return &mailboxError{errors.New("this server has no mailboxes")}
	}
	d := mailbox.Delivery{Body: s.job.ID, Data: data.Data, Coding: uint8(data.Coding), Sum: data.Sum, Size: s.job.Size, Sender: s.job.Sender, Received: s.res.Started, MessageID: s.job.MessageID, Facts: s.job.Facts,
		Structure: s.res.Structure, References: s.res.References}
	err := s.contain(func() error { return s.q.Mailboxes.Deliver(tx, d, copies) })
	if mailboxes.IsRefusal(err) || guard.Contained(err) || errors.Is(err, body.ErrGone) {
		return &mailboxError{err}
	}
	return err
}

func (s *settlement) history(tx *store.Tx) error {
	if s.q.History < 0 || s.untried() {
		return nil
	}
	return spool.InsertAttempt(tx, s.job.ID, spool.Attempt{Domain: s.job.rows[0].DomainText, Transport: cmp.Or(s.res.Name, string(s.res.Transport)),
		Owner: s.q.Owner, Started: s.res.Started, Ended: s.res.Ended}, s.detail)
}

// untried reports that nothing happened that a history should tell.
func (s *settlement) untried() bool {
	if !s.job.noAttempt && !s.job.putOff() && s.job.holdRule == "" {
		return false
	}
	return !slices.ContainsFunc(s.outcomes, func(o bounce.Outcome) bool { return !o.Undone })
}

// finish counts recipients that reached their end. With the last one the body
// goes, and without a history everything.
func (s *settlement) finish(tx *store.Tx, n int) error {
	left, err := spool.Finish(tx, s.job.ID, n, s.now)
	if err != nil || left > 0 {
		return err
	}
	s.last = true
	err = body.Drop(tx, s.job.ID)
	// A body that the database has lost must not keep its message from an end.
	if s.gone = errors.Is(err, body.ErrGone); err != nil && !s.gone {
		return fmt.Errorf("drop the message's body: %w", err)
	}
	if s.job.Purpose == delivery.DSN {
		if err := spool.DeleteForm(tx, s.job.ID); err != nil {
			return err
		}
	}
	if s.q.History < 0 {
		return spool.DeleteMessage(tx, s.job.ID)
	}
	return nil
}

func (s *settlement) hooks(tx *store.Tx) error {
	if s.hookErrors >= hookTries {
		return nil
	}
	if s.q.Record != nil && s.job.tried() {
		if err := s.q.Record(tx, &s.job.Job, s.res); err != nil {
			return fmt.Errorf("record: %w", err)
		}
	}
	if err := s.bounced(tx); err != nil {
		return fmt.Errorf("suppression: %w", err)
	}
	if err := s.events(tx); err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	if s.q.Settled == nil {
		return nil
	}
	env := s.job.Envelope
	env.Recipients = nil
	for i := range s.next {
		if st := s.next[i].State; st != spool.Delivered && st != spool.Failed {
			continue
		}
		if err := s.q.Settled(tx, env, s.outcomes[i].Result); err != nil {
			return fmt.Errorf("settled: %w", err)
		}
	}
	return nil
}

// bounced tells the suppressions whom remote servers refused for good (QUE-7).
func (s *settlement) bounced(tx *store.Tx) error {
	if s.q.Suppression == nil || s.job.Account == "" || s.job.Purpose != delivery.Mail {
		return nil
	}
	for i := range s.next {
		e, reply := &s.next[i], s.outcomes[i].Result.Reply
		if e.State != spool.Failed || e.Local || reply == nil {
			continue
		}
		if err := s.q.Suppression.Bounced(tx, s.job.Account, e.Address, reply); err != nil {
			return err
		}
	}
	return nil
}

// settled tells the world after the commit.
func (s *settlement) settled(ctx context.Context) {
	for _, p := range s.job.paceChanged {
		s.closing(ctx, p)
	}
	if s.q.Attempted != nil && s.job.tried() {
		_ = s.contain(func() error { s.q.Attempted(&s.job.Job, s.res); return nil }) // a panic is logged
	}
	if s.notice != nil {
		s.q.Wake()
		// From here on its own lines, under its own id, tell what becomes of it.
		s.q.Log.Info("notification queued", "message", delivery.ID(s.job.ID), "notification", delivery.ID(s.notice.ID), "sender", s.job.Sender)
	}
	s.toldForwards()
	if s.told {
		s.q.Webhooks.Wake()
	}
	if s.gone {
		s.q.Log.Error("the database has lost the body of a message that is settled now", "message", delivery.ID(s.job.ID))
	}
	if s.last && s.job.Size > MaxInline {
		if err := s.q.bodies().Remove(ctx, s.job.ID); err != nil {
			s.q.Log.Warn("body of a settled message left for the sweep", "message", delivery.ID(s.job.ID), "error", err)
		}
	}
	for i := range s.next {
		e := &s.next[i]
		var due time.Time // of who still waits
		if e.State == spool.Waiting {
			due = e.Due
			s.q.alarm.Due(e.Due)
			s.q.alarm.Due(e.Attend)
		}
		if s.q.Log.Enabled(ctx, slog.LevelInfo) {
			s.log(ctx, e, &s.outcomes[i], due)
		}
	}
}

func (s *settlement) log(ctx context.Context, e *spool.Entry, o *bounce.Outcome, due time.Time) {
	rr := &o.Result
	reply, text := spool.Clip(rr.Reply.String()), rr.Text
	if reply == text {
		text = ""
	}
	attrs := []slog.Attr{slog.String("message", delivery.ID(s.job.ID).String()), slog.String("recipient", e.Address),
		slog.String("word", string(rr.Word)), slog.String("host", rr.Host.ASCII()), slog.String("tls", rr.TLS),
		slog.String("reply", reply), slog.String("text", text), slog.Int("attempts", o.Attempts+1), slog.Time("due", due)}
	if l := rr.Last; l != (delivery.Fact{}) {
		attrs = append(attrs, slog.String("last-word", string(l.Word)), slog.String("last-text", spool.Clip(l.Text)))
	}
	s.q.Log.LogAttrs(ctx, slog.LevelInfo, e.OutcomeWord(o), attrs...)
}

// closing returns what else was claimed for a destination that has closed, so
// that all its mail waits together.
func (s *settlement) closing(ctx context.Context, p dispatch.Change) {
	if !p.Pace.Dead() {
		s.q.Log.Info("destination answers again", "destination", p.To.String())
		s.q.Wake()
		return
	}
	s.q.Log.Warn("destination cannot be reached: all mail for it waits", "destination", p.To.String(), "until", p.Pace.Blocked, "failures", p.Pace.Failures, "error", cmp.Or(p.Why.Text, string(p.Why.Word)))
	s.q.giveBack(ctx, s.q.board.Recall(p.To), s.q.Now())
}
