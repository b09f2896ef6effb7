package bounce

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"waxwing/dsn"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/retry"
	"waxwing/smtp"
)

// Attempt is a job after an attempt, with all that the outcome depends on.
type Attempt struct {
	Envelope   *delivery.Envelope
	Recipients []delivery.Recipient
	Result     *delivery.Result
	Schedule   retry.Schedule
	Now        time.Time
	Jitter     float64 // in [0,1)

	NoAttempt bool   // the recipients were only looked at: Result tells how their last attempts went
	Stopped   bool   // the server stopped, and cut the attempt short
	PutOff    bool   // nothing could be tried, for want of a place at a host or of routes
	Hold      string // why a hold rule has stopped it before anything was tried; "": none has
	Operator  bool   // an operator, or a fault of ours, has ended the job: there was no attempt
	NoNotice  bool   // and the sender hears nothing
}

// Outcome is what becomes of one recipient.
type Outcome struct {
	delivery.Recipient                          // with what the attempt adds to its history
	Result             delivery.RecipientResult // its Outcome is Delivered, Deferred or Failed

	Undone bool       // there was no attempt, or it was cut short by us: it does not count
	Next   time.Time  // of a deferred one: the next attempt; zero: when it was due before
	Attend time.Time  // when it must be looked at in any case
	Tell   dsn.Action // what the sender hears; "": nothing
}

// expired is the status of what was tried long enough (RFC 3463 §3.5, X.4.7).
var expired = smtp.Enhanced{Class: 4, Subject: 4, Detail: 7}

// putOffPause is when, at the least, mail has its turn again of which nothing could be tried.
const putOffPause = 30 * time.Second

// Decide says what becomes of every recipient of a job. All that are deferred share one
// next time, so that they travel together again (QUE-1).
func Decide(a *Attempt) []Outcome {
	results := make(map[int64]delivery.RecipientResult, len(a.Result.Recipients))
	for _, rr := range a.Result.Recipients {
		results[rr.ID] = rr
	}
	addrs := triedAddrs(a.Result)
	out := make([]Outcome, len(a.Recipients))
	for i, r := range a.Recipients {
		o := &out[i]
		o.Recipient, o.Result = r, results[r.ID]
		switch {
		case a.Hold != "":
			o.Undone, o.Result = true, delivery.RecipientResult{ID: r.ID, Word: reason.HoldRule, Text: a.Hold}
		case a.NoAttempt:
			a.look(o)
		default:
			a.decide(o)
			if !o.Undone {
				a.remember(o, addrs)
			}
		}
		if !o.Undone || a.NoAttempt && !a.Stopped {
			o.Tell = a.tell(o)
			o.DelayTold = o.DelayTold || o.Tell == dsn.Delayed
		}
		if a.NoNotice {
			o.Tell = ""
		}
		o.Attend = Attend(a.Envelope, &o.Recipient, a.Schedule, a.Now)
	}
	return out
}

// decide is for a recipient that was tried.
func (a *Attempt) decide(o *Outcome) {
	rr := &o.Result
	if rr.Outcome == delivery.Pending {
		rr.ID, rr.Outcome = o.ID, delivery.Deferred
		rr.Word, rr.Text = cmp.Or(rr.Word, reason.NoResult), cmp.Or(rr.Text, "the attempt ended without a result")
	}
	switch {
	case rr.Outcome != delivery.Deferred:
	case a.Stopped:
		o.Undone, o.Next = true, a.Now
	case a.PutOff && a.Now.Before(a.end()):
		o.Undone, o.Next = true, a.Now.Add(putOffPause+time.Duration(a.Jitter*float64(putOffPause)))
	default:
		var over bool
		if o.Next, over = retry.Next(a.Schedule, a.Envelope.Start(), o.Attempts+1, a.Now, a.Jitter); over {
			a.expire(o, o.Attempts+1)
		}
	}
}

