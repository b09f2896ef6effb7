package queue

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/dsn"
	"waxwing/internal/delivery"
	"waxwing/internal/retry"
	"waxwing/smtp"
)

// expired is the status of what was tried long enough (RFC 3463 §3.5, X.4.7).
var expired = smtp.Enhanced{Class: 4, Subject: 4, Detail: 7}

// verdict is what becomes of one recipient after an attempt.
type verdict struct {
	row
	result delivery.RecipientResult // Outcome is Delivered, Deferred or Failed
	state  State
	due    time.Time // the next attempt, or when it was settled
	attend time.Time // when it must be looked at in any case
	undone bool      // there was no attempt, or it was cut short by us: it does not count
	tell   dsn.Action
}

// circumstances are what a judgement depends on beside the attempt.
type circumstances struct {
	schedule retry.Schedule
	now      time.Time
	jitter   float64
	stopped  bool // the server stopped and cut the attempt short
}

// judge decides what becomes of every recipient of a job. It is pure. All that
// are deferred share one next time, so that they travel together again (QUE-1).
func judge(j *job, rows []row, res *delivery.Result, c circumstances) []verdict {
	out := judgeAll(j, rows, res, c)
	for i := range out {
		v := &out[i]
		notice := !v.delayTold && tellable(&j.Envelope) && v.Notify.Wants(delivery.NotifyDelay)
		if j.silent {
			v.tell = ""
		}
		v.attend = retry.Attend(c.schedule, j.Start(), notice, c.now)
	}
	return out
}

func judgeAll(j *job, rows []row, res *delivery.Result, c circumstances) []verdict {
	if j.attend || j.held != "" {
		return judgeUntried(j, rows, c)
	}
	results := make(map[int64]delivery.RecipientResult, len(res.Recipients))
	for _, rr := range res.Recipients {
		results[rr.ID] = rr
	}
	addrs := triedAddrs(res)
	out := make([]verdict, len(rows))
	for i, r := range rows {
		rr, ok := results[r.ID]
		if !ok || rr.Outcome == delivery.Pending {
			rr.ID, rr.Outcome = r.ID, delivery.Deferred
			rr.Word = delivery.Reason(or(string(rr.Word), "no-result"))
			rr.Text = or(rr.Text, "the attempt ended without a result")
		}
		out[i] = judgeOne(j, r, rr, c)
		if v := &out[i]; !v.undone {
			if !j.operator {
				v.LastAttempt = res.Ended
			}
			if len(addrs) > 0 {
				v.LastAddrs = addrs
			}
			if rr.PolicyFailure && r.firstFail == "" {
				v.firstFail, v.firstFailAt = or(rr.Text, string(rr.Word)), res.Started
				v.FirstFail = firstFailText(v.firstFail, v.firstFailAt)
			}
			if rr.Unknown && r.unanswered.IsZero() {
				v.unanswered = res.Ended
			}
			v.tell = tell(&j.Envelope, v, c)
			v.delayTold = r.delayTold || v.tell == dsn.Delayed
		}
	}
	return out
}

func judgeOne(j *job, r row, rr delivery.RecipientResult, c circumstances) verdict {
	v := verdict{row: r, result: rr, due: c.now}
	switch rr.Outcome {
	case delivery.Delivered:
		v.state = Delivered
		return v
	case delivery.Failed:
		v.state = Failed
		return v
	}
	if c.stopped {
		v.undone = true
		return v
	}
	if j.crowded && c.now.Before(j.Start().Add(c.schedule.Expire)) {
		v.undone, v.due = true, c.now.Add(crowdPause+time.Duration(c.jitter*float64(crowdPause)))
		return v
	}
	next, over := retry.Next(c.schedule, j.Start(), r.Attempts+1, c.now, c.jitter)
	if !over {
		v.due = next
		return v
	}
	v.expire(j, c, r.Attempts+1)
	return v
}

// crowdPause is when, at the least, mail has its turn again that found no place at the
// addresses of its hosts.
const crowdPause = 30 * time.Second

