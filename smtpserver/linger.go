package smtpserver

import (
	"io"
	"time"
)

// lingering is how long a client that is sent away may still send. To close with
// octets unread resets the connection, which can take the last reply away from a
// client that has not read it.
const lingering = 2 * time.Second

// linger waits for the client to close, after an end that it could not foresee and
// with something of it unread.
func (c *conn) linger() {
	sending := c.ended == "bare-newline" || c.in != nil && c.in.br.Buffered() > 0
	switch c.ended {
	case "quit", "closed", "lost", "dropped", "panic":
		sending = false
	}
	if !sending {
		return
	}
	c.raw.SetDeadline(time.Now().Add(lingering))
	for _, nc := range []any{c.nc, c.raw.Conn} { // close_notify, then FIN
		if h, ok := nc.(interface{ CloseWrite() error }); ok && h.CloseWrite() != nil {
			return
		}
	}
	// Nothing depends on what comes, nor on how it ends.
	_, _ = io.CopyBuffer(io.Discard, io.LimitReader(c.raw.Conn, c.srv.limits().MessageSize), make([]byte, 1<<10))
}
