package smtpclient

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"

	"waxwing/smtp"
)

// Peer is whom a connection is with, as far as who made it knows.
type Peer struct {
	Host   string // the name of the host that was dialled; "": none is known
	Remote netip.AddrPort
	Local  netip.AddrPort
}

// transcript is who watches the connection just now; nil: nobody.
func (c *Conn) transcript() smtp.Transcript {
	if c.opts.Transcript == nil {
		return nil
	}
	return c.opts.Transcript(c.opts.Peer)
}

// watchCommand shows a line that we say, without its CRLF. What is said in the course of AUTH
// is not shown, but for the mechanism.
func (c *Conn) watchCommand(step Step, line string) {
	t := c.transcript()
	if t == nil {
		return
	}
	line = strings.TrimSuffix(line, "\r\n")
	switch {
	case step == StepAuth && !strings.HasPrefix(line, "AUTH "):
		line = smtp.ShownOctets(int64(len(line)), "")
	case line != ".":
		line = smtp.ShownCommand(line, []string{c.mech})
	}
	t.Line(smtp.FromClient, line)
}

// watchReply shows a reply of the peer's.
func (c *Conn) watchReply(r *smtp.Reply) {
	if r == nil {
		return
	}
	if t := c.transcript(); t != nil {
		for _, l := range smtp.ShownReply(r, c.secret) {
			t.Line(smtp.FromServer, l)
		}
	}
}

// watchData shows that so many octets of a message were sent.
func (c *Conn) watchData(n int64) {
	if t := c.transcript(); t != nil {
		t.Line(smtp.FromClient, smtp.ShownOctets(n, "of message data"))
	}
}

// watchTLS shows what came of a handshake.
func (c *Conn) watchTLS(tc *tls.Conn, err error) {
	t := c.transcript()
	switch {
	case t == nil:
	case err != nil:
		t.Line(smtp.FromConnection, "TLS handshake failed: "+err.Error())
	default:
		cs := tc.ConnectionState()
		t.Line(smtp.FromConnection, fmt.Sprintf("%s %s, asked for %q", tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite), cs.ServerName))
	}
}

// watchEvent shows what happened to the connection.
func (c *Conn) watchEvent(what string) {
	if t := c.transcript(); t != nil {
		t.Line(smtp.FromConnection, what)
	}
}
