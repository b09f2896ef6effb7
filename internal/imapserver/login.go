package imapserver

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"

	"waxwing/imap"
	"waxwing/internal/wire"
	"waxwing/sasl"
	"waxwing/smtp"
)

// starttls is STARTTLS (RFC 9051 §6.2.1).
func (s *session) starttls(ctx context.Context, c *imap.Command) answer {
	switch {
	case s.conn.TLS() != nil:
		return bad("TLS is active already")
	case !s.conn.OffersTLS():
		return bad("STARTTLS is not offered")
	case s.br.Buffered() > 0:
		// What came along in plaintext could have been put there by anybody, and must not
		// be taken for what the client says over TLS (RFC 9051 §11.3).
		s.bye("pipelined-starttls", "", "commands came along with STARTTLS")
		return answer{}
	case !s.conn.MayStartTLS():
		s.bye("limit-tls", "LIMIT", "too many TLS handshakes at one time, try again later")
		return answer{}
	}
	s.w.Status(c.Tag, "OK", "", "begin TLS now")
	if s.w.Flush() != nil || s.conn.StartTLS(ctx) != nil {
		s.over = "tls"
	}
	return answer{}
}

// login is LOGIN (RFC 9051 §6.2.3): the mechanism of that name, without its questions.
func (s *session) login(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Login)
	if s.conn.TLS() == nil {
		return no("PRIVACYREQUIRED", "a login needs TLS first")
	}
	err := s.conn.Login(ctx, sasl.Login, []byte(a.User), func([]byte) ([]byte, error) { return []byte(a.Password), nil })
	return s.loggedIn(ctx, c, err)
}

// authenticate is AUTHENTICATE (RFC 9051 §6.2.2), with an initial response (RFC 4959).
func (s *session) authenticate(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Authenticate)
	if s.conn.TLS() == nil {
		return no("PRIVACYREQUIRED", "a login needs TLS first")
	}
	var first []byte
	if a.Initial != nil && s.disabled("SASL-IR") {
		return bad("an initial response is not served here")
	}
	if a.Initial != nil {
		var err error
		if first, err = decodeInitial(*a.Initial); err != nil {
			return bad("the initial response is not base64")
		}
	}
	return s.loggedIn(ctx, c, s.conn.Login(ctx, a.Mechanism, first, s.ask))
}

func decodeInitial(text string) ([]byte, error) {
	if text == "=" {
		return []byte{}, nil
	}
	return base64.StdEncoding.Strict().DecodeString(text)
}

// ask sends a challenge and reads the response.
func (s *session) ask(challenge []byte) ([]byte, error) {
	s.w.Line("+ ", base64.StdEncoding.EncodeToString(challenge))
	if err := s.w.Flush(); err != nil {
		return nil, err
	}
	line, err := s.r.ReadLine()
	if err != nil {
		return nil, err
	}
	if line == "*" {
		return nil, wire.ErrCancelled
	}
	b, err := base64.StdEncoding.Strict().DecodeString(line)
	if err != nil {
		return nil, wire.ErrBase64
	}
	return b, nil
}

// loggedIn turns the end of a login into its answer.
func (s *session) loggedIn(ctx context.Context, c *imap.Command, err error) answer {
	if err == nil {
		s.account, s.off = s.conn.Identity(), s.srv.Disable
		if s.srv.DisableFor != nil {
			s.off = slices.Concat(s.off, s.srv.DisableFor(ctx, s.account))
		}
		return answer{"OK", "CAPABILITY " + s.capabilities(), "logged in"}
	}
	var syntax *sasl.SyntaxError
	reply, refused := wire.Refusal(err)
	a := no("UNAVAILABLE", "the login could not be checked, try again later")
	switch {
	case errors.Is(err, wire.ErrMechanism):
		return no("CANNOT", "the mechanism is not offered")
	case errors.Is(err, wire.ErrCancelled):
		return bad("the login was cancelled")
	case errors.Is(err, wire.ErrBase64):
		return bad(wire.ErrBase64.Error())
	case errors.As(err, &syntax):
		return bad(syntax.Error())
	case errors.Is(err, wire.ErrManyOfAccount):
		a = no("LIMIT", "this account has too many connections")
	case refused:
		a = s.refusedLogin(reply)
	case errors.Is(err, sasl.ErrFailed):
		a = no("AUTHENTICATIONFAILED", "wrong name or password")
	case s.w.Err() != nil:
		s.over = "lost"
		return answer{}
	default:
		s.conn.Log().Error("a login could not be checked", "error", err)
	}
	if errors.Is(err, wire.ErrManyLogins) {
		s.bye("logins", "", "too many failed logins")
	}
	return a
}

// refusedLogin says in the words of RFC 5530 what a reply of the login's rules says in
// those of SMTP.
func (s *session) refusedLogin(r *smtp.Reply) answer {
	switch {
	case r.Code == 421:
		s.bye("logins", "UNAVAILABLE", r.Text())
		return no("UNAVAILABLE", r.Text())
	case r.Temporary():
		return no("UNAVAILABLE", r.Text())
	case r.Enhanced == smtp.Enhanced{Class: 5, Subject: 7, Detail: 8}:
		return no("EXPIRED", r.Text())
	}
	return no("AUTHORIZATIONFAILED", r.Text())
}
