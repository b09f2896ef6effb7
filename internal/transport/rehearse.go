package transport

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/policy"
	"waxwing/internal/reason"
	"waxwing/internal/route"
	"waxwing/internal/session"
	"waxwing/sasl"
)

// Rehearser goes to a host as a mail would; *session.Client is one.
type Rehearser interface {
	Rehearse(ctx context.Context, plan delivery.Plan, addr netip.Addr) session.Rehearsal
}

// Rehearse takes the way of a mail to each address of the relay's host: it
// connects, begins TLS, verifies and logs in as the decision says, and sends
// nothing. After a login that was refused it goes to no other address, which
// would refuse the same and count the failures.
func (r *Relay) Rehearse(ctx context.Context) (delivery.Decision, []session.Rehearsal) {
	job := &delivery.Job{Envelope: delivery.Envelope{Sender: "postmaster"}}
	dec := policy.Decide(r.find(ctx, job))
	c, ok := r.Session.(Rehearser)
	if !ok || dec.Stop != nil {
		return dec, nil
	}
	var out []session.Rehearsal
	for _, plan := range dec.Plans {
		if plan.Skip != nil {
			continue
		}
		for _, a := range plan.Host.Addrs {
			found := c.Rehearse(ctx, plan, a)
			out = append(out, found)
			if found.Failure != nil && loginFailed(found.Failure.Word) || ctx.Err() != nil {
				return dec, out
			}
		}
	}
	return dec, out
}

func loginFailed(w reason.Word) bool {
	return w == reason.AuthRefused || w == reason.AuthUnusable || w == reason.AuthServer
}

// Advice says in words what its operator can do about a relay's host, given what
// a rehearsal found; "" where nothing is wrong. It is pure.
func Advice(t *route.Transport, r *session.Rehearsal) string {
	c := reason.Cause{Tip: tip(t, r)}
	if c.Tip == "" {
		if r.Failure == nil {
			return ""
		}
		c.Word = r.Failure.Word
	}
	return reason.Advise(c, reason.Names{
		"host": t.Host.String(), "port": strconv.Itoa(int(t.PortNumber())), "user": strconv.Quote(t.User), "transport": t.Name,
		"mechanism": r.Mechanism, "offered": strings.Join(r.Auth, " "), "allowed": strings.Join(t.Mechanisms, " "),
	}).Cure
}

// tip chooses the advice that looks closer than the reason does; "": the reason's is as good.
func tip(t *route.Transport, r *session.Rehearsal) reason.Tip {
	if r.Failure == nil {
		if t.User == "" && len(r.Auth) > 0 {
			return reason.LoginOffered
		}
		return ""
	}
	switch r.Failure.Word {
	case reason.AuthRefused:
		return loginRefused(r)
	case reason.AuthUnusable:
		return unusable(t, r)
	case reason.AuthServer:
		return reason.LoginImpostor
	case reason.StartTLSNotOffered:
		if t.Kind == route.Submission {
			return reason.PortNoStartTLS
		}
		return reason.RelayNoTLS
	case reason.TLSNotTLS:
		if t.ImplicitTLS() {
			return reason.PortNoImplicitTLS
		}
	case reason.Timeout, reason.ConnectionLost:
		if !t.ImplicitTLS() && !r.Session.Greeted {
			return reason.PortMaybeImplicit
		}
	case reason.ConnectRefused, reason.ConnectTimeout, reason.ConnectUnreachable, reason.ConnectFailed:
		return reason.PortUnreachable
	case reason.CertUnknownAuthority, reason.CertSelfSigned:
		return reason.RelayChain
	case reason.CertHostMismatch, reason.CertNoName:
		return reason.RelayName
	}
	return ""
}

// loginRefused reads the code of a refused login (RFC 4954 §6).
func loginRefused(r *session.Rehearsal) reason.Tip {
	code := 0
	if r.Refusal != nil {
		code = r.Refusal.Code
	}
	switch {
	case code == 432:
		return reason.LoginTransition
	case code/100 == 4:
		return reason.LoginLater
	case code == 534:
		return reason.LoginMechanism
	case code == 538:
		return reason.LoginWantsTLS
	}
	return reason.LoginWrong
}

// unusable is for a host that offers no mechanism that may be used.
func unusable(t *route.Transport, r *session.Rehearsal) reason.Tip {
	among := func(list []string, mechs ...string) bool {
		return slices.ContainsFunc(list, func(o string) bool {
			return slices.ContainsFunc(mechs, func(m string) bool { return strings.EqualFold(o, m) })
		})
	}
	switch {
	case len(r.Auth) == 0 && !r.Secured:
		return reason.LoginNotInPlain
	case len(r.Auth) == 0:
		return reason.LoginNotHere
	case len(t.Mechanisms) > 0 && !among(r.Auth, t.Mechanisms...):
		return reason.LoginNotAllowed
	case among(r.Auth, sasl.Plain, sasl.Login):
		return reason.LoginNeedsProof
	}
	return reason.LoginUnknown
}
