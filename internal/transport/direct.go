package transport

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/policy"
	"waxwing/internal/session"
	"waxwing/smtp"
)

// Finder finds a domain's hosts; *destination.Finder is one.
type Finder interface {
	Find(ctx context.Context, d delivery.RecipientDomain) delivery.Destination
}

// STS finds a domain's MTA-STS policy; *stspolicy.Cache is one.
type STS interface {
	Find(ctx context.Context, d delivery.RecipientDomain) delivery.Finding
}

// Carrier takes a message to one host; *session.Client is one.
type Carrier interface {
	Carry(ctx context.Context, req session.Request) session.Report
}

// Direct delivers to the hosts that the recipient's domain names in DNS
// (TRA-1). It is safe for concurrent use.
type Direct struct {
	Finder      Finder
	STS         STS // nil: MTA-STS is not looked at
	Session     Carrier
	NoPlaintext bool // the server never sends in plaintext (POL-3)
	// Minimum is the operator's minimum for a domain (POL-9); nil: none but the
	// job's own. The higher one counts.
	Minimum func(ctx context.Context, d delivery.RecipientDomain) delivery.Minimum
	// Exception is what the operator sets aside for a domain (STS-13); nil: nothing.
	Exception func(d delivery.RecipientDomain) delivery.Exception
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: discard
}

// PlanRequest is what a plan depends on beside what is found.
type PlanRequest struct {
	Domain     delivery.RecipientDomain
	Need       delivery.TLSNeed
	Purpose    delivery.Purpose
	Minimum    delivery.Minimum
	NullSender bool // MAIL FROM:<>
}

// Plan finds and decides, and dials no mail host. Explain and the companion
// services call it too, so that they say what a delivery would do.
func (d *Direct) Plan(ctx context.Context, req PlanRequest) (delivery.Destination, delivery.Finding, delivery.Decision) {
	dest, finding, in := d.find(ctx, req)
	return dest, finding, policy.Decide(in)
}

func (d *Direct) find(ctx context.Context, req PlanRequest) (delivery.Destination, delivery.Finding, policy.Input) {
	dest := d.Finder.Find(ctx, req.Domain)
	var finding delivery.Finding
	// RFC 8461 §3.1: policies belong to domains; a literal has none. And a domain
	// that takes no mail needs none.
	var exception delivery.Exception
	if d.Exception != nil {
		exception = d.Exception(req.Domain)
	}
	if d.STS != nil && !req.Domain.IsLiteral() && dest.Fail == nil && exception.STS != delivery.STSOff {
		finding = d.STS.Find(ctx, req.Domain)
	}
	minimum := req.Minimum
	if d.Minimum != nil {
		minimum = max(minimum, d.Minimum(ctx, req.Domain))
	}
	return dest, finding, policy.Input{
		Need: req.Need, Destination: dest, Finding: finding, Purpose: req.Purpose, Minimum: minimum,
		NullSender: req.NullSender, NoPlaintext: d.NoPlaintext, Domain: req.Domain.Name, Exception: exception,
	}
}

// Deliver makes one attempt: it plans, then visits the hosts in order until
// every recipient is settled.
func (d *Direct) Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	res := delivery.Result{Started: d.now(), Transport: "direct"}
	var in policy.Input
	res.Destination, res.Finding, in = d.find(ctx, PlanRequest{
		Domain: job.Domain, Need: job.Need, Purpose: job.Purpose, Minimum: job.Minimum, NullSender: job.Sender == "",
	})
	res.Decision = policy.Decide(in)
	if len(res.Decision.SetAside) > 0 && d.Log != nil {
		d.Log.Info("delivery exception used", "domain", job.Domain.String(), "facts", delivery.Basis(res.Decision.SetAside).String())
	}
	t := newTour(job, res.Decision)
	t.late = func() bool { return d.now().Sub(res.Started) > tourTime }
	if res.Decision.Stop == nil {
		t.visit(ctx, d.Session, c, &res)
	}
	if len(t.pending) > 0 && in.Need == delivery.RequireTLS && !in.NullSender && ctx.Err() == nil {
		t.verdict(in, &res)
	}
	res.Recipients = t.results()
	res.Ended = d.now()
	return res
}

// tour is one attempt on its way from host to host.
type tour struct {
	job     *delivery.Job
	pending []delivery.Recipient
	settled map[int64]delivery.RecipientResult
	best    map[int64]delivery.RecipientResult // of those pending: the best reason so far
	causes  map[int64][]cause                  // of those pending: why each host did not settle them
	hosts   int                                // of the domain, those that are skipped included
	unfit   map[int64]int                      // how many of them cannot take the message for a recipient
	late    func() bool                        // no further host is begun
}

// tourTime is how long after its start an attempt may begin with another host:
// a domain with many hosts that never answer must not hold a slot for an hour.
// It is well above what RFC 5321 §4.5.3.2 gives a host to greet in, so that one
// that never does so does not keep mail from the next.
const tourTime = 20 * time.Minute

