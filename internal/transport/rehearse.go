package transport

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/policy"
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
			if found.Failure != nil && strings.HasPrefix(string(found.Failure.Word), "auth-") || ctx.Err() != nil {
				return dec, out
			}
		}
	}
	return dec, out
}

// Advice says in words what its operator can do about a relay's host, given what
// a rehearsal found; "" where nothing is wrong. It is pure.
func Advice(t *route.Transport, r *session.Rehearsal) string {
	f := r.Failure
	switch {
	case f == nil && t.User == "" && len(r.Auth) > 0:
		return "the host offers a login and the transport has none: if mail is refused as relaying, give it one (--user)"
	case f == nil:
		return ""
	case f.Word == session.AuthRefused:
		return refusedAdvice(t, r)
	case f.Word == session.AuthUnusable:
		return unusableAdvice(t, r)
	case f.Word == session.AuthServer:
		return "the host takes the login without knowing the password: somebody else may be answering in its place. Check --host and --security before you try another mechanism"
	case f.Word == session.StartTLSNotOffered && t.Kind == route.Submission:
		return "this port speaks no STARTTLS: try port 465 (TLS from the start), or ask the host's operator"
	case f.Word == session.StartTLSNotOffered:
		return "ask the host's operator for TLS, or use a port that has it (--kind submission: 587 or 465); only in a network that you trust, --security any"
	case f.Word == session.TLSNotTLS && t.ImplicitTLS():
		return "this port speaks no TLS from the start: leave --implicit-tls out, or use port 465"
	case (f.Word == session.Timeout || f.Word == session.ConnectionLost) && !t.ImplicitTLS() && !r.Session.Greeted:
		return "the host says nothing by itself: it may be waiting for TLS, as on port 465 (--kind submission --implicit-tls), or refuse this machine's address"
	case strings.HasPrefix(string(f.Word), "connect-"):
		return fmt.Sprintf("see that %s listens on port %d, and that no firewall stands between: many networks block port 25", t.Host, t.PortNumber())
	case f.Word == session.CertUnknownAuthority, f.Word == session.CertSelfSigned:
		return "have the host send a whole chain from a public authority; for an authority of your own, add it to the system's certificates of this machine, or publish TLSA records"
	case f.Word == session.CertHostMismatch, f.Word == session.CertNoName:
		return fmt.Sprintf("name the host as its certificate does (--host), or have a certificate issued for %s", t.Host)
	}
	_, advice := policy.Explain(f.Word)
	return advice
}

// refusedAdvice reads the code of RFC 4954 §6.
func refusedAdvice(t *route.Transport, r *session.Rehearsal) string {
	code := 0
	if r.Refusal != nil {
		code = r.Refusal.Code
	}
	switch {
	case code == 432:
		return "the host wants the password to be changed before this mechanism works: log in once with PLAIN (--mechanisms PLAIN), or set the password anew at the host"
	case code/100 == 4:
		return "the host cannot check logins just now, which says nothing about the password: try again later"
	case code == 534:
		return fmt.Sprintf("the host wants another mechanism than %s for this user: see --mechanisms", r.Mechanism)
	case code == 538:
		return "the host wants TLS before this mechanism"
	}
	return fmt.Sprintf("the user %q or the password is wrong, or the host wants a password made for applications: set both anew with \"waxwing transport set %s\", the password on standard input", t.User, t.Name)
}

// unusableAdvice is for a host that offers no mechanism that may be used.
func unusableAdvice(t *route.Transport, r *session.Rehearsal) string {
	among := func(list []string, mechs ...string) bool {
		return slices.ContainsFunc(list, func(o string) bool {
			return slices.ContainsFunc(mechs, func(m string) bool { return strings.EqualFold(o, m) })
		})
	}
	offers := "the host offers " + strings.Join(r.Auth, " ")
	switch {
	case len(r.Auth) == 0 && !r.Secured:
		return "the host offers no login without TLS: use --kind submission or a --security that asks for TLS"
	case len(r.Auth) == 0:
		return "the host offers no login at this port: use --kind submission (587 or 465), or leave --user out if it takes mail from this machine's address"
	case len(t.Mechanisms) > 0 && !among(r.Auth, t.Mechanisms...):
		return offers + ", and --mechanisms allows only " + strings.Join(t.Mechanisms, " ")
	case among(r.Auth, sasl.Plain, sasl.Login):
		return offers + ", and nobody verified who it is, so the password is not handed over: use --security verified"
	}
	return offers + ", none of which this program knows: ask its operator for SCRAM-SHA-256 or PLAIN"
}
