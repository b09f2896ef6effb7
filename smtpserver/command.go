package smtpserver

import (
	"context"

	"waxwing/smtp"
)

// command carries out one command line and queues its reply.
func (c *conn) command(ctx context.Context, line []byte) {
	cmd, r := c.parse(line)
	if r == nil {
		if r = c.hook(cmd.Verb, cmd.Arg); r != nil && cmd.Verb == "BDAT" {
			c.skipChunk(cmd.Arg)
		}
	}
	if r == nil {
		r = c.dispatch(ctx, cmd)
	}
	c.reply(cmd.Verb, c.countError(cmd.Verb, r))
}

// parse splits the line and applies what holds for every command.
func (c *conn) parse(line []byte) (smtp.Command, *smtp.Reply) {
	c.watchCommand(line)
	c.commands++
	if c.commands > c.srv.limits().Commands {
		c.limited("commands")
		return smtp.Command{}, smtp.NewReply(421, status(4, 7, 0), "%s too many commands, closing connection", c.srv.Hostname)
	}
	cmd, err := smtp.ParseCommand(line)
	if err != nil {
		return cmd, smtp.NewReply(500, status(5, 5, 2), "%s", err)
	}
	if len(line)+2 > maxCommand && cmd.Verb != "AUTH" {
		return cmd, smtp.NewReply(500, status(5, 5, 6), "line too long")
	}
	return cmd, nil
}

// dispatch calls the verb's method. A nil reply: it has replied itself.
func (c *conn) dispatch(ctx context.Context, cmd smtp.Command) *smtp.Reply {
	switch cmd.Verb {
	case "EHLO", "HELO", "LHLO":
		if c.srv.LMTP != (cmd.Verb == "LHLO") { // RFC 2033 §4.1: the one or the other
			return smtp.NewReply(500, status(5, 5, 1), "unknown command: this is %s", map[bool]string{false: "SMTP", true: "LMTP"}[c.srv.LMTP])
		}
		return c.hello(ctx, cmd.Arg, cmd.Verb != "HELO")
	case "STARTTLS":
		return c.starttls(ctx, cmd.Arg)
	case "AUTH":
		return c.auth(ctx, cmd.Arg)
	case "MAIL":
		return c.mail(ctx, cmd.Arg)
	case "RCPT":
		return c.rcpt(ctx, cmd.Arg)
	case "DATA":
		return c.data(ctx, cmd.Arg)
	case "BDAT":
		return c.bdat(ctx, cmd.Arg)
	case "RSET":
		return c.rset(cmd.Arg)
	case "NOOP":
		return smtp.NewReply(250, status(2, 0, 0), "OK")
	case "VRFY":
		return c.vrfy(cmd.Arg)
	case "HELP":
		return smtp.NewReply(214, status(2, 0, 0), "see RFC 5321")
	case "QUIT":
		return c.quit(cmd.Arg)
	case "EXPN", "TURN", "SEND", "SOML", "SAML", "ETRN":
		return smtp.NewReply(502, status(5, 5, 1), "not implemented")
	case "GET", "POST", "PUT", "CONNECT", "OPTIONS", "HEAD":
		// A web page or proxy that was led here: its next lines are not ours.
		c.end("http")
		return smtp.NewReply(554, status(5, 5, 1), "this is a mail server, closing connection")
	case "PROXY":
		// A load balancer that was not told of, or somebody who plays one: what follows
		// would be taken for mail of the wrong client.
		c.end("proxy")
		return smtp.NewReply(554, status(5, 7, 1), "a PROXY header is not taken from your address, closing connection")
	}
	return smtp.NewReply(500, status(5, 5, 1), "unknown command")
}

// outOfOrder is the reply to a command that came too early or too late.
func outOfOrder(text string) *smtp.Reply {
	return smtp.NewReply(503, status(5, 5, 1), "%s", text)
}

func noArgument(verb, arg string) *smtp.Reply {
	if arg == "" {
		return nil
	}
	return smtp.NewReply(501, status(5, 5, 4), "%s takes no argument", verb)
}

func (c *conn) rset(arg string) *smtp.Reply {
	if r := noArgument("RSET", arg); r != nil {
		return r
	}
	c.resetTransaction()
	return smtp.NewReply(250, status(2, 0, 0), "OK")
}

func (c *conn) quit(arg string) *smtp.Reply {
	if r := noArgument("QUIT", arg); r != nil {
		return r
	}
	c.end("quit")
	return smtp.NewReply(221, status(2, 0, 0), "%s closing connection", c.srv.Hostname)
}

// vrfy tells nothing about addresses (RFC 5321 §7.3).
func (c *conn) vrfy(arg string) *smtp.Reply {
	if arg == "" {
		return smtp.NewReply(501, status(5, 5, 4), "VRFY needs an address")
	}
	return smtp.NewReply(252, status(2, 5, 0), "cannot verify, send some mail to find out")
}
