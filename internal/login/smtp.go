package login

import (
	"context"
	"time"

	"waxwing/internal/account"
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

// Start begins an exchange, or refuses a network that has failed too often.
func (c *Checker) Start(ctx context.Context, mech string, conn smtpserver.Conn) (sasl.Server, *smtp.Reply) {
	a := c.newAttempt(mech, conn.Remote().Addr())
	a.protocol = protocolOf(conn)
	if r := a.barred(); r != nil {
		return nil, r
	}
	verify := func(user, password string) (string, error) {
		if err := a.begin(ctx, user); err != nil {
			return "", err
		}
		return a.password(ctx, password)
	}
	switch {
	case mech == sasl.Plain:
		a.Server = sasl.NewPlainServer(verify)
	case mech == sasl.Login:
		a.Server = sasl.NewLoginServer(verify)
	case sasl.IsScram(mech):
		return a.scram(ctx, conn)
	default:
		return nil, notOffered()
	}
	return a, nil
}

// protocolOf is what a client speaks: that of submission, unless its connection says
// that it is something else.
func protocolOf(conn smtpserver.Conn) account.Protocol {
	if c, ok := conn.(interface{ Protocol() account.Protocol }); ok {
		return c.Protocol()
	}
	return account.SMTP
}

func notOffered() *smtp.Reply {
	return smtp.NewReply(504, smtp.Enhanced{Class: 5, Subject: 5, Detail: 4}, "mechanism not offered")
}

// scram is the exchange of one of the SCRAM mechanisms.
func (a *attempt) scram(ctx context.Context, conn smtpserver.Conn) (sasl.Server, *smtp.Reply) {
	s := sasl.ScramServer{
		Mechanism:   a.mech,
		PlusOffered: true,
		Lookup: func(user string) (sasl.Credentials, string, bool, error) {
			if err := a.begin(ctx, user); err != nil {
				return sasl.Credentials{}, "", false, err
			}
			return a.keys(ctx)
		},
		Proven: a.provenSCRAM,
	}
	if cs := conn.TLS(); cs != nil {
		s.Bindings = sasl.TLSBindings(*cs, conn.ServerCertificate())
	}
	srv, err := sasl.NewScramServer(s)
	if err != nil {
		return nil, notOffered()
	}
	a.Server = srv
	return a, nil
}

// barred is the reply to a network that has failed too often, unless it is a name's
// home: then it depends on the name.
func (a *attempt) barred() *smtp.Reply {
	if !a.c.memory.barred(a.pair.network, a.c.now(), a.c.limits()) {
		return nil
	}
	return a.refused()
}

// Done counts how an exchange ended, and delays the answer to a failure (INB-3).
func (c *Checker) Done(ctx context.Context, conn smtpserver.Conn, ex sasl.Server, err error) *smtp.Reply {
	a, ok := ex.(*attempt)
	if !ok {
		return nil
	}
	word, how := result(a.mech, err)
	if word != "refused" { // counted where it was
		c.count(a.mech, word)
	}
	wait := c.settle(a, how)
	a.note(ctx, Entry{Protocol: string(a.protocol), Client: conn.HELO(), Result: a.outcome(word, err)})
	if how != failure {
		return nil
	}
	c.log().Info("login failed", "remote", a.from, "mechanism", a.mech, "result", word, "login", a.shown(ctx), "account", a.stands, "delay", wait)
	// A context that ended shortens it: nobody waits for the answer then.
	_ = sleep(ctx, wait)
	return nil
}

// settle tells the memory how an attempt ended.
func (c *Checker) settle(a *attempt, how ending) time.Duration {
	switch {
	case a.begun != nil:
		return c.memory.end(*a.begun, how, c.now(), c.limits())
	case how == failure: // before there was a name
		return c.memory.stray(a.pair.network, c.now(), c.limits())
	}
	return 0
}
