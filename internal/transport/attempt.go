package transport

import (
	"context"
	"slices"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/policy"
	"waxwing/internal/reason"
	"waxwing/internal/session"
	"waxwing/smtp"
)

// attempt is one try to deliver a job: from host to host in their order, as decided,
// until every recipient is settled.
type attempt struct {
	job     *delivery.Job
	session Carrier
	now     func() time.Time
	in      policy.Input
	res     delivery.Result

	pending []delivery.Recipient
	settled map[int64]delivery.RecipientResult
	best    map[int64]delivery.RecipientResult // of those pending: the best reason so far
	causes  map[int64][]cause                  // of those pending: why each host did not settle them
	hosts   int                                // of the domain, those that are skipped included
	unfit   map[int64]int                      // how many of them cannot take the message for a recipient
}

// attemptTime is how long after its start an attempt may begin with another host:
// a domain with many hosts that never answer must not hold a slot for an hour.
// It is well above what RFC 5321 §4.5.3.2 gives a host to greet in, so that one
// that never does so does not keep mail from the next.
const attemptTime = 20 * time.Minute

// decide makes the plans. It returns what an exception has set aside.
func (a *attempt) decide() []delivery.Fact {
	a.begin(policy.Decide(a.in))
	return a.res.Decision.SetAside
}

// begin starts with the reasons that stand before any host is dialled.
func (a *attempt) begin(dec delivery.Decision) {
	a.res.Decision, a.hosts, a.pending = dec, len(dec.Plans), a.job.Recipients
	a.settled, a.best = map[int64]delivery.RecipientResult{}, map[int64]delivery.RecipientResult{}
	a.causes, a.unfit = map[int64][]cause{}, map[int64]int{}
	for _, p := range dec.Plans {
		if p.Skip != nil {
			a.all(delivery.RecipientResult{Word: p.Skip.Word, Text: p.Skip.Text, Host: p.Host.Name,
				PolicyFailure: p.Host.Fail == nil}) // a host without an address breaks no policy
		}
	}
	if f := dec.Stop; f != nil {
		rr := failure(f)
		// Every host was skipped, one at least for a policy.
		rr.PolicyFailure = slices.ContainsFunc(dec.Plans, func(p delivery.Plan) bool { return p.Host.Fail == nil })
		a.best, a.causes = map[int64]delivery.RecipientResult{}, map[int64][]cause{} // its text names them all
		a.all(rr)
	}
}

// run carries the message out as decided.
func (a *attempt) run(ctx context.Context, c delivery.Content) delivery.Result {
	if a.res.Decision.Stop == nil {
		a.visit(ctx, c)
	}
	if len(a.pending) > 0 && ctx.Err() == nil {
		a.conclude()
	}
	a.res.Recipients = a.results()
	a.res.Ended = a.now()
	return a.res
}

// failure is a failure as a recipient's result.
func failure(f *delivery.Failure) delivery.RecipientResult {
	rr := delivery.RecipientResult{Outcome: delivery.Deferred, Word: f.Word, Enhanced: f.Enhanced, Text: f.Text}
	if f.Permanent {
		rr.Outcome = delivery.Failed
	}
	return rr
}

// all gives every pending recipient a reason to be so.
func (a *attempt) all(rr delivery.RecipientResult) {
	for _, r := range a.pending {
		rr.ID = r.ID
		a.reason(rr)
	}
}

// reason keeps the better of two reasons; of equal ones the first.
func (a *attempt) reason(rr delivery.RecipientResult) {
	a.causes[rr.ID] = append(a.causes[rr.ID], cause{rr.Host, rr.Word, rr.Text})
	old, ok := a.best[rr.ID]
	if !ok || worth(rr) > worth(old) {
		a.best[rr.ID] = rr
	}
}

// worth orders reasons by what they tell a sender: a policy that could not be
// met (POL-6), then a server's own words, then that one could not be reached.
func worth(rr delivery.RecipientResult) int {
	switch {
	case rr.PolicyFailure:
		return 2
	case rr.Reply != nil:
		return 1
	}
	return 0
}

// visit carries the message to the planned hosts in order (SES-11).
func (a *attempt) visit(ctx context.Context, c delivery.Content) {
	for _, p := range a.res.Decision.Plans {
		if p.Skip != nil {
			continue
		}
		if len(a.pending) == 0 || ctx.Err() != nil || len(a.res.Visits) > 0 && a.now().Sub(a.res.Started) > attemptTime {
			return
		}
		rep := a.session.Carry(ctx, session.Request{Plan: p, Job: a.job, Recipients: a.pending, Content: c})
		a.res.Visits = append(a.res.Visits, rep.Visit)
		a.take(rep.Recipients)
		if proxyFailed(&rep.Visit) { // the next host would not be reached either
			return
		}
	}
}

func proxyFailed(a *delivery.Visit) bool {
	return slices.ContainsFunc(a.Sessions, func(s delivery.Session) bool { return s.Err != nil && s.Err.Word == reason.ProxyFailed })
}

// take parts the recipients that a host settled from those that are left.
func (a *attempt) take(results []delivery.RecipientResult) {
	for _, rr := range results {
		if rr.Outcome == delivery.Pending {
			a.reason(rr)
			if rr.Unfit {
				a.unfit[rr.ID]++
			}
		} else {
			a.settled[rr.ID] = rr
		}
	}
	var left []delivery.Recipient
	for _, r := range a.pending {
		if _, ok := a.settled[r.ID]; !ok {
			left = append(left, r)
		}
	}
	a.pending = left
}

// conclude has policy say whether a message that no host took is given up.
func (a *attempt) conclude() {
	f := policy.GiveUp(a.in, a.res.Decision.Plans, a.res.Visits)
	if f == nil {
		return
	}
	for _, r := range a.pending {
		rr := failure(f)
		rr.ID, rr.PolicyFailure = r.ID, true
		a.best[r.ID] = rr
		delete(a.causes, r.ID) // its text names them all
	}
}

// unfit is what becomes of a recipient that some of a domain's hosts could not take
// the message for, with the class of its status: it is for good only once every
// host was asked (SES-14). One that could not be asked may be the one that can.
func unfit(hosts, said int) (delivery.Outcome, int) {
	if said == hosts {
		return delivery.Failed, 5
	}
	return delivery.Deferred, 4
}

// results are those of all recipients in the job's order; who is pending still
// is deferred.
func (a *attempt) results() []delivery.RecipientResult {
	out := make([]delivery.RecipientResult, len(a.job.Recipients))
	for i, r := range a.job.Recipients {
		rr, ok := a.settled[r.ID]
		if !ok {
			rr, ok = a.best[r.ID]
		}
		if !ok {
			rr = delivery.RecipientResult{Word: reason.Interrupted, Text: "the attempt was interrupted before a host was asked",
				Enhanced: smtp.Enhanced{Class: 4, Subject: 4}}
		}
		if rr.Outcome == delivery.Pending {
			rr.Outcome, rr.Text = delivery.Deferred, withOthers(rr, a.causes[r.ID])
			if rr.Unfit {
				rr.Outcome, rr.Enhanced.Class = unfit(a.hosts, a.unfit[r.ID])
			}
		}
		rr.ID, rr.Unfit = r.ID, false
		out[i] = rr
	}
	return out
}
