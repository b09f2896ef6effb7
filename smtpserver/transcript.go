package smtpserver

import (
	"crypto/tls"
	"fmt"

	"waxwing/smtp"
)

// transcript is who watches the connection just now; nil: nobody.
func (c *conn) transcript() smtp.Transcript {
	if t := c.srv.Trace.Transcript; t != nil {
		return t(c)
	}
	return nil
}

// watchCommand shows a line of the client's.
func (c *conn) watchCommand(line []byte) {
	if t := c.transcript(); t != nil {
		t.Line(smtp.FromClient, smtp.ShownCommand(string(line), c.ext.Auth))
	}
}

// watchHidden shows that the client sent so many octets that are not shown.
func (c *conn) watchHidden(n int64, of string) {
	if t := c.transcript(); t != nil {
		t.Line(smtp.FromClient, smtp.ShownOctets(n, of))
	}
}

// watchReply shows a reply.
func (c *conn) watchReply(r *smtp.Reply) {
	if t := c.transcript(); t != nil {
		for _, l := range smtp.ShownReply(r, "") {
			t.Line(smtp.FromServer, l)
		}
	}
}

// watchTLS shows what came of a handshake.
func (c *conn) watchTLS(cs *tls.ConnectionState, err error) {
	t := c.transcript()
	switch {
	case t == nil:
	case err != nil:
		t.Line(smtp.FromConnection, "TLS handshake failed: "+err.Error())
	default:
		t.Line(smtp.FromConnection, fmt.Sprintf("%s %s, asked for %q", tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite), cs.ServerName))
	}
}

// watchEvent shows what happened to the connection.
func (c *conn) watchEvent(what, of string) {
	if t := c.transcript(); t != nil {
		t.Line(smtp.FromConnection, what+of)
	}
}

// consumed is how many octets of the client's have been used so far.
func (c *conn) consumed() int64 {
	n := c.received - int64(len(c.unread))
	if c.in != nil {
		n -= int64(c.in.br.Buffered())
	}
	return n
}
