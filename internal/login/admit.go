package login

import (
	"bytes"
	"context"
	"errors"

	"waxwing/internal/account"
	"waxwing/internal/reason"
	"waxwing/sasl"
	"waxwing/smtp"
)

// denial is that an account's rules do not let somebody in who has proven who they are (ACC-3). It
// is no failed guess, and is not counted as one.
type denial struct{ word reason.Word }

func (d denial) Error() string { return string(d.word) }

// admit lets somebody in who has proven what p says, or is a denial with its *smtp.Reply.
func (a *attempt) admit(c account.Credentials, p account.Proven) error {
	p.Protocol, p.From, p.At = a.protocol, a.addr, a.c.now()
	a.proven, a.creds = p, c
	word := c.Access.LogIn(p)
	if word == "" {
		return nil
	}
	a.c.log().Info("login denied", "word", string(word), "remote", a.from, "mechanism", a.mech, "account", a.stands, "app_password", p.App.Name)
	return errors.Join(denial{word}, denied(word, p))
}

func denied(word reason.Word, p account.Proven) *smtp.Reply {
	switch word {
	case reason.AppPasswordNeeded: // RFC 4954 §6: a stronger proof is needed
		return smtp.NewReply(534, smtp.Enhanced{Class: 5, Subject: 7, Detail: 9}, "this account needs an app password here: its own logs in no more")
	case reason.AppPasswordExpired:
		return smtp.NewReply(535, smtp.Enhanced{Class: 5, Subject: 7, Detail: 8}, "the app password %s has ended", p.App.Name)
	case reason.AppPasswordProtocol:
		return smtp.NewReply(535, smtp.Enhanced{Class: 5, Subject: 7, Detail: 8}, "the app password %s is not for %s", p.App.Name, p.Protocol)
	}
	return smtp.NewReply(535, smtp.Enhanced{Class: 5, Subject: 7, Detail: 1}, "this account does not log in from your address")
}

// passwords are the keys that let somebody in as the account: its own, and those of the app passwords that were
// made with its salt and count. Where these have changed since, by an inventory that brought another
// password, an app password works by PLAIN and LOGIN alone.
func (a *attempt) passwords(c account.Credentials, own account.SCRAM) sasl.Credentials {
	a.creds, a.apps = c, nil
	out := sasl.Credentials{Salt: own.Salt, Iterations: own.Iterations, StoredKey: own.StoredKey, ServerKey: own.ServerKey}
	for _, app := range c.Apps {
		if k := keysOf(a.mech, app.SCRAM256, app.SCRAM1); k.Iterations == own.Iterations && bytes.Equal(k.Salt, own.Salt) {
			out.Others = append(out.Others, sasl.Keys{StoredKey: k.StoredKey, ServerKey: k.ServerKey})
			a.apps = append(a.apps, app.AppPassword)
		}
	}
	return out
}

// provenSCRAM is told which of passwords a client has: 0 is the account's own.
func (a *attempt) provenSCRAM(which int) error {
	if which == 0 {
		return a.admit(a.creds, account.Proven{By: account.ByPassword})
	}
	return a.admit(a.creds, account.Proven{By: account.ByApp, App: a.apps[which-1]})
}

// outcome is the word for the journal: of a denial, its reason.
func (a *attempt) outcome(word string, err error) string {
	if d := (denial{}); errors.As(err, &d) {
		return string(d.word)
	}
	return word
}

// note completes the entry of an attempt that has ended, and has it kept.
func (a *attempt) note(ctx context.Context, e Entry) {
	e.Account, e.Address, e.Mechanism, e.App = a.stands, a.from, a.mech, a.proven.App.Name
	a.c.journal(ctx, e)
	if e.Result == "ok" && e.App != "" && a.c.AppUsed != nil {
		a.c.AppUsed(context.WithoutCancel(ctx), a.proven.App, a.addr)
	}
}
