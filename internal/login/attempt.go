package login

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/foreign"
	"waxwing/internal/turns"
	"waxwing/peers"
	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// attempt is one exchange, from Start to Done.
type attempt struct {
	sasl.Server
	c    *Checker
	mech string
	pair pair // its network, and the name once there is one
	addr netip.Addr
	from string // the same, for the log

	protocol account.Protocol // that the client speaks

	user   string // as it was typed; "" until then
	stands string // the account that the name stands for, may it log in or not; "" is none
	begun  *begun // the memory waits for its end

	creds  account.Credentials   // of a SCRAM exchange, and of one that has ended well
	apps   []account.AppPassword // that can be proven in it
	proven account.Proven        // what it was let in by
}

func (c *Checker) newAttempt(mech string, addr netip.Addr) *attempt {
	return &attempt{c: c, mech: mech, pair: pair{network: peers.Client(addr).Addr()}, addr: addr, from: addr.String(), protocol: account.SMTP}
}

// begin is called once the name is known and before its credentials are looked at:
// it refuses, or waits for the attempt's turn. The error is a *smtp.Reply, or ctx's.
func (a *attempt) begin(ctx context.Context, user string) error {
	c := a.c
	c.prepare()
	a.user, a.pair.name = user, c.nameKey(user)
	if ahead := c.memory.ahead(a.pair, c.now()); ahead != nil {
		// A program that opens many connections at once logs in with the first, and is
		// at home then; a guesser guesses one after the other.
		await(ctx, ahead, maxAhead)
	}
	ruling, b := c.memory.begin(a.pair, c.now(), c.limits())
	switch ruling.action {
	case refuse:
		return a.refused()
	case comeBack:
		return errors.Join(turns.ErrBusy, smtp.NewReply(454, smtp.Enhanced{Class: 4, Subject: 7, Detail: 0},
			"too many logins with this name have failed lately, try again in a minute"))
	}
	a.begun = &b
	return sleep(ctx, ruling.wait)
}

// refused is the answer to a network, or to a name, that has failed too often.
func (a *attempt) refused() *smtp.Reply {
	a.c.log().Info("login refused", "word", "login-limit", "remote", a.from, "mechanism", a.mech)
	a.c.count(a.mech, "refused")
	return smtp.NewReply(421, smtp.Enhanced{Class: 4, Subject: 7, Detail: 0}, "too many failed logins from your address, try again later")
}

// caller is who asks for a turn at the hash.
func (a *attempt) caller() turns.Caller {
	return turns.Caller{Party: a.pair.network.String(), Known: a.begun != nil && a.begun.home}
}

// maxAhead is how long an attempt waits for one ahead of it, which a client may leave
// unfinished.
const maxAhead = 2 * time.Second

// await waits for a channel to be closed, for a while.
func await(ctx context.Context, done <-chan struct{}, most time.Duration) {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nameKey is the same for the spellings of one name, whether or not it is anybody's.
func (c *Checker) nameKey(user string) (k nameKey) {
	l := account.ParseLogin(user)
	sum := mac(c.secret[:], "name", l.Local, l.Domain.ASCII())
	copy(k[:], sum[:])
	return k
}

// result is how an exchange ended, in a word for the metric and for the memory.
// Refused credentials are failures, and SCRAM exchanges that the client broke off
// when it had the salt: asking for those of many users must not be free. A client
// that breaks the syntax before learns nothing, and a store that fails is not its
// fault.
func result(mech string, err error) (word string, how ending) {
	var syntax *sasl.SyntaxError
	var reply *smtp.Reply
	switch {
	case err == nil:
		return "ok", success
	case errors.As(err, new(denial)):
		return "denied", undecided
	case errors.Is(err, sasl.ErrFailed):
		return "failed", failure
	case errors.Is(err, turns.ErrBusy):
		return "busy", undecided
	case errors.As(err, &reply) && reply.Code == 421:
		return "refused", undecided
	case errors.Is(err, smtpserver.ErrBrokenOff) && sasl.IsScram(mech):
		return "broken-off", failure
	case errors.Is(err, smtpserver.ErrBrokenOff), errors.As(err, &syntax):
		return "broken-off", undecided
	}
	return "error", undecided
}

// shown is the name for the log. What is the name of an account, or an address of a
// domain of ours, is shown as it was typed. Anything else may be a password that
// got into the wrong field: it is shown as a mark, the same for one name until a
// restart, so that it can be seen how often one is tried.
func (a *attempt) shown(ctx context.Context) string {
	l := account.ParseLogin(a.user)
	ours, err := false, error(nil)
	if l.IsAddress() {
		ours, err = a.c.Accounts.IsHosted(ctx, l.Domain)
	}
	switch {
	case a.user == "":
		return ""
	case a.stands != "" || ours && err == nil:
		return foreign.Clip(foreign.Line(a.user), maxShown)
	}
	return fmt.Sprintf("unknown-%x", a.pair.name[:4])
}

// maxShown bounds a name in the log, in octets.
const maxShown = 100
