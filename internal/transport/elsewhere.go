package transport

import (
	"context"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/turns"
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
		if there, went := l.carry(ctx, d, &part, c, w.transport); went {
			res.Recipients = append(res.Recipients, there.Recipients...)
			res.Visits, res.Name = append(res.Visits, there.Visits...), w.transport
			res.Destination, res.Decision = there.Destination, there.Decision
			continue
		}
		res.Recipients = append(res.Recipients, each(&part, later(reason.ProgramBusy, "the program that keeps its mailbox is slow, and as many deliveries to it are under way as there may be"))...)
	}
}

// carry takes a message to a program, if there is a place for one more delivery to it.
func (l *Local) carry(ctx context.Context, d Deliverer, job *delivery.Job, c delivery.Content, transport string) (res delivery.Result, went bool) {
	end, err := l.place(ctx, transport)
	if err != nil {
		return res, false
	}
	defer end()
	return d.Deliver(ctx, job, c), true
}

// placeWait is how long a delivery waits for one of those to the same program to end: a burst to one
// that answers at once passes, one that is slow does not hold up mail for mailboxes here, which waits
// in the same lanes.
const placeWait = time.Second

// place is one of the deliveries at a time to a program that keeps mailboxes.
func (l *Local) place(ctx context.Context, transport string) (end func(), err error) {
	if l.AwayAtOnce == 0 {
		return func() {}, nil
	}
	t, _ := l.places.LoadOrStore(transport, &turns.Turns{AtOnce: l.AwayAtOnce, Waiting: l.AwayAtOnce, Wait: placeWait})
	return t.(*turns.Turns).Take(ctx, turns.Caller{})
}

func later(word reason.Word, text string) delivery.RecipientResult {
	return delivery.RecipientResult{Outcome: delivery.Deferred, Word: word, Text: text, Enhanced: smtp.Enhanced{Class: 4, Subject: 3, Detail: 5}}
}
