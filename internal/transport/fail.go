package transport

import (
	"context"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/route"
	"waxwing/smtp"
)

// Refuser answers every job with the code and text that the operator set up.
type Refuser struct {
	Transport route.Transport
	Now       func() time.Time // nil: time.Now
}

// Deliver sends nothing.
func (f *Refuser) Deliver(_ context.Context, job *delivery.Job, _ delivery.Content) delivery.Result {
	t := now(f.Now)
	rr := delivery.RecipientResult{Outcome: delivery.Deferred, Word: reason.RefusedByRoute, Text: f.Transport.Text, Enhanced: f.Transport.Enhanced}
	if f.Transport.Code >= 500 {
		rr.Outcome = delivery.Failed
	}
	if rr.Enhanced.IsZero() {
		rr.Enhanced = smtp.Enhanced{Class: f.Transport.Code / 100, Subject: 7, Detail: 1}
	}
	return delivery.Result{Recipients: each(job, rr), Started: t, Ended: t, Transport: delivery.ByFail, Name: f.Transport.Name}
}

// each gives every recipient of a job the same result.
func each(job *delivery.Job, rr delivery.RecipientResult) []delivery.RecipientResult {
	out := make([]delivery.RecipientResult, len(job.Recipients))
	for i, r := range job.Recipients {
		out[i] = rr
		out[i].ID = r.ID
	}
	return out
}

func now(fn func() time.Time) time.Time {
	if fn != nil {
		return fn()
	}
	return time.Now()
}