// expire gives up what was tried long enough.
func (v *verdict) expire(j *job, c circumstances, attempts int) {
	rr := &v.result
	last := "None was made, since the destination could not be reached."
	if t := or(rr.Text, replyText(rr.Reply), string(rr.Word)); t != "" {
		last = "The last one: " + t
	}
	v.state = Failed
	rr.Outcome, rr.Enhanced = delivery.Failed, expired
	rr.Text = fmt.Sprintf("Delivery failed for %s, in %d attempts. %s", days(c.now.Sub(j.Start())), attempts, last)
	rr.Word = "expired"
}

// judgeUntried decides about recipients that were not tried: they are to be held, or
// their destination cannot be reached and they have waited for long. What is
// told of them is how the last attempt went.
func judgeUntried(j *job, rows []row, c circumstances) []verdict {
	out := make([]verdict, len(rows))
	for i, r := range rows {
		v := verdict{row: r, due: r.dueWas, undone: true}
		v.result = delivery.RecipientResult{ID: r.ID, Outcome: delivery.Deferred, Word: delivery.Reason(r.last.word),
			Text: r.last.text, Reply: parseReply(r.last.reply)}
		v.result.Host.Name, _ = dns.ParseName(r.last.host) // zero where there was none
		switch {
		case j.held != "":
			v.state, v.due = Held, c.now
			v.result = delivery.RecipientResult{ID: r.ID, Word: "hold-rule", Text: j.held}
		case c.stopped:
		case !c.now.Before(j.Start().Add(c.schedule.Expire)):
			v.undone, v.due = false, c.now
			v.expire(j, c, r.Attempts)
			v.tell = tell(&j.Envelope, &v, c)
		default:
			v.tell = tell(&j.Envelope, &v, c)
			v.delayTold = r.delayTold || v.tell == dsn.Delayed
		}
		out[i] = v
	}
	return out
}

// parseReply reads what replyText wrote; nil for "".
func parseReply(s string) *smtp.Reply {
	var r smtp.Reply
	code, text, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(code)
	if err != nil || n < 200 || n > 599 {
		return nil
	}
	r.Code = n
	word, rest, _ := strings.Cut(text, " ")
	if k, _ := fmt.Sscanf(word, "%d.%d.%d", &r.Enhanced.Class, &r.Enhanced.Subject, &r.Enhanced.Detail); k == 3 {
		text = rest
	} else {
		r.Enhanced = smtp.Enhanced{}
	}
	r.Lines = []string{text}
	return &r
}

// tellable reports that somebody is there to be told: nobody is of what has no
// sender, nor of notifications and reports (RFC 3464 §2, QUE-5).
func tellable(env *delivery.Envelope) bool {
	return env.Sender != "" && env.Purpose == delivery.Mail
}

// tell says which notification the sender gets of a recipient; "" for none.
func tell(env *delivery.Envelope, v *verdict, c circumstances) dsn.Action {
	if !tellable(env) {
		return ""
	}
	switch {
	case v.state == Failed && v.Notify.Wants(delivery.NotifyFailure):
		return dsn.Failed
	case v.state == Waiting && !v.delayTold && v.Notify.Wants(delivery.NotifyDelay) && retry.NoticeDue(c.schedule, env.Start(), c.now):
		return dsn.Delayed
	case v.state == Delivered && v.Notify.Wants(delivery.NotifySuccess) && !v.result.DSNRelayed:
		if v.local {
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
	for _, a := range res.Visits {
		for _, s := range a.Sessions {
			if s.Addr.IsValid() && len(out) < maxAddrs && !slices.Contains(out, s.Addr) {
				out = append(out, s.Addr)
			}
		}
	}
	return out
}

func joinAddrs(addrs []netip.Addr) string {
	s := make([]string, len(addrs))
	for i, a := range addrs {
		s[i] = a.String()
	}
	return strings.Join(s, " ")
}

func replyText(r *smtp.Reply) string {
	if r == nil {
		return ""
	}
	return r.String()
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
