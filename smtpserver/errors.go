package smtpserver

import (
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"waxwing/peers"
	"waxwing/smtp"
)

// countError counts a reply to a command as an error of the client's, if it is one: a
// refusal for good. VRFY tells nothing, and who asks it looks for addresses.
func (c *conn) countError(verb string, r *smtp.Reply) *smtp.Reply {
	if r != nil && (r.Permanent() || verb == "VRFY" || c.ended == "logins") {
		return c.mistake(verb, r)
	}
	return r
}

// mistake counts an error (INB-3): many are answered late, and at the end not at
// all. How late, package peers decides.
func (c *conn) mistake(verb string, r *smtp.Reply) *smtp.Reply {
	c.errors++
	answer := c.patience().Answer(c.conduct())
	if c.ended != "" {
		c.told(peers.Answer{End: true})
		return r // it says why the connection ends
	}
	if _, late := c.srv.Auth.(Watcher); late && verb == "AUTH" {
		answer.Wait = 0 // who checks logins has waited already
	}
	if answer.Wait > 0 && !c.pause(answer.Wait) {
		answer.End = true
	}
	c.told(answer)
	if !answer.End {
		return r
	}
	c.end("errors")
	if c.srv.Peers.Tell(c.remote.Addr()) {
		c.log().Info("too many errors, connection closed", "errors", c.errors, "reply", r.String())
	}
	return smtp.NewReply(421, status(4, 7, 0), "%s too many errors, closing connection", c.srv.Hostname)
}

func (c *conn) told(a peers.Answer) {
	if t := c.srv.Trace.Erred; t != nil {
		t(c.remote.Addr(), a)
	}
}

func (c *conn) patience() peers.Patience {
	if c.srv.Peers != nil {
		return c.srv.Peers.Patience
	}
	return peers.Patience{End: c.srv.limits().Errors + 1}
}

// conduct is what the answer to an error rests on, that error included. Who has
// logged in is no stranger to be remembered by address: only the connection counts.
func (c *conn) conduct() peers.Three {
	t := peers.Three{Connection: peers.Conduct{Errors: c.errors, Accepted: c.accepted}}
	if c.identity == "" {
		t.Client, t.Network = c.srv.Peers.Erred(c.remote.Addr())
	}
	return t
}

// pause waits before an answer, and reports whether there was room to wait: not
// in a crowd, where each place is wanted.
func (c *conn) pause(d time.Duration) bool {
	g := &c.srv.gate
	if g.Crowded() || !g.Wait(c.srv.limits().Shares(), c.remote.Addr()) {
		return false
	}
	defer g.Waited(c.remote.Addr())
	if c.flush() != nil {
		return false
	}
	c.wait.mu.Lock()
	if c.wait.draining.Load() {
		c.wait.mu.Unlock()
		return true
	}
	wake := make(chan struct{})
	c.wait.wake = wake
	c.wait.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	}
	c.wait.mu.Lock()
	c.wait.wake = nil
	c.wait.mu.Unlock()
	return true
}

// maxSeen is how many recipients of one message make up for errors.
const maxSeen = 50

// recipients are the different ones of a transaction, as hashes.
type recipients []uint64

var recipientSeed = maphash.MakeSeed()

// add notes one. What follows a "+" is left out: one mailbox has any number of
// such addresses.
func (s *recipients) add(a smtp.Address) {
	if len(*s) >= maxSeen {
		return
	}
	local, _, _ := strings.Cut(a.Local, "+")
	h := maphash.String(recipientSeed, strings.ToLower(local+"@"+a.Domain))
	if !slices.Contains(*s, h) {
		*s = append(*s, h)
	}
}

// delivered notes that a message for so many recipients was accepted.
func (c *conn) delivered(n int) {
	c.commands = 0
	c.accepted += n
	c.srv.Peers.Accepted(c.remote.Addr(), n)
	if t := c.srv.Trace.Accepted; t != nil {
		t()
	}
}
