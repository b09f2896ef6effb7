package transport

import (
	"context"
	"log/slog"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/policy"
	"waxwing/internal/session"
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
	Name        string // of the operator's transport; "": the built-in one
	Finder      Finder
	STS         STS // nil: MTA-STS is not looked at
	Session     Carrier
	NoPlaintext bool // the server never sends in plaintext (POL-3)
	// Minimum is the operator's minimum for a domain (POL-9); nil: none.
	Minimum func(d delivery.RecipientDomain) delivery.Minimum
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
	minimum := delivery.MinAny
	if d.Minimum != nil {
		minimum = d.Minimum(req.Domain)
	}
	return dest, finding, policy.Input{
		Need: req.Need, Destination: dest, Finding: finding, Purpose: req.Purpose, Minimum: minimum,
		NullSender: req.NullSender, NoPlaintext: d.NoPlaintext, Domain: req.Domain.Name, Exception: exception,
	}
}

// Deliver makes one attempt: it plans, then visits the hosts in order until
// every recipient is settled.
func (d *Direct) Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	a := attempt{job: job, session: d.Session, now: d.now, res: delivery.Result{Transport: delivery.ByDirect, Name: d.Name, Started: d.now()}}
	a.res.Destination, a.res.Finding, a.in = d.find(ctx, PlanRequest{
		Domain: job.Domain, Need: job.Need, Purpose: job.Purpose, NullSender: job.Sender == "",
	})
	if aside := a.decide(); len(aside) > 0 && d.Log != nil {
		d.Log.Info("delivery exception used", "message", delivery.ID(job.ID), "domain", job.Domain.String(), "facts", delivery.Basis(aside).String())
	}
	return a.run(ctx, c)
}

func (d *Direct) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}
