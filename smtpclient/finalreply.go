package smtpclient

import (
	"context"
	"errors"
	"io"
	"time"

	"waxwing/smtp"
)

// restOfReply is how long the reply to a message may take from its first octet
// on: once its code is there, nothing hangs on the rest (SES-13).
const restOfReply = time.Minute

// maxStray bounds the replies that are passed over because they cannot be the
// one that is waited for.
const maxStray = 20

// finalReply reads the reply that settles a message, within d. Its code counts,
// however it is written, and also where the connection fails before its end; a
// reply with a fault is the last over the connection (SES-13).
func (c *Conn) finalReply(ctx context.Context, d time.Duration) (*smtp.Reply, error) {
	end := time.Now().Add(d)
	c.deadline(ctx, end)
	if _, err := c.br.Peek(1); err == nil {
		if rest := time.Now().Add(restOfReply); rest.Before(end) {
			c.deadline(ctx, rest)
		}
	}
	r, err := smtp.ReadReply(c.br, c.opts.Limits)
	if r == nil {
		return nil, err
	}
	if err != nil {
		c.fail(err)
	}
	c.heard(r)
	return r, nil
}

// final reads the reply to the final dot. Lines without a code, and replies that
// only ask for more, are passed over: they are not the final reply, which may follow.
func (c *Conn) final(ctx context.Context) (*smtp.Reply, error) {
	var stray smtp.ReplyFaults
	end := time.Now().Add(c.t.Final)
	for n := 0; ; n++ {
		r, err := c.finalReply(ctx, time.Until(end))
		var garbled *smtp.ReplySyntaxError
		switch {
		case errors.As(err, &garbled) && garbled.Err == nil && n < maxStray:
			stray |= smtp.FaultUncoded
		case err != nil:
			c.fail(err)
			return nil, c.connError(StepFinal, err)
		case r.Code/100 == 3 && c.dead == nil && n < maxStray:
			stray |= smtp.FaultMisplaced
		default:
			r.Faults |= stray
			c.settle(r)
			return r, nil
		}
	}
}

// settle retires the connection after a reply to a message that had a fault, or
// has octets behind it; the announcement that the peer closes is no fault.
func (c *Conn) settle(r *smtp.Reply) {
	if n := c.br.Buffered(); n > 0 {
		if more, _ := c.br.Peek(min(n, 3)); string(more) == "421" {
			c.closing = true
		} else {
			r.Faults |= smtp.FaultMisplaced
		}
	}
	c.faults |= r.Faults
	c.retired = c.retired || r.Faults != 0 || c.faults&smtp.FaultMisplaced != 0
}

// early looks at what came after 354 and before the end of the message was sent.
// A refusal is the host's word on the message, which it does not want to see to
// its end. Anything else cannot be: it is dropped, so that it does not pass for
// the reply to the final dot.
func (x *exchange) early() error {
	c := x.c
	if c.br.Buffered() == 0 {
		return nil
	}
	c.nc.SetReadDeadline(time.Now().Add(afterWriteError))
	for n := 0; c.br.Buffered() > 0; n++ {
		r, err := smtp.ReadReply(c.br, c.opts.Limits)
		c.watchReply(r)
		if r != nil && r.Code >= 400 {
			x.res.Data = r
			c.fail(r)
			return c.connError(StepBody, r)
		}
		if err == nil && n == maxStray {
			err = &smtp.ReplySyntaxError{Line: r.String(), Reason: "replies out of step with the commands", Err: smtp.ErrEndless}
		}
		if err != nil && !passing(err) {
			c.fail(err)
			return c.connError(StepBody, err)
		}
		c.faults |= smtp.FaultMisplaced
	}
	return nil
}

// passing reports an error of a reply that leaves the connection as it was: a
// line that is no reply, or one that did not come to its end.
func passing(err error) bool {
	var garbled *smtp.ReplySyntaxError
	if errors.As(err, &garbled) {
		return garbled.Err == nil
	}
	return (&ConnError{Err: err}).Timeout()
}

// cut is the error for a reply to DATA that the connection's end cut short:
// whatever is sent after it arrives nowhere.
func (c *Conn) cut(r *smtp.Reply) error {
	if r.Faults&smtp.FaultCut == 0 {
		return nil
	}
	c.fail(io.ErrUnexpectedEOF)
	return c.connError(StepData, io.ErrUnexpectedEOF)
}
