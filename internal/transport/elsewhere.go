package transport

import (
	"context"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/smtp"
)

// elsewhere are recipients whose mailboxes another program keeps, by the transport to it, in the
// order in which they were found (INB-14).
type elsewhere []wayThere

type wayThere struct {
	transport  string
	recipients []delivery.Recipient
}

func (e *elsewhere) add(transport string, r delivery.Recipient) {
	for i := range *e {
		if (*e)[i].transport == transport {
			(*e)[i].recipients = append((*e)[i].recipients, r)
			return
		}
	}
	*e = append(*e, wayThere{transport, []delivery.Recipient{r}})
}

// away takes the message to those programs, and adds what became of each recipient to res. A job
// without a lease is on its way in: nothing of it is stored yet, and nobody is dialled for it.
func (l *Local) away(ctx context.Context, job *delivery.Job, c delivery.Content, all elsewhere, res *delivery.Result) {
	for _, w := range all {
		part := *job
		part.Recipients = w.recipients
		if job.Lease == nil {
			res.Recipients = append(res.Recipients, each(&part, later(reason.NoResult, "it is taken to its mailbox when it is stored"))...)
			continue
		}
		d, err := l.Elsewhere(ctx, w.transport)
		if err != nil {
			if l.Log != nil {
				l.Log.Error("the transport to mailboxes elsewhere cannot be used; mail waits", "message", delivery.ID(job.ID), "transport", w.transport, "error", err)
			}
			res.Recipients = append(res.Recipients, each(&part, later(reason.NoTransport, "the transport "+w.transport+" of this server, which leads to its mailbox, cannot be used"))...)
			continue
		}
		there := d.Deliver(ctx, &part, c)
		res.Recipients = append(res.Recipients, there.Recipients...)
		res.Visits, res.Name = append(res.Visits, there.Visits...), w.transport
		res.Destination, res.Decision = there.Destination, there.Decision
	}
}

func later(word reason.Word, text string) delivery.RecipientResult {
	return delivery.RecipientResult{Outcome: delivery.Deferred, Word: word, Text: text, Enhanced: smtp.Enhanced{Class: 4, Subject: 3, Detail: 5}}
}
