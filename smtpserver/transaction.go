package smtpserver

import (
	"context"
	"errors"

	"waxwing/smtp"
)

// mail is MAIL FROM.
func (c *conn) mail(ctx context.Context, arg string) *smtp.Reply {
	switch {
	case c.session == nil || c.helo == "":
		return outOfOrder("say EHLO first")
	case c.tx.open:
		return outOfOrder("nested MAIL command")
	}
	// RFC 9422 §4.1: every MAIL counts.
	if c.mails++; c.mails > c.srv.limits().Transactions {
		c.limited("transactions")
		return smtp.NewReply(421, status(4, 7, 0), "%s too many messages in one connection", c.srv.Hostname)
	}
	p, r := smtp.ParseMail(arg, c.ext)
	if r != nil {
		return r
	}
	if err := c.session.Mail(ctx, p); err != nil {
		return asReply(err)
	}
	c.begin(transaction{open: true, utf8: p.SMTPUTF8})
	c.utf8 = p.SMTPUTF8
	return smtp.NewReply(250, status(2, 1, 0), "OK")
}

// rcpt is RCPT TO.
func (c *conn) rcpt(ctx context.Context, arg string) *smtp.Reply {
	switch {
	case !c.tx.open:
		return outOfOrder("say MAIL first")
	case c.tx.began:
		return outOfOrder("RCPT after BDAT")
	case c.tx.rcpts >= c.srv.limits().Recipients:
		c.limited("recipients")
		return smtp.NewReply(452, status(4, 5, 3), "too many recipients")
	}
	allowed := c.ext
	allowed.SMTPUTF8 = c.tx.utf8
	p, r := smtp.ParseRcpt(arg, allowed)
	if r != nil {
		return r
	}
	if !c.hold(arg) {
		c.limited("envelope-memory")
		return smtp.NewReply(452, status(4, 5, 3), "too many recipients for now")
	}
	if err := c.session.Rcpt(ctx, p); err != nil {
		return asReply(err)
	}
	c.tx.rcpts++
	c.tx.seen.add(p.To)
	c.commands-- // bounded by its own limit, which may be as large
	return smtp.NewReply(250, status(2, 1, 5), "OK")
}

// bodyOutOfOrder is why a message cannot come now; nil if it can.
func (c *conn) bodyOutOfOrder() *smtp.Reply {
	switch {
	case !c.tx.open:
		return outOfOrder("say MAIL first")
	case c.tx.failed:
		return outOfOrder("the message was refused, say RSET")
	case c.tx.rcpts == 0 && c.srv.LMTP:
		return outOfOrder("no valid recipients") // RFC 2033 §4.2
	case c.tx.rcpts == 0:
		// RFC 2920 §3.1: a pipelining client learns here that all were refused.
		return smtp.NewReply(554, status(5, 5, 1), "no valid recipients")
	}
	return nil
}

// data is DATA.
func (c *conn) data(ctx context.Context, arg string) *smtp.Reply {
	if r := noArgument("DATA", arg); r != nil {
		return r
	}
	if c.tx.began {
		return outOfOrder("DATA after BDAT")
	}
	if r := c.bodyOutOfOrder(); r != nil {
		return r
	}
	c.reply("DATA", smtp.NewReply(354, smtp.Enhanced{}, "end with <CRLF>.<CRLF>"))
	recipients := c.tx.rcpts
	return c.forEach(recipients, c.message(ctx))
}

// forEach gives each of so many recipients the reply to the message, where this is LMTP (RFC 2033
// §4.2): a message is taken for all of them or for none. The last reply is returned.
func (c *conn) forEach(recipients int, r *smtp.Reply) *smtp.Reply {
	if !c.srv.LMTP || r == nil || c.ended != "" {
		return r
	}
	for range recipients - 1 {
		c.reply("DATA", r)
	}
	return r
}

// message reads what follows 354, and returns the final reply.
func (c *conn) message(ctx context.Context) *smtp.Reply {
	c.await(false, c.timeouts().Data, c.timeouts().Message)
	before := c.consumed()
	dr := smtp.NewDataReader(c.reader(), c.srv.limits().MessageSize)
	dr.BareEnds = true
	if c.srv.Hooks.Command != nil {
		if h := c.hook(".", ""); h != nil {
			fault := dr.Drain()
			c.resetTransaction()
			if errors.Is(fault, smtp.ErrBareNewline) {
				return c.dataFault(fault)
			}
			return h
		}
	}
	r, err := c.session.Data(ctx, dr)
	// Stay in step, whatever the session did; a fault in the data outranks its reply.
	fault, worth := dr.Drain(), len(c.tx.seen)
	c.watchHidden(c.consumed()-before, "of message data")
	c.resetTransaction()
	if fault != nil {
		return c.dataFault(fault)
	}
	return c.finalReply(r, err, worth)
}

// finalReply is the final reply to a message that was read to its end, for so many
// recipients.
func (c *conn) finalReply(r *smtp.Reply, err error, recipients int) *smtp.Reply {
	switch {
	case err != nil:
		r = asReply(err)
	case r == nil:
		r = asReply(errors.New("smtpserver: the session gave no reply"))
	case r.Positive():
		c.delivered(recipients)
		return r
	}
	if t := c.srv.Trace.Refused; t != nil {
		t(r.Code)
	}
	return r
}

// dataFault is the reply to a message that could not be read whole; nil where
// nobody is there to read it.
func (c *conn) dataFault(err error) *smtp.Reply {
	switch {
	case errors.Is(err, smtp.ErrBareNewline):
		// INB-13. Where the data ends, the client and we may not agree: what follows
		// would be taken for commands that nobody has sent.
		c.end("bare-newline")
		return smtp.NewReply(521, status(5, 5, 2), "%s message data holds a bare CR or LF, closing connection: lines must end in CRLF", c.srv.Hostname)
	case errors.Is(err, smtp.ErrTooLarge):
		c.limited("size")
		return smtp.NewReply(552, status(5, 3, 4), "message larger than %d octets", c.srv.limits().MessageSize)
	}
	return c.ioFault(err)
}
