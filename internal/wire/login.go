package wire

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// Errors of Login, beside a *smtp.Reply of what checks logins.
var (
	ErrCancelled      = errors.New("authentication cancelled by the client")
	ErrBase64         = errors.New("response is not base64")
	ErrMechanism      = errors.New("mechanism not offered")
	ErrManyOfAccount  = errors.New("too many connections of this account")
	ErrManyLogins     = errors.New("too many failed logins")
	errExchangeTooBig = errors.New("authentication exchange too long")
)

// Mechanisms are those that are offered now; none without TLS.
func (c *Conn) Mechanisms() []string {
	if m, ok := c.srv.Auth.(smtpserver.ConnAuthenticator); ok {
		return m.MechanismsOn(c)
	}
	return c.srv.Auth.Mechanisms(c.tls != nil)
}

// maxSteps bounds an exchange; SCRAM takes three.
const maxSteps = 8

// Login runs an exchange of SASL; initial is nil without an initial response. ask
// sends a challenge and reads the response; its errors come back, ErrCancelled and
// ErrBase64 among them. Refused credentials are sasl.ErrFailed, or a *smtp.Reply of
// the rules for logins; ErrManyLogins, and a reply of code 421, end the connection.
func (c *Conn) Login(ctx context.Context, mech string, initial []byte, ask func(challenge []byte) ([]byte, error)) error {
	if !slices.Contains(c.Mechanisms(), mech) {
		return ErrMechanism
	}
	ex, r := c.srv.Auth.Start(ctx, mech, c)
	if r != nil {
		return c.failed(r)
	}
	err, lost := exchange(ex, initial, ask)
	if lost {
		return err
	}
	if err == nil && ex.Identity() == "" {
		err = errors.New("wire: the mechanism ended without an identity")
	}
	if w, ok := c.srv.Auth.(smtpserver.Watcher); ok {
		if r := w.Done(ctx, c, ex, err); r != nil {
			return c.failed(r)
		}
	}
	if err != nil {
		return c.failed(err)
	}
	if !c.srv.enter(ex.Identity()) {
		c.Limited("account")
		return ErrManyOfAccount
	}
	c.identity = ex.Identity()
	c.watch(ex)
	c.srv.Peers.LoggedIn(c.remote.Addr())
	return nil
}

// failed counts a login that failed.
func (c *Conn) failed(err error) error {
	if c.failures++; c.failures >= cmp.Or(c.srv.Limits.LoginFailures, 3) {
		c.Limited("logins")
		return errors.Join(ErrManyLogins, err)
	}
	return err
}

// exchange runs a mechanism to its end; lost: the client left, or cancelled, before it
// had an answer to anything, and nobody need be told.
func exchange(ex sasl.Server, response []byte, ask func([]byte) ([]byte, error)) (err error, lost bool) {
	answered := false // the client has got something for what it said: in SCRAM, a salt
	for range maxSteps {
		challenge, done, err := ex.Next(response)
		if err != nil {
			return err, false
		}
		if done {
			return nil, false
		}
		answered = answered || response != nil
		if response, err = ask(challenge); err != nil {
			if answered {
				return brokenOff{err}, false
			}
			return err, !errors.Is(err, ErrBase64)
		}
	}
	return errExchangeTooBig, false
}

// brokenOff is an exchange that the client did not bring to its end after it had an
// answer.
type brokenOff struct{ error }

func (e brokenOff) Unwrap() error        { return e.error }
func (e brokenOff) Is(target error) bool { return target == smtpserver.ErrBrokenOff }

// Refusal is the reply that a login was refused with, for its code and its text; false
// where there is none.
func Refusal(err error) (*smtp.Reply, bool) {
	var r *smtp.Reply
	ok := errors.As(err, &r)
	return r, ok
}