// newTour begins with the reasons that stand before any host is dialled.
func newTour(job *delivery.Job, dec delivery.Decision) *tour {
	t := &tour{job: job, pending: job.Recipients, settled: map[int64]delivery.RecipientResult{}, best: map[int64]delivery.RecipientResult{},
		causes: map[int64][]cause{}, hosts: len(dec.Plans), unfit: map[int64]int{}, late: func() bool { return false }}
	for _, p := range dec.Plans {
		if p.Skip != nil {
			t.all(delivery.RecipientResult{Word: p.Skip.Cause, Text: p.Skip.Text, Host: p.Host.Name,
				PolicyFailure: p.Host.Fail == nil}) // a host without an address breaks no policy
		}
	}
	if f := dec.Stop; f != nil {
		rr := failure(f)
		// Every host was skipped, one at least for a policy.
		rr.PolicyFailure = slices.ContainsFunc(dec.Plans, func(p delivery.Plan) bool { return p.Host.Fail == nil })
		t.best, t.causes = map[int64]delivery.RecipientResult{}, map[int64][]cause{} // its text names them all
		t.all(rr)
	}
	return t
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
func (t *tour) all(rr delivery.RecipientResult) {
	for _, r := range t.pending {
		rr.ID = r.ID
		t.reason(rr)
	}
}

// reason keeps the better of two reasons; of equal ones the first.
func (t *tour) reason(rr delivery.RecipientResult) {
	t.causes[rr.ID] = append(t.causes[rr.ID], cause{rr.Host, rr.Word, rr.Text})
	old, ok := t.best[rr.ID]
	if !ok || worth(rr) > worth(old) {
		t.best[rr.ID] = rr
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
func (t *tour) visit(ctx context.Context, s Carrier, c delivery.Content, res *delivery.Result) {
	for _, p := range res.Decision.Plans {
		if p.Skip != nil {
			continue
		}
		if len(t.pending) == 0 || ctx.Err() != nil || len(res.Visits) > 0 && t.late() {
			return
		}
		rep := s.Carry(ctx, session.Request{Plan: p, Job: t.job, Recipients: t.pending, Content: c})
		res.Visits = append(res.Visits, rep.Visit)
		t.take(rep.Recipients)
		if proxyFailed(&rep.Visit) { // the next host would not be reached either
			return
		}
	}
}

func proxyFailed(a *delivery.Visit) bool {
	return slices.ContainsFunc(a.Sessions, func(s delivery.Session) bool { return s.Err != nil && s.Err.Word == session.ProxyFailed })
}

// take parts the recipients that a host settled from those that are left.
func (t *tour) take(results []delivery.RecipientResult) {
	for _, rr := range results {
		if rr.Outcome == delivery.Pending {
			t.reason(rr)
			if rr.Unfit {
				t.unfit[rr.ID]++
			}
		} else {
			t.settled[rr.ID] = rr
		}
	}
	var left []delivery.Recipient
	for _, r := range t.pending {
		if _, ok := t.settled[r.ID]; !ok {
			left = append(left, r)
		}
	}
	t.pending = left
}

// verdict decides on a RequireTLS message that no host took (POL-4).
func (t *tour) verdict(in policy.Input, res *delivery.Result) {
	tried := make([]policy.Tried, 0, len(res.Decision.Plans))
	next := 0
	for _, p := range res.Decision.Plans {
		a := delivery.Visit{Plan: p}
		if p.Skip == nil && next < len(res.Visits) {
			a = res.Visits[next]
			next++
		}
		tried = append(tried, policy.Judge(in, a))
	}
	if len(tried) == 0 {
		return
	}
	f := policy.Verdict(tried)
	if f == nil {
		return
	}
	for _, r := range t.pending {
		rr := failure(f)
		rr.ID, rr.PolicyFailure = r.ID, true
		t.best[r.ID] = rr
		delete(t.causes, r.ID) // its text names them all
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
func (t *tour) results() []delivery.RecipientResult {
	out := make([]delivery.RecipientResult, len(t.job.Recipients))
	for i, r := range t.job.Recipients {
		rr, ok := t.settled[r.ID]
		if !ok {
			rr, ok = t.best[r.ID]
		}
		if !ok {
			rr = delivery.RecipientResult{Word: "interrupted", Text: "the attempt was interrupted before a host was asked",
				Enhanced: smtp.Enhanced{Class: 4, Subject: 4}}
		}
		if rr.Outcome == delivery.Pending {
			rr.Outcome, rr.Text = delivery.Deferred, withOthers(rr, t.causes[r.ID])
			if rr.Unfit {
				rr.Outcome, rr.Enhanced.Class = unfit(t.hosts, t.unfit[r.ID])
			}
		}
		rr.ID, rr.Unfit = r.ID, false
		out[i] = rr
	}
	return out
}

func (d *Direct) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}
