package session

import (
	"context"
	"crypto/tls"
	"errors"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/sasl"
	"waxwing/smtpclient"
)

// Login is what a session logs in with (TRA-2). It holds a secret and prints
// without it.
type Login struct {
	User     string
	Password string `json:"-"`
	// Mechanisms are the SASL mechanisms that may be used; empty: the strongest
	// offered of those that the session knows. PLAIN and LOGIN need a verified
	// TLS session in any case.
	Mechanisms []string
}

// String leaves the password out.
func (l Login) String() string { return "login of " + l.User }

// GoString leaves the password out.
func (l Login) GoString() string { return l.String() }

// login logs in where the client says so (TRA-2). Whatever goes wrong is
// temporary: it is between the operator and the host, and no fault of a sender
// or recipient. A refusal is never followed by a weaker mechanism. The time for
// it ends with setup.
func (s *session) login(ctx, setup context.Context) *delivery.Failure {
	l := s.c.Login
	if l == nil {
		return nil
	}
	s.begin(StepLogin)
	var cs *tls.ConnectionState
	if state, ok := s.conn.TLSState(); ok {
		cs = &state
	}
	client, err := sasl.Choose(s.conn.Extensions().Auth, cs, sasl.Account{
		User: l.User, Password: l.Password, Unverified: !s.verified(), Allowed: l.Mechanisms,
	})
	if err != nil {
		return authFailure(reason.AuthUnusable, err)
	}
	err = s.conn.Auth(setup, client)
	s.rehearseLogin(s.conn.AuthMechanism())
	if err != nil {
		return s.loginFailure(ctx, err)
	}
	s.end()
	return nil
}

func (s *session) loginFailure(ctx context.Context, err error) *delivery.Failure {
	var refused *smtpclient.ReplyError
	var lost *smtpclient.ConnError
	switch {
	case ended(ctx):
		return s.canceled(ctx)
	case errors.As(err, &refused):
		s.keep(refused.Reply)
		if s.rehearsal != nil {
			s.rehearsal.Refusal = refused.Reply
		}
		return authFailure(reason.AuthRefused, refused)
	case errors.As(err, &lost):
		return s.failure(err)
	}
	// The mechanism stopped: the server did not prove that it knows the password,
	// or tampered with the exchange.
	return authFailure(reason.AuthServer, err)
}

func authFailure(why reason.Word, err error) *delivery.Failure {
	return &delivery.Failure{Word: why, Enhanced: enhAuth, Text: bounded("logging in: " + err.Error())}
}

// verified reports that TLS says whose the other end is.
func (s *session) verified() bool {
	return s.check != nil && (passed(s.check.pkix) || passed(s.check.dane))
}
