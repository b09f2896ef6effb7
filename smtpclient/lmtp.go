package smtpclient

import (
	"context"
	"time"

	"waxwing/smtp"
)

// finals reads the replies to a message that was sent by LMTP: one for each recipient that was
// taken, in the order of RCPT (RFC 2033 §4.2). Where the connection ends before the last, those
// that came count.
func (x *exchange) finals(ctx context.Context) error {
	c := x.c
	x.res.Each = make([]*smtp.Reply, len(x.res.Rcpts))
	end := time.Now().Add(c.t.Final)
	for i, rcpt := range x.res.Rcpts {
		if rcpt == nil || !rcpt.Positive() {
			continue
		}
		r, err := c.finalReply(ctx, time.Until(end))
		if err == nil && r.Code/100 == 3 {
			err = &smtp.ReplySyntaxError{Line: r.String(), Reason: "reply to the end of a message is 3xx"}
		}
		if err != nil {
			c.fail(err)
			return c.connError(StepFinal, err)
		}
		x.res.Each[i] = r
		x.res.Data = better(x.res.Data, r)
	}
	c.settle(x.res.Data)
	c.dirty = false
	return nil
}

// better is the reply that says more for the host: a positive one, else one that may become so.
func better(a, b *smtp.Reply) *smtp.Reply {
	switch {
	case a == nil, b.Positive() && !a.Positive(), b.Temporary() && a.Permanent():
		return b
	}
	return a
}
