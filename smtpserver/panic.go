package smtpserver

import (
	"cmp"
	"context"
	"time"

	"waxwing/internal/guard"
	"waxwing/smtp"
)

// dialogue serves a connection, and ends it with 421 where a panic stopped that
// (OPS-9): what the client was doing is not done, or at worst not known to be.
func (s *Server) dialogue(ctx context.Context, c *conn) {
	serve, area := func() { c.serve(ctx) }, cmp.Or(s.Area, guard.SMTP)
	if s.Guard.Do(area, serve, "remote", c.remote.String()) || c.ended != "" {
		return // or the last reply was given
	}
	c.ended = "panic"
	s.Guard.Do(area, func() {
		c.raw.SetDeadline(time.Now().Add(time.Second)) // nobody waits for such a client
		c.reply("", smtp.NewReply(421, status(4, 3, 0), "%s internal error, closing connection", s.Hostname))
		c.flush()
	}, "remote", c.remote.String())
}
