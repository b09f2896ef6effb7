package wire

import (
	"time"

	"waxwing/internal/login"
	"waxwing/sasl"
)

// granting is an Authenticator whose logins can be looked at again. login.Checker is one.
type granting interface {
	Grant(ex sasl.Server) *login.Grant
}

// oustAfter is for a command that is under way.
const oustAfter = 5 * time.Second

// watch has the connection end once its account could not log in any more as it did.
func (c *Conn) watch(ex sasl.Server) {
	a, ok := c.srv.Auth.(granting)
	if !ok || c.srv.Lookout == nil {
		return
	}
	g := a.Grant(ex)
	if g == nil {
		return
	}
	c.unwatch = c.srv.Lookout.Keep(g, func() {
		c.Log().Info("session ended: its account may not log in any more as it did", "account", g.Account())
		c.oust()
	})
}

// oust ends the connection: between two commands with a word to the client, and a command under way soon.
func (c *Conn) oust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ousted = true
	c.interrupt()
	time.AfterFunc(oustAfter, c.srv.Guard.Func(c.srv.Area, func() { c.raw.Close() }))
}
