package smtpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"waxwing/smtp"
)

func (c *conn) starttls(ctx context.Context, arg string) *smtp.Reply {
	switch {
	case c.tls != nil:
		return outOfOrder("TLS is already active")
	case c.srv.TLS == nil && c.srv.Hooks.TLS == nil:
		return smtp.NewReply(502, status(5, 5, 1), "STARTTLS is not offered")
	case arg != "":
		return noArgument("STARTTLS", arg)
	case c.reader().Buffered() > 0:
		// RFC 3207 §4, and INB-2: what came along in plaintext could have been
		// put there by anybody and must not be taken for what the TLS client says.
		c.end("pipelined-starttls")
		return smtp.NewReply(554, status(5, 5, 1), "commands pipelined with STARTTLS, closing connection")
	}
	if !c.srv.gate.BeginTLS(c.srv.limits().Shares(), c.remote.Addr()) {
		// Not 454: a client for whom TLS is optional would go on in plaintext.
		c.end("limit-tls")
		return smtp.NewReply(421, status(4, 7, 0), "%s too many TLS handshakes at one time, try again later", c.srv.Hostname)
	}
	defer c.srv.gate.EndTLS(c.remote.Addr())
	c.reply("STARTTLS", smtp.NewReply(220, status(2, 0, 0), "go ahead"))
	if err := c.flush(); err != nil {
		c.end("lost")
		return nil
	}
	if err := c.handshake(ctx); err != nil {
		c.end("tls")
	}
	return nil
}

// handshake changes to TLS. Everything learnt before is forgotten (RFC 3207 §4.2).
func (c *conn) handshake(ctx context.Context) error {
	limit := c.timeouts().Handshake
	if c.srv.gate.HurryTLS(c.srv.limits().Shares()) {
		limit = min(limit, c.timeouts().Crowded)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tc, err := c.secure(ctx, limit)
	if err == nil && tc == nil {
		err = errors.New("no TLS configuration")
	}
	var cs tls.ConnectionState
	if err == nil {
		cs = tc.ConnectionState()
	}
	if t := c.srv.Trace.TLS; t != nil {
		t(c.remote.Addr(), &cs, err)
	}
	c.watchTLS(&cs, err)
	if err != nil {
		c.log().Info("TLS handshake failed", "error", err)
		return err
	}
	c.closeSession()
	c.nc, c.tls, c.mechs = tc, &cs, nil
	c.release()
	c.helo, c.esmtp, c.identity = "", false, c.srv.Identity
	c.begin(transaction{})
	c.ext = smtp.Extensions{}
	return nil
}

func (c *conn) secure(ctx context.Context, limit time.Duration) (*tls.Conn, error) {
	// Whatever deadline the last command set is not the handshake's.
	c.raw.SetDeadline(time.Now().Add(limit))
	defer c.raw.SetDeadline(time.Time{})
	if h := c.srv.Hooks.TLS; h != nil {
		return h(ctx, c.raw)
	}
	if c.srv.wireTLS == nil {
		return nil, nil
	}
	tc := tls.Server(c.raw, c.srv.wireTLS)
	return tc, c.raw.Handshake(ctx, tc, c.srv.lane)
}
