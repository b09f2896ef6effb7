package login

import (
	"context"
	"errors"
	"time"

	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

var (
	_ smtpserver.Authenticator = (*Checker)(nil)
	_ smtpserver.Watcher       = (*Checker)(nil)
)

// Mechanisms are offered over TLS only (INB-5). Even SCRAM: without TLS the
// mail that follows would be open, and the channel could be taken over.
func (c *Checker) Mechanisms(tls bool) []string {
	if !tls {
		return nil
	}
	return []string{sasl.ScramSHA256Plus, sasl.ScramSHA256, sasl.ScramSHA1Plus, sasl.ScramSHA1, sasl.Plain, sasl.Login}
}

// Start begins an exchange, or refuses an address that has failed too often.
func (c *Checker) Start(ctx context.Context, mech string, conn smtpserver.Conn) (sasl.Server, *smtp.Reply) {
	if r := c.refused(conn); r != nil {
		return nil, r
	}
	verify := func(user, password string) (string, error) { return c.Password(ctx, user, password) }
	switch {
	case mech == sasl.Plain:
		return sasl.NewPlainServer(verify), nil
	case mech == sasl.Login:
		return sasl.NewLoginServer(verify), nil
	case !sasl.IsScram(mech):
		return nil, smtp.NewReply(504, smtp.Enhanced{Class: 5, Subject: 5, Detail: 4}, "mechanism not offered")
	}
	s := sasl.ScramServer{
		Mechanism:   mech,
		PlusOffered: true,
		Lookup: func(user string) (sasl.Credentials, string, bool, error) {
			return c.Scram(ctx, mech, user)
		},
	}
	if cs := conn.TLS(); cs != nil {
		s.Bindings = sasl.TLSBindings(*cs, conn.ServerCertificate())
	}
	srv, err := sasl.NewScramServer(s)
	if err != nil {
		return nil, smtp.NewReply(504, smtp.Enhanced{Class: 5, Subject: 5, Detail: 4}, "mechanism not offered")
	}
	return srv, nil
}

// refused is the reply to an address that has failed too often.
func (c *Checker) refused(conn smtpserver.Conn) *smtp.Reply {
	addr := conn.Remote().Addr()
	if !c.failing.refused(addr, c.now(), c.limits()) {
		return nil
	}
	c.log().Info("login refused", "word", "login-limit", "remote", addr.String())
	return smtp.NewReply(421, smtp.Enhanced{Class: 4, Subject: 7, Detail: 0}, "too many failed logins from your address, try again later")
}

// failed says whether an exchange ended as one that is to be counted. Refused
// credentials are, and SCRAM exchanges that the client broke off when it had the
// salt: asking for those of many users must not be free. A client that breaks the
// syntax before learns nothing, and a store that fails is not its fault.
func failed(mech string, err error) bool {
	return errors.Is(err, sasl.ErrFailed) || sasl.IsScram(mech) && errors.Is(err, smtpserver.ErrBrokenOff)
}

// Done counts failures by address and delays the answer (INB-3).
func (c *Checker) Done(ctx context.Context, conn smtpserver.Conn, mech string, err error) *smtp.Reply {
	if !failed(mech, err) {
		return nil
	}
	addr := conn.Remote().Addr()
	wait := c.failing.add(addr, c.now(), c.limits())
	c.log().Info("login failed", "remote", addr.String(), "mechanism", mech, "delay", wait)
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return nil
}
