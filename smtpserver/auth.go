package smtpserver

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"waxwing/sasl"
	"waxwing/smtp"
)

// auth is AUTH (RFC 4954 §4).
func (c *conn) auth(ctx context.Context, arg string) *smtp.Reply {
	mech, ir, hasIR := strings.Cut(arg, " ")
	mech = strings.ToUpper(mech)
	switch {
	case len(c.ext.Auth) == 0 && c.authAfterTLS():
		return smtp.NewReply(538, status(5, 7, 11), "authentication needs STARTTLS first")
	case len(c.ext.Auth) == 0:
		return smtp.NewReply(503, status(5, 5, 1), "AUTH is not offered")
	case c.identity != "":
		return outOfOrder("already authenticated")
	case c.tx.open:
		return outOfOrder("AUTH is not allowed within a transaction")
	case mech == "":
		return smtp.NewReply(501, status(5, 5, 4), "AUTH needs a mechanism")
	case !slices.Contains(c.ext.Auth, mech):
		return smtp.NewReply(504, status(5, 5, 4), "mechanism not offered")
	}
	first, r := initialResponse(ir, hasIR)
	if r != nil {
		return r
	}
	ex, r := c.srv.Auth.Start(ctx, mech, c)
	if r != nil {
		return r
	}
	err := c.exchange(ex, first)
	return c.loggedIn(ctx, mech, ex, err)
}

// authAfterTLS: AUTH would be offered if only TLS were on.
func (c *conn) authAfterTLS() bool {
	return c.esmtp && c.tls == nil && c.srv.TLS != nil && c.srv.Auth != nil && len(c.srv.Auth.Mechanisms(true)) > 0
}

// initialResponse decodes what came with AUTH: nil for none, and empty for "=".
func initialResponse(ir string, has bool) ([]byte, *smtp.Reply) {
	if !has {
		return nil, nil
	}
	if ir == "=" {
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(ir)
	if err != nil || len(b) == 0 {
		return nil, smtp.NewReply(501, status(5, 5, 2), "the initial response is not base64")
	}
	return b, nil
}

var (
	errCancelled = errors.New("authentication cancelled by the client")
	errBase64    = errors.New("response is not base64")
)

// lineError is a line of the exchange that could not be read.
type lineError struct{ error }

func (e lineError) Unwrap() error { return e.error }

// brokenOff is an exchange that the client did not bring to its end after it had
// an answer.
type brokenOff struct{ error }

func (e brokenOff) Unwrap() error        { return e.error }
func (e brokenOff) Is(target error) bool { return target == ErrBrokenOff }

// maxSteps bounds an exchange; SCRAM takes three.
const maxSteps = 8

func (c *conn) exchange(ex sasl.Server, response []byte) error {
	answered := false // the client has got something for what it said: in SCRAM, a salt
	for range maxSteps {
		challenge, done, err := ex.Next(response)
		if err == nil && done {
			return nil
		}
		if err == nil {
			answered = answered || response != nil
			response, err = c.ask(challenge)
		}
		switch {
		case err == nil:
		case answered && !errors.Is(err, sasl.ErrFailed) && !errors.Is(err, errDraining):
			return brokenOff{err}
		default:
			return err
		}
	}
	return errors.New("authentication exchange too long")
}

// ask sends a challenge and reads the response.
func (c *conn) ask(challenge []byte) ([]byte, error) {
	w := c.out()
	c.watchReply(&smtp.Reply{Code: 334, Lines: []string{base64.StdEncoding.EncodeToString(challenge)}})
	w.WriteString("334 ")
	w.WriteString(base64.StdEncoding.EncodeToString(challenge))
	w.WriteString("\r\n")
	line, err := c.readLine()
	if err != nil {
		return nil, lineError{err}
	}
	c.watchHidden(int64(len(line)), "")
	if bytes.Equal(line, []byte("*")) {
		return nil, errCancelled
	}
	response := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Strict().Decode(response, line)
	if err != nil {
		return nil, errBase64
	}
	return response[:n], nil
}

// loggedIn turns an exchange's end into its reply.
func (c *conn) loggedIn(ctx context.Context, mech string, ex sasl.Server, err error) *smtp.Reply {
	if !errors.Is(err, ErrBrokenOff) {
		if r, ok := c.unfinished(err); ok {
			return r
		}
	}
	if t := c.srv.Trace.Login; t != nil {
		t(mech, ex.Identity(), err)
	}
	if err == nil && ex.Identity() == "" {
		err = errors.New("smtpserver: the mechanism ended without an identity")
	}
	if w, ok := c.srv.Auth.(Watcher); ok {
		c.flush()
		if r := w.Done(ctx, c, ex, err); r != nil {
			return r
		}
	}
	if err == nil {
		c.identity = ex.Identity()
		c.srv.Peers.LoggedIn(c.remote.Addr())
		return smtp.NewReply(235, status(2, 7, 0), "authentication succeeded")
	}
	return c.loginFailed(err)
}

// unfinished is the reply, if any, to a client that cancelled or fell silent.
func (c *conn) unfinished(err error) (r *smtp.Reply, ok bool) {
	var le lineError
	switch {
	case errors.As(err, &le):
		return c.lineFault(le.error), true
	case errors.Is(err, errCancelled):
		return smtp.NewReply(501, status(5, 7, 0), "authentication cancelled"), true
	}
	return nil, false
}

func (c *conn) loginFailed(err error) *smtp.Reply {
	var syntax *sasl.SyntaxError
	var own *smtp.Reply
	r := smtp.NewReply(454, status(4, 7, 0), "temporary authentication failure").WithCause(err)
	switch {
	case errors.As(err, &own):
		r = own
	case errors.Is(err, sasl.ErrFailed):
		r = smtp.NewReply(535, status(5, 7, 8), "authentication credentials invalid")
	case errors.Is(err, errBase64):
		r = smtp.NewReply(501, status(5, 5, 2), "%s", err)
	case errors.As(err, &syntax):
		r = smtp.NewReply(501, status(5, 5, 2), "%s", syntax)
	default:
		if u, ok := c.unfinished(err); ok {
			r = u
		}
	}
	if r == nil {
		return nil // nobody is there to read it
	}
	if c.logins++; c.logins >= c.srv.limits().LoginFailures {
		c.end("logins")
		c.limited("logins")
		return smtp.NewReply(421, status(4, 7, 0), "%s too many failed logins, closing connection", c.srv.Hostname).WithCause(err)
	}
	return r
}
