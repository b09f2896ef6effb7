package smtpserver

import (
	"context"
	"fmt"
	"time"

	"waxwing/smtp"
)

const maxHELO = 255

// hello is EHLO and HELO. Both end a transaction (RFC 5321 §4.1.4).
func (c *conn) hello(ctx context.Context, arg string, esmtp bool) *smtp.Reply {
	if !goodHELO(arg) {
		return smtp.NewReply(501, status(5, 5, 4), "a domain or address literal must follow")
	}
	c.resetTransaction()
	c.helo, c.esmtp = arg, esmtp
	if c.session == nil {
		s, err := c.srv.Backend.NewSession(ctx, c)
		if err != nil {
			c.helo = ""
			return asReply(err)
		}
		c.session = s
	}
	first := fmt.Sprintf("%s greets %s", c.srv.Hostname, arg)
	c.ext = smtp.Extensions{}
	if !esmtp {
		return &smtp.Reply{Code: 250, Lines: []string{first}}
	}
	c.ext = c.extensions()
	lines := append([]string{first}, c.ext.Lines()...)
	if h := c.srv.Hooks.Keywords; h != nil {
		lines = append([]string{first}, h(c, lines[1:])...)
	}
	return &smtp.Reply{Code: 250, Lines: lines}
}

// goodHELO is lenient about names: many clients send what is no domain, and
// nothing is decided by it. It must fit into a trace field.
func goodHELO(s string) bool {
	if s == "" || len(s) > maxHELO {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == '(' || s[i] == ')' || s[i] == '<' || s[i] == '>' || s[i] == ';' || s[i] == '\\' || s[i] == '"' {
			return false
		}
	}
	return true
}

// extensions is what this connection is offered now.
func (c *conn) extensions() smtp.Extensions {
	o, l := c.srv.Offer, c.srv.limits()
	e := smtp.Extensions{
		Size:                true,
		MaxSize:             l.MessageSize,
		EightBitMIME:        true,
		SMTPUTF8:            true,
		Pipelining:          true,
		StartTLS:            c.tls == nil && (c.srv.TLS != nil || c.srv.Hooks.TLS != nil),
		EnhancedStatusCodes: true,
		// RFC 8689 §2: only after STARTTLS.
		RequireTLS: o.RequireTLS && (c.tls != nil || c.srv.Identity != ""),
		DSN:        !o.NoDSN,
		Chunking:   !o.NoChunking && !c.srv.LMTP,
		Limits:     smtp.Limits{MailMax: l.Transactions, RcptMax: l.Recipients},
	}
	switch a := c.srv.Auth.(type) {
	case nil:
	case ConnAuthenticator:
		if c.mechs == nil {
			c.mechs = a.MechanismsOn(c)
		}
		e.Auth = c.mechs
	default:
		e.Auth = c.srv.Auth.Mechanisms(c.tls != nil)
	}
	if o.FutureRelease > 0 {
		e.FutureRelease, e.MaxHold, e.MaxHoldUntil = true, o.FutureRelease, c.srv.now().Add(o.FutureRelease).Truncate(time.Second)
	}
	return e
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