// look is for a recipient that was not tried: its contact cannot be reached, and it has
// waited for long.
func (a *Attempt) look(o *Outcome) {
	o.Result.Outcome, o.Undone = delivery.Deferred, true
	if !a.Stopped && !a.Now.Before(a.end()) {
		o.Undone = false
		a.expire(o, o.Attempts)
	}
}

// end is when nobody tries any more.
func (a *Attempt) end() time.Time { return a.Envelope.Start().Add(a.Schedule.Expire) }

// expire gives up what was tried long enough.
func (a *Attempt) expire(o *Outcome, attempts int) {
	rr := &o.Result
	rr.Last = delivery.Fact{Word: rr.Word, Text: rr.Text}
	rr.Outcome, rr.Word, rr.Enhanced = delivery.Failed, reason.Expired, expired
	rr.Text = fmt.Sprintf("Delivery failed for %s, in %d attempts.", days(a.Now.Sub(a.Envelope.Start())), attempts)
	if rr.Last == (delivery.Fact{}) && rr.Reply == nil {
		rr.Text += " None was made, since the destination could not be reached."
	}
}

// remember adds the attempt to the recipient's history.
func (a *Attempt) remember(o *Outcome, addrs []netip.Addr) {
	if !a.Operator {
		o.LastAttempt = a.Result.Ended
	}
	if len(addrs) > 0 {
		o.LastAddrs = addrs
	}
	if o.Result.PolicyFailure && o.FirstFail == (delivery.Fact{}) {
		o.FirstFail, o.FirstFailAt = delivery.Fact{Word: o.Result.Word, Text: o.Result.Text}, a.Result.Started
	}
	if o.Result.Unknown && o.Unanswered.IsZero() {
		o.Unanswered = a.Result.Ended
	}
}

// tellable reports that somebody is there to be told: nobody is of what has no
// sender, nor of notifications and reports (RFC 3464 §2, QUE-5).
func tellable(env *delivery.Envelope) bool {
	return env.Sender != "" && env.Purpose == delivery.Mail
}

// Attend is when a waiting recipient must be looked at in any case.
func Attend(env *delivery.Envelope, r *delivery.Recipient, s retry.Schedule, now time.Time) time.Time {
	notice := !r.DelayTold && tellable(env) && r.Notify.Wants(delivery.NotifyDelay)
	return retry.Attend(s, env.Start(), notice, now)
}

// tell says which notification the sender gets of a recipient; "" for none.
func (a *Attempt) tell(o *Outcome) dsn.Action {
	if !tellable(a.Envelope) {
		return ""
	}
	switch rr := &o.Result; {
	case rr.Outcome == delivery.Failed && o.Notify.Wants(delivery.NotifyFailure):
		return dsn.Failed
	case rr.Outcome == delivery.Deferred && !o.DelayTold && o.Notify.Wants(delivery.NotifyDelay) && retry.NoticeDue(a.Schedule, a.Envelope.Start(), a.Now):
		return dsn.Delayed
	case rr.Outcome == delivery.Delivered && o.Notify.Wants(delivery.NotifySuccess) && !rr.DSNRelayed:
		if rr.Word == reason.PassedOn {
			return dsn.Expanded // RFC 3461 §5.2.7.2: what becomes of it further on, nobody tells
		}
		if o.Local {
			return dsn.Delivered
		}
		return dsn.Relayed // RFC 3461 §5.2.2: the next hop will not tell
	}
	return ""
}

// maxAddrs bounds the addresses remembered with a recipient (DST-2).
const maxAddrs = 8

func triedAddrs(res *delivery.Result) []netip.Addr {
	var out []netip.Addr
	for _, v := range res.Visits {
		for _, s := range v.Sessions {
			if s.Addr.IsValid() && len(out) < maxAddrs && !slices.Contains(out, s.Addr) {
				out = append(out, s.Addr)
			}
		}
	}
	return out
}

// days is a duration as a person would say it.
func days(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
	if d >= 2*time.Hour {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return d.Round(time.Second).String()
}
